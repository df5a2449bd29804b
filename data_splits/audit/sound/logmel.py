"""Log-mels as the mirror's front end makes them, for encoders that want them; a test holds the two together.

Kaldi's conventions (D. Povey et al., "The Kaldi speech recognition toolkit", ASRU 2011): 25 ms every 10 ms,
40 bands from 20 to 8000 Hz, no dither; 15 ms of silence stand before the first sample.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from data_splits.audio import SAMPLE_RATE_HZ

N_MELS: Final = 40
_FRAME, _HOP, _FFT = 400, 160, 512
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
_PREEMPHASIS: Final = 0.97
_FLOOR: Final = float(np.finfo(np.float32).eps)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """int16 samples (n,) at 16 kHz to float32 (n // 160, 40)."""
    n_frames = len(samples) // _HOP
    padded = np.concatenate([np.zeros(_FRAME - _HOP), samples[: n_frames * _HOP].astype(np.float64)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = np.fft.rfft((frames - _PREEMPHASIS * before) * _window(), _FFT)[:, : _FFT // 2]
    mels = (spectrum.real**2 + spectrum.imag**2) @ _filters()
    return np.log(np.maximum(mels, _FLOOR)).astype(np.float32)


@cache
def _window() -> np.ndarray:
    """Povey's: a Hann window to the power 0.85."""
    return np.asarray(np.hanning(_FRAME) ** 0.85)


@cache
def _filters() -> np.ndarray:
    """Triangles of height 1, straight-sided in mel, shape (256, 40)."""
    edges = np.linspace(_mel(_LOW_HZ), _mel(_HIGH_HZ), N_MELS + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = _mel(np.arange(_FFT // 2) * SAMPLE_RATE_HZ / _FFT)[:, None]
    return np.maximum(0.0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))


def _mel(frequency_hz: float | np.ndarray) -> np.ndarray:
    return np.asarray(1127.0 * np.log1p(np.asarray(frequency_hz) / 700.0))
