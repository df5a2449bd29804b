"""Power spectra of one recording, computed once for everything that is measured in it."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from scipy.fft import rfft

from data_splits.audio import SAMPLE_RATE_HZ

WINDOW: Final = 1024
"""64 ms: long enough to part the harmonics of a voice, which no two takes share."""
HOP: Final = 256
"""16 ms."""
BANDS: Final = 24
_LOWEST_HZ, _HIGHEST_HZ = 200.0, 4000.0
# Frames transformed at a time, so that a day of audio needs no more memory than a minute.
_CHUNK_FRAMES: Final = 4096
_LOUD: Final = 10**-2.5


def spectra(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Band powers of each frame, and each frame's mean square with the mean spectrum of the loud frames.

    Args:
        samples: int16, shape (n,), 16 kHz.

    Returns:
        Band powers, float32, shape (frames, 24), log-spaced from 200 to 4000 Hz; and the mean power spectrum
        of the frames within 25 dB of the loudest, float64, shape (513,).
    """
    n_frames = 1 + len(samples) // HOP
    padded = np.zeros((n_frames - 1) * HOP + WINDOW, dtype=np.float32)
    kept = samples[: len(padded) - WINDOW // 2]
    padded[WINDOW // 2 : WINDOW // 2 + len(kept)] = kept
    padded *= np.float32(1 / 32768)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    bands = np.empty((n_frames, BANDS), dtype=np.float32)
    loudest, mean, n_loud = 0.0, np.zeros(WINDOW // 2 + 1), 0
    for start in range(0, n_frames, _CHUNK_FRAMES):
        spectrum = rfft(frames[start : start + _CHUNK_FRAMES] * _hann(), axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        bands[start : start + len(power)] = power @ _filters()
        total = power.sum(axis=1)
        if total.max() > loudest:
            # A louder chunk: what was loud before it counts only if it comes near.
            if loudest < total.max() * _LOUD:
                mean, n_loud = np.zeros_like(mean), 0
            loudest = float(total.max())
        loud = power[total >= max(loudest * _LOUD, 1e-12)]
        mean += loud.sum(axis=0, dtype=np.float64)
        n_loud += len(loud)
    return bands, mean / max(n_loud, 1)


@cache
def _hann() -> np.ndarray:
    return np.hanning(WINDOW).astype(np.float32)


@cache
def _filters() -> np.ndarray:
    """Triangles on a logarithmic scale, each of unit sum, shape (513, 24)."""
    frequency_hz = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE_HZ)[:, None]
    edges = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, BANDS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequency_hz - low) / (centre - low), (high - frequency_hz) / (high - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    return (filters / filters.sum(axis=0)).astype(np.float32)
