"""Decoded recordings in one memory-mapped file, so that a training step costs no decoding.

The pack of a set of rows lives in the cache folder under a name made from the rows; it is re-creatable,
and several worker processes share its pages.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import polars as pl

from data_splits.audio import AudioError, read_audio

SAMPLE_RATE_HZ = 16000


def cache_folder() -> Path:
    return Path("~/.cache/rearview").expanduser()


class Pack:
    """Waveforms of a manifest's rows, in row order: ``pack[i]`` is int16 (samples,)."""

    def __init__(self, samples: np.ndarray, ends: np.ndarray):
        self.samples = samples
        self.ends = ends

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> np.ndarray:
        start = int(self.ends[index - 1]) if index else 0
        return self.samples[start : int(self.ends[index])]

    @property
    def n_samples(self) -> np.ndarray:
        """Samples of each recording (n,)."""
        return np.diff(self.ends, prepend=0)

    @property
    def hours(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ / 3600

    def duration_s(self, index: int) -> float:
        return len(self[index]) / SAMPLE_RATE_HZ


def pack(frame: pl.DataFrame, root: Path, cache: Path | None = None, label: str = "decoding") -> Pack:
    """Decodes the rows of ``frame`` (``audio`` relative to ``root``), or maps the pack already made.

    Raises AudioError naming the row when a recording cannot be read.
    """
    from rich.progress import track

    cache = cache or cache_folder() / "packs"
    cache.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(str(root.resolve()).encode())
    for identifier, audio, duration in frame.select("id", "audio", "duration_s").iter_rows():
        key.update(f"\0{identifier}\0{audio}\0{duration}".encode())
    data, index = (cache / f"{key.hexdigest()[:24]}.{end}" for end in ("int16", "npy"))
    if not index.exists():
        lengths = []
        temporary = data.with_suffix(f".{os.getpid()}.tmp")  # two runs may decode the same rows at once
        with temporary.open("wb") as file:
            rows = frame.select("id", "audio").rows()
            for identifier, audio in track(rows, label, disable=len(rows) < 200):
                try:
                    samples = read_audio(audio, root)
                except AudioError as error:
                    raise AudioError(f"row {identifier!r}: {error}") from error
                file.write(samples.astype("<i2").tobytes())
                lengths.append(len(samples))
        temporary.replace(data)
        ends_file = index.with_suffix(f".{os.getpid()}.npy")
        np.save(ends_file, np.cumsum(np.array(lengths, dtype=np.int64)))
        ends_file.replace(index)  # last: where the index is, the samples are whole
    ends = np.load(index, allow_pickle=False)
    total = int(ends[-1]) if len(ends) else 0
    samples = np.memmap(data, dtype="<i2", mode="r", shape=(total,)) if total else np.zeros(0, np.int16)
    return Pack(samples, ends)
