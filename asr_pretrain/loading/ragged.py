"""Many short sequences of bytes as two arrays: half a million lists would cost gigabytes in every worker."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class Ragged:
    """``ragged[i]`` is uint8 (lengths[i],)."""

    def __init__(self, flat: np.ndarray, lengths: np.ndarray):
        self.flat = np.asarray(flat, dtype=np.uint8)
        self.lengths = np.asarray(lengths, dtype=np.int32)
        self._ends = np.cumsum(self.lengths, dtype=np.int64)

    @classmethod
    def of(cls, parts: Iterable[bytes]) -> Ragged:
        kept = list(parts)
        return cls(np.frombuffer(b"".join(kept), np.uint8), np.array([len(part) for part in kept]))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        end = int(self._ends[index])
        return self.flat[end - int(self.lengths[index]) : end]

    def take(self, rows: np.ndarray) -> Ragged:
        """These rows alone, in this order."""
        lengths = self.lengths[rows]
        starts = (self._ends - self.lengths)[rows]
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Ragged(self.flat[np.repeat(starts, lengths) + within], lengths)

    def without(self, emptied: np.ndarray) -> Ragged:
        """The same sequences, those of ``emptied`` (n,) bool with nothing in them."""
        return Ragged(self.flat[~np.repeat(emptied, self.lengths)], np.where(emptied, 0, self.lengths))
