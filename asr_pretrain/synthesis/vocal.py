"""Changes of voice made on the waveform: tract, tempo, spectrum, breath. Arrays: float32 (n,) at 16 kHz."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy import fft
from scipy.signal import firwin, upfirdn

SAMPLE_RATE_HZ = 16000
EQUALISER_HZ = (150.0, 500.0, 1200.0, 2500.0, 5000.0)
MARGIN_S = 0.1
_WARP_POINT_S = 0.12
# The equaliser's gain is smooth: 65 points on the octave scale, straight between, are as good as one a bin.
_KNOTS_HZ = tuple(60.0 * (SAMPLE_RATE_HZ / 120.0) ** (knot / 64) for knot in range(65))
_KNOT_OCTAVES = tuple(math.log2(hz / 1000.0) for hz in _KNOTS_HZ)
_BAND_OCTAVES = tuple(math.log2(hz / 1000.0) for hz in EQUALISER_HZ)
_RATE_STEP_HZ = 50  # input rates are multiples of it, which keeps the resampler's filter short


@functools.lru_cache(maxsize=1024)
def _low_pass(up: int, down: int) -> np.ndarray:
    """Kaiser low-pass of scipy.signal.resample_poly, kept because designing it costs more than using it."""
    longest = max(up, down)
    return (up * firwin(2 * 10 * longest + 1, 1.0 / longest, window=("kaiser", 5.0))).astype(np.float32)


def resample(samples: np.ndarray, from_hz: float) -> np.ndarray:
    """To 16 kHz, from a rate rounded to 50 Hz; the output is aligned with the input."""
    rate = round(from_hz / _RATE_STEP_HZ) * _RATE_STEP_HZ
    if rate == SAMPLE_RATE_HZ:
        return samples
    divisor = int(np.gcd(rate, SAMPLE_RATE_HZ))
    up, down = SAMPLE_RATE_HZ // divisor, rate // divisor
    length = -(-len(samples) * up // down)
    half = 10 * max(up, down)
    # Zeros in front make the filter's delay a whole number of output samples.
    lead = (-half) % down
    filtered = upfirdn(np.pad(_low_pass(up, down), (lead, 0)), samples, up, down)
    start = (half + lead) // down
    return filtered[start : start + length]


def warp(samples: np.ndarray, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Local speed changes, a new one each 120 ms, straight between: (n,) → about as many."""
    n_points = max(2, int(len(samples) / (_WARP_POINT_S * SAMPLE_RATE_HZ)) + 2)
    speed = np.clip(1.0 + rng.normal(0.0, jitter, n_points), 0.8, 1.25)
    at = np.linspace(0, len(samples), n_points)
    position = np.cumsum(np.interp(np.arange(len(samples)), at, speed))
    position = position[: np.searchsorted(position, len(samples) - 1)]
    before = position.astype(np.int64)
    return samples[before] + (position - before).astype(np.float32) * (samples[before + 1] - samples[before])


def colour(samples: np.ndarray, tilt_db: float, equaliser_db: Sequence[float]) -> np.ndarray:
    """Spectral slope (dB an octave around 1 kHz) and equaliser (dB at `EQUALISER_HZ`) in one pass."""
    size = fft.next_fast_len(len(samples), real=True)
    band_db = np.interp(_KNOT_OCTAVES, _BAND_OCTAVES, equaliser_db).tolist()
    # Powers of Python's numbers: numpy's differ in the last bit from one kind of processor to another.
    gain = [
        10.0 ** ((tilt_db * octave + band) / 20) for octave, band in zip(_KNOT_OCTAVES, band_db, strict=True)
    ]
    gains = np.interp(fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), _KNOTS_HZ, gain).astype(np.float32)
    return fft.irfft(fft.rfft(samples, size) * gains, size)[: len(samples)]


def breathe(samples: np.ndarray, level_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise in proportion to the envelope over 20 ms."""
    block = SAMPLE_RATE_HZ // 50
    padded = np.pad(samples, (0, -len(samples) % block)).reshape(-1, block)
    rms = np.sqrt(np.mean(padded**2, axis=1))
    centres = (np.arange(len(rms)) + 0.5) * block
    envelope = np.interp(np.arange(len(samples)), centres, rms).astype(np.float32)
    return samples + 10 ** (level_db / 20) * envelope * rng.standard_normal(len(samples), dtype=np.float32)


def trim(samples: np.ndarray) -> np.ndarray:
    """Keep 100 ms of silence at both ends, made of zeros where the synthesizer gave less."""
    margin = int(MARGIN_S * SAMPLE_RATE_HZ)
    loud = np.flatnonzero(np.abs(samples) > 0.003 * np.abs(samples).max())
    start, end = int(loud[0]) - margin, int(loud[-1]) + 1 + margin
    padding = (max(0, -start), max(0, end - len(samples)))
    return np.pad(samples[max(0, start) : end], padding)
