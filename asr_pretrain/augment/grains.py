"""A second kind of driving noise, for judging: events and resonances instead of shaped spectra.

Nothing is shared with `asr_pretrain.augment.procedural` but its measure of level. There noise is filtered to
a drawn spectrum; here it is what many small events excite: tread blocks hit the road and ring through the
body's modes, cylinders fire one pulse each, drops strike glass, air is autoregressive with drawn poles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve, lfilter

from asr_pretrain.augment.level import SAMPLE_RATE_HZ
from asr_pretrain.augment.shapes import a_weighted_rms

GRAINS_VERSION = 1  # part of the cache key: raise it when a sound changes
KINDS = ("drive", "road", "wind", "blower", "rain", "engine")
_TREAD_M = 0.03
"""Between tread blocks."""


@dataclass(frozen=True)
class GrainParameters:
    """Levels in dB(A) of each source, None where it is silent."""

    seed: int
    kind: str
    speed_km_h: float
    road_db: float | None = None
    air_db: float | None = None
    engine_db: float | None = None
    firing_hz: float = 60.0
    blower_db: float | None = None
    rain_db: float | None = None
    drops_s: float = 500.0


def draw_grains(rng: np.random.Generator) -> GrainParameters:
    """Draw a noise: three times in four several sources at once, else one alone."""
    kind = "drive" if rng.random() < 0.75 else KINDS[int(rng.integers(1, len(KINDS)))]
    whole = kind == "drive"
    speed = float(rng.choice([0.0, rng.uniform(10, 70), rng.uniform(60, 170)], p=[0.1, 0.4, 0.5]))
    if kind in ("road", "wind"):
        speed = float(rng.uniform(30, 170))
    fast = np.log10(max(speed, 5.0) / 100)
    rpm = rng.uniform(650, 950) if speed == 0 else rng.uniform(1000, 4500)
    rains = kind == "rain" or (whole and rng.random() < 0.2)
    blows = kind == "blower" or (whole and rng.random() < 0.7)
    return GrainParameters(
        seed=int(rng.integers(2**62)),
        kind=kind,
        speed_km_h=speed,
        road_db=float(66 + 30 * fast + rng.normal(0, 5)) if (whole and speed) or kind == "road" else None,
        air_db=float(60 + 55 * fast + rng.normal(0, 5)) if (whole and speed > 25) or kind == "wind" else None,
        engine_db=float(rng.uniform(35, 62)) if kind == "engine" or (whole and rng.random() < 0.8) else None,
        firing_hz=float(rpm / 60 * rng.choice([1.5, 2.0, 3.0, 4.0])),
        blower_db=float(rng.uniform(38, 72)) if blows else None,
        rain_db=float(rng.uniform(48, 70)) if rains else None,
        drops_s=float(np.exp(rng.uniform(np.log(60), np.log(6000)))),
    )


def _slow(rng: np.random.Generator, n: int, time_s: float, depth: float) -> np.ndarray:
    """exp of an Ornstein-Uhlenbeck process (n,) with this relaxation time and standard deviation."""
    step = 160
    count = n // step + 2
    keep = np.exp(-step / SAMPLE_RATE_HZ / time_s)
    x = lfilter([np.sqrt(1 - keep**2) * depth], [1, -keep], rng.standard_normal(count))
    return np.exp(np.interp(np.arange(n) / step, np.arange(count), x))


def _modes(rng: np.random.Generator, count: int, low_hz: float, high_hz: float, decay_s: float) -> np.ndarray:
    """The response of a body: ``count`` damped modes, higher ones weaker and shorter."""
    t = np.arange(int(6 * decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    hz = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), count))
    decay = decay_s * (hz / low_hz) ** -rng.uniform(0.2, 0.6)
    gain = rng.normal(0, 1, count) * (hz / low_hz) ** -rng.uniform(0.0, 0.8)
    return (gain[:, None] * np.exp(-t / decay[:, None]) * np.sin(2 * np.pi * hz[:, None] * t)).sum(0)


def _events(rng: np.random.Generator, n: int, rate_hz: float, spread: float) -> np.ndarray:
    """Impulses at about regular intervals (n,): gamma-distributed gaps, lognormal strengths, random signs."""
    count = int(n / SAMPLE_RATE_HZ * rate_hz * 1.2) + 16
    regularity = float(np.exp(rng.uniform(0, 3)))
    gaps = rng.gamma(regularity, 1 / regularity / rate_hz, count)
    at = (np.cumsum(gaps) * SAMPLE_RATE_HZ).astype(np.int64)
    at = at[at < n]
    out = np.zeros(n)
    np.add.at(out, at, rng.lognormal(0, spread, at.size) * rng.choice([-1.0, 1.0], at.size))
    return out


def _autoregressive(rng: np.random.Generator, n: int, pairs: int, lowest_hz: float) -> np.ndarray:
    """Noise through ``pairs`` of drawn poles, and a real pole that lets it fall towards high frequencies."""
    a = np.array([1.0, -rng.uniform(0.3, 0.96)])
    for _ in range(pairs):
        hz, radius = np.exp(rng.uniform(np.log(lowest_hz), np.log(5000))), rng.uniform(0.6, 0.96)
        a = np.convolve(a, [1, -2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE_HZ), radius**2])
    return lfilter([1.0], a, rng.standard_normal(n))


def _road(p: GrainParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    blocks_hz = max(p.speed_km_h, 5.0) / 3.6 / _TREAD_M
    body = _modes(rng, 80, 35, 5000, rng.uniform(0.02, 0.06))
    hits = _events(rng, n, blocks_hz, rng.uniform(0.3, 1.0)) * _slow(rng, n, 0.3, 0.25)
    x = fftconvolve(hits, body)[:n]
    holes = _events(rng, n, rng.uniform(0.02, 0.6), 0.8)  # potholes and joints
    return x + fftconvolve(holes, _modes(rng, 12, 30, 300, 0.08))[:n] * x.std() * rng.uniform(2, 8)


def _air(p: GrainParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    gusts = _slow(rng, n, 1.5, rng.uniform(0.1, 0.5)) * _slow(rng, n, 0.1, rng.uniform(0.05, 0.25))
    return _autoregressive(rng, n, 3, 150) * gusts


def _engine(p: GrainParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    hz = p.firing_hz * _slow(rng, n, 2.0, rng.uniform(0.01, 0.1))
    turns = np.cumsum(hz) / SAMPLE_RATE_HZ
    fired = np.flatnonzero(np.diff(np.floor(turns)) > 0)
    cylinder = 1 + rng.normal(0, 0.15, 4)
    pulses = np.zeros(n)
    pulses[fired] = cylinder[np.arange(fired.size) % 4] * rng.lognormal(0, 0.1, fired.size)
    return fftconvolve(pulses, _modes(rng, 10, 40, 900, rng.uniform(0.006, 0.02)))[:n]


def _blower(p: GrainParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    x = _autoregressive(rng, n, 4, 200) * _slow(rng, n, 3.0, rng.uniform(0.02, 0.15))
    whine = np.cumsum(rng.uniform(200, 1500) * _slow(rng, n, 1.0, 0.01)) / SAMPLE_RATE_HZ
    return x + x.std() * rng.uniform(0, 0.4) * np.sin(2 * np.pi * whine)


def _rain(p: GrainParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    glass = _modes(rng, 15, 700, 6000, rng.uniform(0.001, 0.004))
    roof = _modes(rng, 15, 150, 2500, rng.uniform(0.004, 0.012))
    share = rng.uniform(0.2, 0.8)
    x = fftconvolve(_events(rng, n, p.drops_s * share, 1.2), glass)[:n]
    y = fftconvolve(_events(rng, n, p.drops_s * (1 - share), 1.2), roof)[:n]
    return x / max(x.std(), 1e-9) + rng.uniform(0.3, 2) * y / max(y.std(), 1e-9)


def synthesize_grains(p: GrainParameters, n_samples: int) -> np.ndarray:
    """Make ``n_samples`` at 16 kHz, float32 with peak 0.5; the same parameters, the same sound.

    Raises ValueError for fewer than 400 samples or a noise with no source.
    """
    if n_samples < 400:
        raise ValueError(f"synthesize_grains: {n_samples} samples; ask for at least 400")
    sources = (
        (p.road_db, _road),
        (p.air_db, _air),
        (p.engine_db, _engine),
        (p.blower_db, _blower),
        (p.rain_db, _rain),
    )
    children = np.random.SeedSequence(p.seed).spawn(len(sources))
    total = np.zeros(n_samples)
    for (level_db, make), child in zip(sources, children, strict=True):
        if level_db is not None:
            x = make(p, np.random.default_rng(child), n_samples)
            total += x * (10 ** ((level_db - 94) / 20) / max(a_weighted_rms(x), 1e-12))
    top = float(np.abs(total).max())
    if not top > 0:
        raise ValueError(f"synthesize_grains: the '{p.kind}' parameters switch every source off")
    return (total * (0.5 / top)).astype(np.float32)
