"""The tar format: headers written with nothing in them that changes, others' headers read with distrust.

Nothing is ever extracted: a tar is a list of names with the place of their bytes. Links, devices, folders and
sparse files are passed over. Source: POSIX.1-2001 pax interchange format; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from data_splits.errors import ShardError

BLOCK_BYTES: Final = 512
# Two empty blocks, filled up to the record that tars are written in.
RECORD_BYTES: Final = 20 * BLOCK_BYTES
_MAX_NAME_BYTES: Final = 4096
_MAX_PAX_BYTES: Final = 1 << 20
_DIGITS: Final = 18
_REGULAR: Final = (b"0", b"\0", b"7")
_WITHOUT_DATA: Final = (b"1", b"2", b"3", b"4", b"5", b"6")
_EMPTY: Final = bytes(BLOCK_BYTES)


@dataclass(frozen=True)
class Header:
    """What one header block says of the bytes after it."""

    name: str
    size: int
    kind: bytes


def write_header(name: str, size: int) -> bytes:
    """A regular file's header of mode 0644, with no owner and no time, so that equal content is equal bytes.

    Raises:
        ValueError: for a name that does not fit a plain (ustar) header, about 100 characters.
    """
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def padding(size: int) -> int:
    """Bytes from the end of `size` bytes of data to the next block."""
    return -size % BLOCK_BYTES


def read_header(block: bytes) -> Header | None:
    """A header block's content, or None where its checksum or a number is wrong."""
    if len(block) < BLOCK_BYTES:
        return None
    total, size = _number(block[148:156]), _number(block[124:136])
    if total is None or size is None or total != sum(block) - sum(block[148:156]) + 8 * 0x20:
        return None
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].split(b"\0", 1)[0]):
        name = prefix + b"/" + name
    return Header(_text(name), size, block[156:157])


def scan(descriptor: int, tar_bytes: int, where: str) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of every regular file, in the tar's order, by reading its headers alone.

    Raises:
        ShardError: for what is no tar, and for one that ends before its last file or its end mark.
    """
    at, long_name, pax = 0, None, {}  # type: int, str | None, dict[str, str]
    while True:
        block = os.pread(descriptor, BLOCK_BYTES, at)
        if block == _EMPTY:
            return
        if len(block) < BLOCK_BYTES:
            raise ShardError(f"{where}: truncated: it ends at byte {at} without an end mark; copy it again")
        header = read_header(block)
        if header is None:
            what = "not a tar (compressed ones are unpacked first)" if at == 0 else f"damaged at byte {at}"
            raise ShardError(f"{where}: {what}; copy it again, or name another file")
        at += BLOCK_BYTES
        size = header.size
        if header.kind in _REGULAR and "size" in pax:
            size = _decimal(pax["size"].encode("utf-8", "surrogateescape"), where)
        data_bytes = 0 if header.kind in _WITHOUT_DATA else size
        if header.kind == b"S":
            at = _after_sparse_map(descriptor, block, at)
        if at + data_bytes > tar_bytes:
            raise ShardError(
                f"{where}: truncated: {header.name!r} ends at byte {at + data_bytes}, "
                f"the file at {tar_bytes}; copy it again"
            )
        if header.kind == b"L":
            long_name = _text(_extension(descriptor, at, size, _MAX_NAME_BYTES, where).split(b"\0", 1)[0])
        elif header.kind in (b"x", b"X"):
            pax = _pax(_extension(descriptor, at, size, _MAX_PAX_BYTES, where))
        elif header.kind not in (b"g", b"K"):
            name = pax.get("path") or long_name or header.name
            sparse = any(key.startswith("GNU.sparse.") for key in pax)
            if header.kind in _REGULAR and not sparse and not name.endswith("/") and "\0" not in name:
                yield name, at, size
            long_name, pax = None, {}
        at += data_bytes + padding(data_bytes)


def _number(field: bytes) -> int | None:
    """A size or a checksum: octal digits, or base 256 where it is too large for them."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip()
    try:
        return int(digits, 8) if digits.isdigit() else (0 if not digits else None)
    except ValueError:  # an 8 or a 9
        return None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _extension(descriptor: int, at: int, size: int, most: int, where: str) -> bytes:
    if size > most:
        raise ShardError(f"{where}: an extended header of {size} bytes, more than {most}; pack it again")
    return os.pread(descriptor, size, at)


def _pax(records: bytes) -> dict[str, str]:
    """`length key=value` records; a malformed one ends the list."""
    found: dict[str, str] = {}
    while records:
        length, space, _ = records.partition(b" ")
        if not space or not length.isdigit() or len(length) > _DIGITS or not 0 < int(length) <= len(records):
            break
        key, equals, value = records[len(length) + 1 : int(length) - 1].partition(b"=")
        if equals:
            found[_text(key)] = _text(value)
        records = records[int(length) :]
    return found


def _decimal(digits: bytes, where: str) -> int:
    if not digits.isdigit() or len(digits) > _DIGITS:
        raise ShardError(f"{where}: a member's size is {digits[:30]!r}, not a number; pack it again")
    return int(digits)


def _after_sparse_map(descriptor: int, block: bytes, at: int) -> int:
    """The end of an old GNU sparse map, which may go on in further blocks."""
    more = block[482] != 0
    while more:
        block = os.pread(descriptor, BLOCK_BYTES, at)
        more = len(block) == BLOCK_BYTES and block[504] != 0
        at += BLOCK_BYTES
    return at
