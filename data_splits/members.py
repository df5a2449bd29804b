"""One member of a shard by its name: an offset index beside the tar, and `os.pread`.

Nothing here has a file position or a lock, so that threads and forked workers share an open shard freely.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import weakref
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from data_splits.errors import ShardError
from data_splits.tar import BLOCK_BYTES, read_header, scan

OPEN_SHARDS: Final = 64
"""Shards that a process keeps open: more than a chapter of training, far below any limit on open files."""
_RESTORE = "restore it, or make the shards again"


class Shard:
    """A tar of recordings, read by member.

    The index `NAME.index.npz` beside `NAME.tar` is used where it fits the tar; where it is missing or stale
    the headers are scanned, and the index is written if the folder allows.

    Args:
        path: the tar; it stays open as long as this object lives.

    Raises:
        ShardError: missing, not a tar, or shorter than its index or its headers say.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            # O_NONBLOCK: opening a pipe that a foreign manifest names would wait for ever.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise ShardError(f"{self.path}: cannot be opened: {error.strerror}; {_RESTORE}") from error
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ShardError(f"{self.path}: not a file; name a tar")
        self._bytes = status.st_size
        self._places = load_index(self.path, self._bytes) or self._scan()

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the regular files, in the tar's order."""
        return tuple(self._places)

    def read(self, member: str, *, max_bytes: int = 1 << 30) -> bytes:
        """The bytes of one member.

        Raises:
            ShardError: no such member, more than `max_bytes`, or the tar ends before it.
        """
        data = self._read(member, max_bytes)
        if data is None:
            # The index is of another tar of this size: somebody wrote the tar again.
            self._places = self._scan()
            data = self._read(member, max_bytes)
        if data is None:
            raise ShardError(f"{self.path}: changed while {member!r} was read; run again")
        return data

    def _read(self, member: str, max_bytes: int) -> bytes | None:
        """The bytes, or None where the header before them is not this member's."""
        place = self._places.get(member)
        if place is None:
            raise ShardError(f"{self.path}: {self.path.name} has no member {member!r}; {_RESTORE}")
        offset, size = place
        if size > max_bytes:
            raise ShardError(f"{self.path}: {member!r} has {size} bytes, more than the {max_bytes} allowed")
        wanted, parts, at = BLOCK_BYTES + size, [], offset - BLOCK_BYTES
        while wanted:
            try:
                part = os.pread(self._descriptor, wanted, at)
            except OSError as error:
                raise ShardError(f"{self.path}: not readable: {error.strerror}; {_RESTORE}") from error
            if not part:
                raise ShardError(
                    f"{self.path}: truncated: it ends inside {member!r}, at byte {at}; {_RESTORE}"
                )
            parts.append(part)
            wanted -= len(part)
            at += len(part)
        data = b"".join(parts)
        header = read_header(data[:BLOCK_BYTES])
        # A long name stands in an extended header before this one.
        named = header is not None and (header.name == member or len(member) > 99 or not member.isascii())
        return data[BLOCK_BYTES:] if header is not None and named and header.size == size else None

    def _scan(self) -> dict[str, tuple[int, int]]:
        try:
            found = {
                name: (offset, size)
                for name, offset, size in scan(self._descriptor, self._bytes, str(self.path))
            }
        except OSError as error:
            raise ShardError(f"{self.path}: not readable: {error.strerror}; {_RESTORE}") from error
        path = index_path(self.path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):  # a folder that is read only is scanned each time
            try:
                temporary.write_bytes(index_bytes(found, self._bytes))
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        return found


def open_shard(path: str | Path) -> Shard:
    """The shard, opened once a process while it is in use and its file stays the same.

    Raises:
        ShardError: as `Shard`.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  (called for each recording: a Path costs more than the stat)
    except OSError as error:
        raise ShardError(f"{path}: cannot be opened: {error.strerror}; {_RESTORE}") from error
    return _opened(str(path), status.st_ino, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=OPEN_SHARDS)
def _opened(path: str, inode: int, mtime_ns: int, size: int) -> Shard:
    """The inode, time and size in the key notice a tar that was written again."""
    return Shard(path)


def index_path(tar: Path) -> Path:
    """Where the offset index of a tar lies."""
    return tar.with_suffix(".index.npz")


def index_bytes(places: dict[str, tuple[int, int]], tar_bytes: int) -> bytes:
    """The index file: names joined by NUL, offsets and sizes, and the length of the tar they are of."""
    names = "\0".join(places).encode("utf-8", "surrogateescape")
    stream = io.BytesIO()
    np.savez(
        stream,
        names=np.frombuffer(names, dtype=np.uint8),
        places=np.array(list(places.values()), dtype=np.int64).reshape(-1, 2),
        tar_bytes=np.int64(tar_bytes),
    )
    return stream.getvalue()


def load_index(tar: Path, tar_bytes: int) -> dict[str, tuple[int, int]] | None:
    """Offset and size by name, or None where there is no index or it is not of a tar of `tar_bytes`."""
    path = index_path(tar)
    try:
        # A header, its data and an entry each: an index that is longer than its tar is nobody's.
        if path.stat().st_size > tar_bytes + (1 << 16):
            return None
        with np.load(path, allow_pickle=False) as arrays:
            if int(arrays["tar_bytes"]) != tar_bytes:
                return None
            places = arrays["places"]
            names = arrays["names"].tobytes().decode("utf-8", "surrogateescape").split("\0")
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile):
        return None
    if places.shape != (len(names), 2) or places.dtype != np.int64:
        return None
    offsets, sizes = places[:, 0], places[:, 1]
    # By subtraction, for the sum of two large numbers could wrap round.
    if (offsets < BLOCK_BYTES).any() or (sizes < 0).any() or (sizes > tar_bytes - offsets).any():
        return None
    return dict(zip(names, map(tuple, places.tolist()), strict=True))
