"""Building blocks of the procedural noises: coloured noise, slow wander, resonances, sparse impulses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

SAMPLE_RATE_HZ = 16000


def curve(frequency_hz: np.ndarray, points: dict[float, float]) -> np.ndarray:
    """Interpolate level points ``{hz: dB}`` over the logarithm of frequency."""
    hz = np.array(sorted(points), dtype=np.float64)
    level_db = np.array([points[h] for h in sorted(points)], dtype=np.float64)
    return np.interp(np.log(np.maximum(frequency_hz, 1.0)), np.log(hz), level_db)


def peak(frequency_hz: np.ndarray, centre_hz: float, quality: float, height_db: float) -> np.ndarray:
    """A resonance of ``height_db`` at ``centre_hz``, in dB; ``quality`` is centre over width."""
    f = np.maximum(frequency_hz, 1.0)
    return height_db / (1 + (quality * (f / centre_hz - centre_hz / f)) ** 2)


def shaped_noise(
    rng: np.random.Generator, n: int, spectrum_db: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Gaussian noise ``(n,)`` with the given power spectrum, RMS 1, nothing below 15 Hz."""
    n_fft = next_fast_len(n, real=True)
    f = rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ)
    gain = 10 ** (spectrum_db(f) / 20)
    gain[f < 15] = 0
    x = irfft(rfft(rng.standard_normal(n_fft)) * gain, n_fft)[:n]
    return x / max(float(x.std()), 1e-12)


def wander(rng: np.random.Generator, n: int, rate_hz: float, depth_db: float) -> np.ndarray:
    """A slow random gain ``(n,)``, lognormal (``depth_db`` standard deviation), changing near ``rate_hz``."""
    knots = max(4, int(np.ceil(n / SAMPLE_RATE_HZ * rate_hz * 4)) + 4)
    coarse = np.convolve(rng.standard_normal(knots + 4), [0.09, 0.24, 0.34, 0.24, 0.09], mode="valid")
    coarse *= depth_db / 0.49  # 0.49: standard deviation that the smoothing leaves
    at = np.linspace(0, coarse.size - 1, max(n // 16, 2))  # slow: 1 kHz is fine enough
    left = np.minimum(at.astype(np.int64), coarse.size - 2)
    u = at - left
    u = u * u * (3 - 2 * u)
    gain = 10 ** ((coarse[left] * (1 - u) + coarse[left + 1] * u) / 20)
    return np.interp(np.linspace(0, gain.size - 1, n), np.arange(gain.size), gain)


def decaying_kernel(rng: np.random.Generator, frequency_hz: float, decay_s: float) -> np.ndarray:
    """A struck resonance: sine at ``frequency_hz`` falling by ``e`` every ``decay_s``, 7 decays long."""
    t = np.arange(max(int(7 * decay_s * SAMPLE_RATE_HZ), 16)) / SAMPLE_RATE_HZ
    attack = 1 - np.exp(-t / (0.1 * decay_s))
    return attack * np.exp(-t / decay_s) * np.sin(2 * np.pi * frequency_hz * t + rng.uniform(0, 0.5))


def struck(rng: np.random.Generator, *modes: tuple[float, float, float]) -> np.ndarray:
    """Several struck resonances at once, each ``(frequency_hz, decay_s, gain)``; peak 1."""
    kernels = [gain * decaying_kernel(rng, hz, decay_s) for hz, decay_s, gain in modes]
    out = np.zeros(max(kernel.size for kernel in kernels))
    for kernel in kernels:
        out[: kernel.size] += kernel
    return out / max(float(np.abs(out).max()), 1e-12)


def sparse_convolve(times_s: np.ndarray, gains: np.ndarray, kernel: np.ndarray, n: int) -> np.ndarray:
    """Place ``kernel`` at every time with its gain, ``(n,)``."""
    impulses = np.zeros(n)
    index = (np.asarray(times_s) * SAMPLE_RATE_HZ).astype(np.int64)
    keep = (index >= 0) & (index < n)
    np.add.at(impulses, index[keep], np.asarray(gains)[keep])
    n_fft = next_fast_len(n + kernel.size, real=True)
    return irfft(rfft(impulses, n_fft) * rfft(kernel, n_fft), n_fft)[:n]


def a_weighted_rms(x: np.ndarray) -> float:
    """RMS of ``x`` under the A-weighting of IEC 61672-1."""
    n_fft = next_fast_len(x.size, real=True)
    f2 = rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ) ** 2
    weight = (
        12194**2 * f2**2 / ((f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194**2))
    )
    power = np.square(np.abs(rfft(x, n_fft)) * weight * 1.2589)  # 1.2589: 0 dB at 1 kHz
    return float(np.sqrt(2 * power.sum() / n_fft / x.size))
