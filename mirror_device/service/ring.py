"""The last seconds of sound, for what is handed on with an event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mirror_device.logmel import SAMPLE_RATE_HZ


class Ring:
    """Keeps the last ``seconds`` of a stream."""

    def __init__(self, seconds: float) -> None:
        self._kept = np.zeros(max(1, round(seconds * SAMPLE_RATE_HZ)), np.int16)
        self.heard = 0
        """Samples that have come since the stream began."""
        self._since = 0

    def hear(self, pcm: NDArray[np.int16]) -> None:
        """More sound."""
        size = len(self._kept)
        last = pcm[-size:]
        start = (self.heard + len(pcm) - len(last)) % size
        first = min(len(last), size - start)
        self._kept[start : start + first] = last[:first]
        if first < len(last):
            self._kept[: len(last) - first] = last[first:]
        self.heard += len(pcm)

    def forget(self) -> None:
        """Nothing from before now is handed out any more, as at a mute."""
        self._since = self.heard

    def last(self, samples: int, until: int | None = None) -> NDArray[np.int16]:
        """Up to ``samples`` of what ended at sample ``until`` of the stream (now), as far as it is kept."""
        until = self.heard if until is None else min(until, self.heard)
        size = len(self._kept)
        oldest = max(self._since, self.heard - size, 0)
        begin = max(until - samples, oldest)
        return self._kept[np.arange(begin, max(begin, until)) % size].copy()
