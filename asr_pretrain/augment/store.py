"""A small on-disk cache of arrays: one ``.npy`` a name, written atomically, read by memory map."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np


def _path(cache: Path, key: str, name: str) -> Path:
    return cache / f"{key}.{name}.npy"


def load_arrays(cache: Path | None, key: str, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Return the arrays stored under ``key``, memory-mapped, or None when any is missing or damaged."""
    if cache is None:
        return None
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        try:
            arrays[name] = np.load(_path(cache, key, name), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):  # absent, truncated or not an array: made anew
            return None
    return arrays


def save_arrays(cache: Path | None, key: str, arrays: dict[str, np.ndarray]) -> None:
    """Store ``arrays`` under ``key``; a reader never sees half a file."""
    if cache is None:
        return
    cache.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        descriptor, temporary = tempfile.mkstemp(dir=cache, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                np.save(stream, array, allow_pickle=False)
            Path(temporary).replace(_path(cache, key, name))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
