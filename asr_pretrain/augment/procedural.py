"""Noise of a driving car at the mirror's microphone, made from drawn parameters.

Every source (`sources.py`) is built from what is known of its physics and set to a level in dB(A) that is
typical in a cabin, so that a sum of sources has believable proportions. Nothing here was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from asr_pretrain.augment import sources
from asr_pretrain.augment.shapes import a_weighted_rms

Surface = Literal["smooth", "coarse", "concrete", "wet"]
PROCEDURAL_VERSION = 3  # part of the cache key: raise it when a sound changes
KINDS = ("drive", "road", "engine", "wind", "blower", "rain")


@dataclass(frozen=True)
class NoiseParameters:
    """What determines a procedural noise; a None or zero field leaves that source out. Levels are dB(A)."""

    seed: int
    kind: str
    speed_km_h: float
    surface: Surface
    road_db: float | None = None
    cavity_hz: float = 220.0
    engine_db: float | None = None
    rpm: float = 2000.0
    cylinders: int = 4  # 0 is an electric motor
    wind_db: float | None = None
    window_open: bool = False
    blower_db: float | None = None
    blower_level: int = 0
    rain_db: float | None = None
    rain_drops_s: float = 0.0
    wiper_period_s: float = 0.0
    indicator: bool = False
    horn: bool = False
    potholes: bool = False
    passing: bool = False


def draw_noise(rng: np.random.Generator) -> NoiseParameters:
    """Draw a noise: seven times in ten a whole drive, else one source alone."""
    kind = "drive" if rng.random() < 0.7 else KINDS[int(rng.integers(1, len(KINDS)))]
    whole = kind == "drive"
    speed = float(rng.choice([0.0, rng.uniform(5, 60), rng.uniform(50, 140)], p=[0.12, 0.43, 0.45]))
    if kind in ("road", "wind"):
        speed = float(rng.uniform(40, 140))
    surface: Surface = ("smooth", "coarse", "concrete", "wet")[int(rng.choice(4, p=(0.4, 0.3, 0.12, 0.18)))]  # type: ignore[assignment]
    raining = kind == "rain" or (whole and rng.random() < (0.6 if surface == "wet" else 0.06))
    # Interior level grows by about 30 to 35 dB per decade of speed for tyres, 55 to 60 for wind.
    decades = np.log10(max(speed, 5.0) / 100)
    rough = {"smooth": 0.0, "coarse": 5.0, "concrete": 3.0, "wet": 2.5}[surface]
    road = 63 + 32 * decades + rough + rng.normal(0, 2.5)
    wind = 59 + 57 * decades + rng.normal(0, 3)
    level = int(rng.integers(1, 8))
    blower = 36 + 4.6 * level + rng.normal(0, 2)  # level 1: 41 dB(A), level 7: 68 dB(A)
    window_open = kind == "wind" and rng.random() < 0.4 or (whole and speed > 15 and rng.random() < 0.06)
    cylinders = int(rng.choice([0, 3, 4, 6], p=[0.2, 0.2, 0.45, 0.15]))
    rpm = rng.uniform(700, 900) if speed == 0 else rng.uniform(1200, 3500)
    drops = float(np.exp(rng.uniform(np.log(150), np.log(4000))))
    return NoiseParameters(
        seed=int(rng.integers(2**62)),
        kind=kind,
        speed_km_h=speed,
        surface=surface,
        road_db=float(road) if (whole and speed > 0) or kind == "road" else None,
        cavity_hz=float(rng.uniform(195, 255)),
        engine_db=float(50 + 8 * np.log2(rpm / 2000) + rng.normal(0, 3) - (8 if cylinders == 0 else 0))
        if whole or kind == "engine"
        else None,
        rpm=float(rpm),
        cylinders=cylinders,
        wind_db=float(wind + (12 if window_open else 0))
        if (whole and speed > 30) or kind == "wind" or window_open
        else None,
        window_open=bool(window_open),
        blower_db=float(blower) if kind == "blower" or (whole and rng.random() < 0.75) else None,
        blower_level=level,
        rain_db=float(44 + 6 * np.log10(drops) + rng.normal(0, 3)) if raining else None,
        rain_drops_s=drops,
        wiper_period_s=float(rng.uniform(1.0, 2.4) if rng.random() < 0.7 else rng.uniform(4, 8))
        if raining and whole
        else 0.0,
        indicator=bool(whole and rng.random() < 0.08),
        horn=bool(whole and rng.random() < 0.03),
        # Drawn last: what stands above is as it was before there were these.
        potholes=bool(whole and speed > 5 and rng.random() < 0.12),
        passing=bool(whole and rng.random() < 0.12),
    )


def synthesize(parameters: NoiseParameters, n_samples: int) -> np.ndarray:
    """Make ``n_samples`` of the noise at 16 kHz, float32 with peak 0.5; the same parameters, the same sound.

    Raises ValueError for fewer than 400 samples or a noise with no source.
    """
    p = parameters
    if n_samples < 400:
        raise ValueError(f"synthesize: {n_samples} samples is too short for a noise; ask for at least 400")
    n = n_samples
    # One generator a source: leaving a source out does not change the others.
    children = np.random.SeedSequence(p.seed).spawn(10)
    rngs = [np.random.default_rng(child) for child in children]
    parts = (
        (p.road_db, lambda: sources.road(p, rngs[0], n)),
        (p.engine_db, lambda: sources.engine(p, rngs[1], n)),
        (p.wind_db, lambda: sources.wind(p, rngs[2], n)),
        (p.blower_db, lambda: sources.blower(p, rngs[3], n)),
        (p.rain_db, lambda: sources.rain(p, rngs[4], n)),
        (
            rngs[5].uniform(46, 58) if p.wiper_period_s else None,
            lambda: sources.wipers(p, rngs[5], n_samples),
        ),
        (rngs[6].uniform(34, 46) if p.indicator else None, lambda: sources.indicator(rngs[6], n)),
        (rngs[7].uniform(50, 66) if p.horn else None, lambda: sources.horn(rngs[7], n)),
        (rngs[8].uniform(44, 60) if p.potholes else None, lambda: sources.potholes(rngs[8], n)),
        (rngs[9].uniform(48, 66) if p.passing else None, lambda: sources.passing(p, rngs[9], n)),
    )
    total = np.zeros(n_samples)
    for level_db, make in parts:
        if level_db is not None:
            x = make()
            total += x * (10 ** ((level_db - 94) / 20) / max(a_weighted_rms(x), 1e-12))
    top = float(np.abs(total).max())
    if not top > 0:
        raise ValueError(f"synthesize: the '{p.kind}' parameters switch every source off; set one level")
    return (total * (0.5 / top)).astype(np.float32)
