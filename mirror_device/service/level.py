"""How loud it is: the noise of the car, and how far a voice stands above it.

The noise is the quietest that the smoothed level of the last seconds has been (minimum statistics: R. Martin,
"Noise power spectral density estimation based on optimal smoothing and minimum statistics", IEEE Trans.
Speech and Audio Processing 9(5), 2001; here of the level alone).
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

FLOOR_DBFS = -100.0
NOISE_STEPS = 40  # 3.2 s: longer than a word, shorter than a change of road
VOICE_STEPS = 13  # 1 s
SMOOTHING = 0.6


def level_dbfs(step: NDArray[np.int16]) -> float:
    """RMS of a step of sound, 0 for a square wave of full scale."""
    if not len(step):
        return FLOOR_DBFS
    samples = step.astype(np.float32)
    rms = math.sqrt(float(samples.dot(samples)) / len(step)) / 32768
    return max(20 * math.log10(rms), FLOOR_DBFS) if rms > 0 else FLOOR_DBFS


class Level:
    """Follows a stream, step by step."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.now_dbfs = FLOOR_DBFS
        self._smooth: float | None = None
        self._quiet: deque[float] = deque(maxlen=NOISE_STEPS)
        self._loud: deque[float] = deque(maxlen=VOICE_STEPS)
        self.noise_dbfs = FLOOR_DBFS
        """Of the last seconds."""
        self.voice_db = 0.0
        """The loudest step of the last second above the noise."""

    def hear(self, step: NDArray[np.int16]) -> None:
        """One more step of 80 ms."""
        self.now_dbfs = level_dbfs(step)
        before = self.now_dbfs if self._smooth is None else self._smooth
        self._smooth = SMOOTHING * before + (1 - SMOOTHING) * self.now_dbfs
        self._quiet.append(self._smooth)
        self._loud.append(self.now_dbfs)
        self.noise_dbfs = min(self._quiet)
        self.voice_db = max(self._loud) - self.noise_dbfs
