"""Where words are: in a recording, and in the cuts that it was placed in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLE_RATE_HZ = 16000
FRAME_S = 0.02


def tight_span(samples: np.ndarray) -> tuple[float, float]:
    """Start and end of the loudest word in seconds, for training targets; robust to a noisy recording.

    A frame belongs to the word when it is within 28 dB of the peak and at least a third of the way from
    the recording's noise floor (its 10th percentile) up to that peak; gaps up to 0.25 s are bridged.
    """
    size = int(FRAME_S * SAMPLE_RATE_HZ)
    n_frames = len(samples) // size
    if n_frames < 3:
        return 0.0, len(samples) / SAMPLE_RATE_HZ
    frames = samples[: n_frames * size].astype(np.float64).reshape(n_frames, size)
    level_db = 10 * np.log10(np.square(frames).mean(1) + 1.0)
    peak, floor = level_db.max(), np.percentile(level_db, 10)
    active = np.flatnonzero(level_db >= max(peak - 28, floor + (peak - floor) / 3))
    loudest = int(np.argmax(level_db))
    gap = int(0.25 / FRAME_S)
    start = end = int(np.searchsorted(active, loudest))
    while start > 0 and active[start] - active[start - 1] <= gap:
        start -= 1
    while end + 1 < len(active) and active[end + 1] - active[end] <= gap:
        end += 1
    return float(active[start]) * FRAME_S, float(active[end] + 1) * FRAME_S


@dataclass(frozen=True)
class Placed:
    """Clean cuts before the car."""

    speech: np.ndarray
    """(batch, samples)."""
    spans: np.ndarray
    """The word's start and end in seconds (batch, 2); −1 without a word."""
    rows: np.ndarray
    """Row number of what was placed (batch,), −1 where nothing but the car is heard."""
    whole: np.ndarray
    """Start in seconds (batch,) of a recording that stands whole and alone in its cut, −1 elsewhere."""
    speed: np.ndarray
    """At which it was placed (batch,)."""
