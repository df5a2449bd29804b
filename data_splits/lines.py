"""Text files of lines, checked before a parser sees them."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from data_splits.schema import ManifestError

MAX_LINE_BYTES: Final = 4 << 20
_CHUNK_BYTES: Final = 1 << 20


def check_lines(path: Path) -> None:
    """Refuse a file that is not UTF-8 or holds a line that no manifest has, in bounded memory.

    Raises:
        ManifestError: naming the file and the byte.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = line_start = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                where = at - held + error.start
                raise ManifestError(f"{path}: byte {where} is not UTF-8; write the file as UTF-8") from error
            first = chunk.find(b"\n")
            if at + (len(chunk) if first < 0 else first) - line_start > MAX_LINE_BYTES:
                raise ManifestError(
                    f"{path}: the line at byte {line_start} is longer than {MAX_LINE_BYTES:,} bytes; "
                    "a manifest has one object a line"
                )
            if first >= 0:
                line_start = at + chunk.rfind(b"\n") + 1
            at += len(chunk)
