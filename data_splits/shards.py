"""Shards: a thousand utterances in one tar, a manifest and an offset index beside it.

`NAME.tar` is a WebDataset tar, `KEY.flac` then `KEY.json` for each utterance. `NAME.parquet`, the rows of the
shard, is written last: while it is missing the shard is not whole, and making it again gives the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from data_splits.audio import SAMPLE_RATE_HZ, pcm_sha256
from data_splits.codecs import CODECS, decode
from data_splits.errors import ShardError
from data_splits.manifest import normalise
from data_splits.members import Shard, index_bytes, index_path, open_shard
from data_splits.tar import BLOCK_BYTES, RECORD_BYTES, padding, write_header

__all__ = ["CODECS", "Shard", "ShardError", "is_whole", "member_key", "open_shard", "write_shard"]

# With its suffix a key fits a tar's plain header; a dot would end it for WebDataset.
_KEY_CHARS: Final = 80
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


def write_shard(
    path: str | Path,
    items: Iterable[tuple[Mapping[str, Any], np.ndarray]],
    *,
    codec: str = "flac",
    schema: Mapping[str, Any] | None = None,
) -> pl.DataFrame:
    """Write one shard: tar, index and manifest, whole or not at all.

    Args:
        path: `NAME.tar`; `NAME.index.npz` and `NAME.parquet` are written beside it.
        items: manifest rows without `audio`, `duration_s` and `pcm_sha256`, which are made here, and int16
            samples (n,) at 16 kHz.
        codec: `flac`, or `opus`, whose hash is that of the decoded samples.
        schema: polars types by column, where rows of this shard alone do not show them.

    Returns:
        The shard's manifest, `audio` relative to its folder (`NAME.tar::KEY.flac`).

    Raises:
        ShardError: the disk is full or the folder not writable; an utterance is empty, not int16, or its id
            is there twice. Nothing but an older shard of that name is left.
        ManifestError: the rows are no manifest. What `items` raises goes through, and nothing is left either.
    """
    path = Path(path)
    if path.suffix != ".tar":
        raise ShardError(f"{path}: a shard's name ends in .tar")
    if codec not in CODECS:
        raise ShardError(f"codec {codec!r}: one of {', '.join(CODECS)}")
    finals = path, index_path(path), manifest_path(path)
    staged = [final.with_name(f".{final.name}.{os.getpid()}.tmp") for final in finals]
    with _disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        rows, places, n_bytes = _write_tar(staged[0], path, items, codec)
        known = {name for row in rows for name in row}
        types = {name: kind for name, kind in (schema or {}).items() if name in known}
        frame = pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None)
        frame = normalise(frame, str(path))
        parquet = io.BytesIO()
        frame.write_parquet(parquet, compression="zstd")
        with _disk(path):
            _write(staged[1], index_bytes(places, n_bytes))
            _write(staged[2], parquet.getvalue())
            finals[2].unlink(missing_ok=True)  # while the tar is replaced, the shard is not whole
            for temporary, final in zip(staged, finals, strict=True):
                temporary.replace(final)
            _sync_folder(path.parent)
    finally:
        for temporary in staged:
            temporary.unlink(missing_ok=True)
    return frame


def is_whole(path: str | Path) -> bool:
    """Whether a shard was written to its end: its manifest is there, and its tar as long as its index says.

    Raises:
        ShardError: the manifest is there and the tar is not, or is damaged: something else changed it.
    """
    if not manifest_path(Path(path)).is_file():
        return False
    Shard(path)
    return True


def manifest_path(tar: Path) -> Path:
    """Where the manifest of a shard lies."""
    return tar.with_suffix(".parquet")


def member_key(row_id: str) -> str:
    """A tar-safe name for an id: the id itself where it is one, else what is safe of it and a hash."""
    safe = _UNSAFE.sub("_", row_id)
    if safe == row_id and 0 < len(safe) <= _KEY_CHARS:
        return safe
    digest = hashlib.sha256(row_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{safe[: _KEY_CHARS - 13]}-{digest}"


def _write_tar(
    temporary: Path, path: Path, items: Iterable[tuple[Mapping[str, Any], np.ndarray]], codec: str
) -> tuple[list[dict[str, Any]], dict[str, tuple[int, int]], int]:
    """Rows, places by member, and the tar's length in bytes."""
    rows: list[dict[str, Any]] = []
    places: dict[str, tuple[int, int]] = {}
    at = 0
    with _disk(path):
        stream = temporary.open("wb")
    try:
        for given, samples in items:
            row, members = _utterance(given, samples, path, codec)
            for name, data in members:
                if name in places:
                    raise ShardError(f"{path}: id {row['id']!r} is there twice; rename one of the rows")
                places[name] = at + BLOCK_BYTES, len(data)
                block = write_header(name, len(data)) + data + bytes(padding(len(data)))
                with _disk(path):
                    stream.write(block)
                at += len(block)
            rows.append(row)
        if not rows:
            raise ShardError(f"{path}: no utterance to write; a shard holds one or more")
        end = bytes(2 * BLOCK_BYTES + -(at + 2 * BLOCK_BYTES) % RECORD_BYTES)
        with _disk(path):
            stream.write(end)
            stream.flush()
            os.fsync(stream.fileno())
    finally:
        with contextlib.suppress(OSError):  # on a full disk the buffer cannot be written here either
            stream.close()
    return rows, places, at + len(end)


def _utterance(
    given: Mapping[str, Any], samples: np.ndarray, path: Path, codec: str
) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    row_id = given.get("id")
    if not isinstance(row_id, str) or not row_id:
        raise ShardError(f"{path}: a row's id is {row_id!r}; every utterance has one, a text")
    if samples.dtype != np.int16 or samples.ndim != 1 or not len(samples):
        raise ShardError(
            f"{path}: id {row_id!r}: {samples.dtype} samples of shape {samples.shape}; "
            "give int16 (n,) at 16 kHz, n > 0"
        )
    suffix, encode = CODECS[codec]
    data = encode(samples)
    heard = samples if suffix == "flac" else decode(data)
    key = member_key(row_id)
    row = dict(given) | {
        "audio": f"{path.name}::{key}.{suffix}",
        "duration_s": len(heard) / SAMPLE_RATE_HZ,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "pcm_sha256": pcm_sha256(heard),
    }
    known = {name: value for name, value in row.items() if value is not None}
    text = json.dumps(known, ensure_ascii=False, default=_plain)
    return row, [(f"{key}.{suffix}", data), (f"{key}.json", text.encode("utf-8", "surrogatepass"))]


def _plain(value: object) -> object:
    """What JSON has no type for: times as ISO text, numpy's numbers as Python's."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a manifest row holds {type(value).__name__}, which JSON has no type for")


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ShardError(
            f"{path}: cannot be written: {error.strerror or error}; free some space or give another folder, "
            "then run the same command again: whole shards are kept"
        ) from error


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
