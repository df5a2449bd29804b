"""Decoded recordings in memory-mapped files, so that a training step costs no decoding.

One file holds one source's rows and is named after them: another mix of sources, or a source's other rows,
decodes nothing twice but what is new. All are re-creatable, and worker processes share their pages.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from data_splits.audio import AudioError, read_audio

SAMPLE_RATE_HZ = 16000


def cache_folder() -> Path:
    return Path("~/.cache/rearview").expanduser()


class Pack:
    """Waveforms of a manifest's rows, in row order: ``pack[i]`` is int16 (samples,)."""

    def __init__(self, parts: Sequence[tuple[np.ndarray, np.ndarray]], part: np.ndarray):
        """Of n rows.

        Args:
            parts: samples, and where each of the part's recordings ends in them.
            part: number of the part that holds each row (n,), whose rows stand in order.
        """
        self._samples = [samples for samples, _ in parts]
        self._part = part.astype(np.int32)
        self._start = np.zeros(len(part), dtype=np.int64)
        self._end = np.zeros(len(part), dtype=np.int64)
        for number, (_, ends) in enumerate(parts):
            rows = np.flatnonzero(part == number)
            self._start[rows] = np.concatenate([[0], ends[:-1]])[: len(rows)]
            self._end[rows] = ends

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, index: int) -> np.ndarray:
        samples = self._samples[self._part[index]]
        return samples[int(self._start[index]) : int(self._end[index])]

    @property
    def n_samples(self) -> np.ndarray:
        """Samples of each recording (n,)."""
        return self._end - self._start

    @property
    def hours(self) -> float:
        return int(self.n_samples.sum()) / SAMPLE_RATE_HZ / 3600

    def duration_s(self, index: int) -> float:
        return len(self[index]) / SAMPLE_RATE_HZ


def pack(frame: pl.DataFrame, root: Path, cache: Path | None = None, label: str = "decoding") -> Pack:
    """Decodes the rows of ``frame`` (``audio`` relative to ``root``), or maps what was decoded before.

    Raises AudioError naming the row when a recording cannot be read.
    """
    cache = cache or cache_folder() / "packs"
    cache.mkdir(parents=True, exist_ok=True)
    source = frame["source"].fill_null("") if "source" in frame.columns else pl.Series([""] * len(frame))
    names = source.unique().sort().to_list()
    number = source.replace_strict(names, range(len(names)), return_dtype=pl.Int32).to_numpy()
    parts = [
        _part(frame.filter(source == name), root, cache, f"{label}, {name}" if name else label)
        for name in names
    ]
    return Pack(parts, number)


def _part(frame: pl.DataFrame, root: Path, cache: Path, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples of the rows end to end, and where each ends."""
    from rich.progress import track

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
    return samples, ends
