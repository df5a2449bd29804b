"""What a moving car sounds like, source by source: filtered noise, orders of a crankshaft, struck bodies.

Each function makes ``(n,)`` float64 at 16 kHz at an arbitrary level; `procedural.synthesize` sets the levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from asr_pretrain.augment.shapes import (
    SAMPLE_RATE_HZ,
    curve,
    peak,
    shaped_noise,
    sparse_convolve,
    struck,
    wander,
)

if TYPE_CHECKING:
    from asr_pretrain.augment.procedural import NoiseParameters


def road(p: NoiseParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    """Tyre and road: brown-to-pink fall, tread hump near 1 kHz, tyre-cavity resonance near 220 Hz."""
    faster = np.log2(max(p.speed_km_h, 10) / 80)
    fall = rng.uniform(5, 7)
    points: dict[float, float] = {
        20: -6.0,
        45: 3.0,
        120: 0.0,
        300: -fall,
        700: -2 * fall,
        1200: -3 * fall + 1.5 * faster,
    }
    points |= {2500: -5 * fall + 2 * faster, 5000: -7.2 * fall + 2 * faster, 8000: -9 * fall}

    def spectrum(f: np.ndarray) -> np.ndarray:
        shape = curve(f, points)
        hump = rng.uniform(2, 6) if p.surface in ("coarse", "concrete") else rng.uniform(0, 3)
        shape = shape + peak(f, rng.uniform(700, 1100), 1.5, hump)
        for mode in (p.cavity_hz, p.cavity_hz * rng.uniform(1.03, 1.10)):  # splits in two when rolling
            shape = shape + peak(f, mode, rng.uniform(10, 25), rng.uniform(3, 10))
        for _ in range(3):  # cabin booms
            shape = shape + peak(f, rng.uniform(35, 160), rng.uniform(4, 10), rng.uniform(0, 7))
        if p.surface == "wet":  # splash and hiss
            shape = shape + 14 / (1 + (2200 / np.maximum(f, 1)) ** 4)
        return shape

    x = shaped_noise(rng, n, spectrum)
    x *= wander(rng, n, 0.4, rng.uniform(0.5, 2.0)) * wander(rng, n, 6.0, rng.uniform(0.3, 1.2))
    if rng.random() < 0.2:  # the surface changes under way
        other = shaped_noise(rng, n, lambda f: spectrum(f) + peak(f, 900, 1.0, rng.uniform(-8, 8)))
        mix = 1 / (1 + np.exp(-(np.arange(n) - rng.uniform(0.2, 0.8) * n) / (0.15 * SAMPLE_RATE_HZ)))
        x = np.sqrt(1 - mix) * x + np.sqrt(mix) * other
    joints_m = rng.uniform(4, 8) if p.surface == "concrete" else 0.0
    if joints_m and p.speed_km_h > 10:  # expansion joints: front axle, then rear axle 2.7 m later
        step = joints_m / (p.speed_km_h / 3.6)
        times = np.arange(rng.uniform(0, step), n / SAMPLE_RATE_HZ, step)
        times = np.concatenate([times, times + 2.7 / (p.speed_km_h / 3.6)])
        thump = struck(rng, (rng.uniform(60, 120), 0.03, 1.0), (350.0, 0.008, 0.3))
        level = rng.uniform(1, 4) * x.std()
        x = x + sparse_convolve(times, level * rng.uniform(0.6, 1.3, times.size), thump, n)
    return x


def engine(p: NoiseParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    """Half-orders of a wandering crankshaft speed with gear changes; an electric motor whines instead."""
    t = np.arange(n) / SAMPLE_RATE_HZ
    rpm = p.rpm * wander(rng, n, 0.25, rng.uniform(0.1, 0.6))
    load = wander(rng, n, 0.5, rng.uniform(0.5, 2.5))
    if p.speed_km_h > 5 and p.cylinders and rng.random() < 0.35:
        at, ratio = rng.uniform(0.15, 0.85) * t[-1], rng.choice([0.72, 1.35])
        rpm = rpm * (1 + (ratio - 1) / (1 + np.exp(-(t - at) / 0.08)))
        load = load * (1 - 0.6 * np.exp(-(((t - at) / 0.2) ** 2)))
    rpm = rpm * (1 + rng.uniform(-0.02, 0.03) * t)  # accelerating or coasting
    phase = 2 * np.pi * np.cumsum(rpm) / 60 / SAMPLE_RATE_HZ
    if p.cylinders == 0:
        orders = rng.choice([8, 16, 24, 36, 48], 3, replace=False).astype(float)
        strength = rng.uniform(-14, 0, 3)
    else:
        orders = np.arange(1, 25) / 2
        firing = p.cylinders / 2
        harmonic = np.isclose(orders % firing, 0)
        strength = -2.2 * orders + np.where(harmonic, 12, 0) + rng.normal(0, 4, orders.size)
    x = np.zeros(n)
    level_of = dict(zip((2 * orders).astype(int).tolist(), strength.tolist(), strict=True))
    turn = np.exp(0.5j * phase)  # powers of half a turn: the half-orders, without a sine each
    power = np.ones(n, dtype=np.complex128)
    for half_order in range(1, max(level_of) + 1):
        power *= turn
        if half_order in level_of and half_order / 2 * rpm.max() / 60 < 7500:
            x += 10 ** (level_of[half_order] / 20) * (power * np.exp(1j * rng.uniform(0, 2 * np.pi))).imag
    rough = shaped_noise(rng, n, lambda f: curve(f, {30: 0, 150: 0, 600: -12, 2000: -24, 8000: -45}))
    firing_phase = phase * max(p.cylinders, 2) / 2
    x += rough * (1 + 0.5 * np.sin(firing_phase)) * x.std() * rng.uniform(0.1, 0.5) / rough.std()
    return x * load


def wind(p: NoiseParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    """Turbulence: flat to a knee, then 6 to 9 dB an octave, with gusts; an open window buffets near 20 Hz."""
    knee = rng.uniform(250, 700) * (p.speed_km_h / 100 + 0.3)
    fall = rng.uniform(5, 8.5)

    def spectrum(f: np.ndarray) -> np.ndarray:
        shape = -fall / 2 * np.log2(1 + (f / knee) ** 2)
        shape = shape + peak(f, rng.uniform(800, 3500), 4, rng.uniform(0, 6) if rng.random() < 0.4 else 0)
        return shape + (peak(f, rng.uniform(15, 25), 3, 25) if p.window_open else 0)

    depth = rng.uniform(1.0, 3.0) + (2.0 if p.window_open else 0.0)
    return shaped_noise(rng, n, spectrum) * wander(rng, n, 0.5, depth) * wander(rng, n, 4.0, depth / 2)


def blower(p: NoiseParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    """Climate blower: duct-shaped flow noise, blade-passing tones and harmonics, air on the microphone."""
    level = p.blower_level

    def spectrum(f: np.ndarray) -> np.ndarray:
        top = rng.uniform(250, 500) * (1 + 0.08 * level)
        shape = curve(f, {20: -8, 80: -3, top: 0, 3 * top: -rng.uniform(5, 10), 8000: -rng.uniform(24, 40)})
        for _ in range(5):  # duct modes
            shape = shape + peak(
                f, np.exp(rng.uniform(np.log(200), np.log(4000))), rng.uniform(2, 8), rng.uniform(-3, 6)
            )
        return shape + peak(f, rng.uniform(1500, 4000), 1.2, rng.uniform(0, 1.2) * level)  # outlet hiss

    x = shaped_noise(rng, n, spectrum) * wander(rng, n, 0.3, rng.uniform(0.2, 0.6))
    fan_hz = (600 + 480 * level * rng.uniform(0.85, 1.15)) / 60 * wander(rng, n, 0.2, 0.05)
    phase = 2 * np.pi * np.cumsum(fan_hz) / SAMPLE_RATE_HZ
    blades = int(rng.integers(29, 47))
    tone = rng.uniform(-26, -8)
    for harmonic in (1, 2, 3):
        if harmonic * blades * fan_hz.max() < 7500:
            amplitude = x.std() * 10 ** ((tone - (harmonic - 1) * rng.uniform(4, 10)) / 20)
            x = x + amplitude * np.sin(harmonic * blades * phase + rng.uniform(0, 2 * np.pi))
    x = x + x.std() * 10 ** (rng.uniform(-30, -12) / 20) * np.sin(phase)  # imbalance, once a turn
    if level >= 4 and rng.random() < 0.3:  # defrost jet grazing the mirror
        buffet = shaped_noise(rng, n, lambda f: curve(f, {20: 0, 60: 0, 250: -18, 1000: -42, 8000: -80}))
        x = x + buffet / buffet.std() * x.std() * rng.uniform(0.7, 3) * wander(rng, n, 2.0, 3.0)
    if rng.random() < 0.08:  # someone turns the knob
        step = np.arange(n) > rng.uniform(0.2, 0.8) * n
        ramp = np.convolve(step, np.ones(1600) / 1600, mode="same")
        x = x * 10 ** (ramp * rng.choice([-1, 1]) * rng.uniform(3, 9) / 20)
    return x


def rain(p: NoiseParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    """Dense random drops on roof and glass, each a short damped resonance, over a fine hiss."""
    x = np.zeros(n)
    for low_hz, high_hz, decay_s, share in (
        (300, 800, 0.006, 0.3),
        (900, 2200, 0.003, 0.5),
        (2500, 6000, 0.0012, 0.2),
    ):
        drops = int(rng.poisson(p.rain_drops_s * share * n / SAMPLE_RATE_HZ))
        size = rng.lognormal(0, 0.9, drops) * rng.choice([-1.0, 1.0], drops)
        times = rng.uniform(0, n / SAMPLE_RATE_HZ, drops)
        groups = rng.integers(0, 4, drops)  # four plates of each kind
        for group in range(4):
            mine = groups == group
            modes = [
                (rng.uniform(low_hz, high_hz), decay_s * rng.uniform(0.4, 1.3), rng.uniform(0.3, 1))
                for _ in range(3)
            ]
            kernel = struck(rng, *modes)
            x += sparse_convolve(times[mine], size[mine], kernel, n)
    hiss = shaped_noise(rng, n, lambda f: curve(f, {100: -25, 800: -6, 2000: 0, 5000: -2, 8000: -10}))
    x += hiss / hiss.std() * max(float(x.std()), 1e-3) * rng.uniform(0.2, 1.0)
    return x * wander(rng, n, 0.3, rng.uniform(0.5, 2.0))


def wipers(p: NoiseParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    """Two strokes a cycle: a band of rubbing noise each, a thud at each turn, now and then a squeak."""
    t = np.arange(n) / SAMPLE_RATE_HZ
    stroke_s = min(rng.uniform(0.45, 0.8), 0.48 * p.wiper_period_s)
    rub = shaped_noise(rng, n, lambda f: curve(f, {60: -15, 300: 0, 1200: -4, 3000: -14, 8000: -35}))
    within = (t + rng.uniform(0, p.wiper_period_s)) % p.wiper_period_s
    envelope = np.zeros(n)
    for begin, gain in ((0.0, 1.0), (stroke_s, rng.uniform(0.5, 1.0))):
        u = np.clip((within - begin) / stroke_s, 0, 1)
        envelope += gain * np.sin(np.pi * u) ** 1.5
    x = rub / rub.std() * envelope
    if rng.random() < 0.2:
        phase = 2 * np.pi * np.cumsum(rng.uniform(600, 1800) * wander(rng, n, 3, 0.4)) / SAMPLE_RATE_HZ
        x += rng.uniform(0.2, 0.8) * np.sin(phase) * envelope**3
    turns = t[1:][np.diff(within) < 0]
    thud = struck(rng, (rng.uniform(70, 160), 0.02, 1.0))
    return x + sparse_convolve(turns, np.full(turns.size, 3.0), thud, n)


def indicator(rng: np.random.Generator, n: int) -> np.ndarray:
    """Relay tick and tock, 1.4 to 1.6 flashes a second (UN R6 allows 60 to 120 a minute)."""
    period_s = 1 / rng.uniform(1.35, 1.65)
    x = np.zeros(n)
    for delay_s in (0.0, period_s * rng.uniform(0.45, 0.55)):
        times = np.arange(delay_s, n / SAMPLE_RATE_HZ, period_s)
        kernel = struck(rng, (rng.uniform(900, 3500), 0.004, 1.0), (rng.uniform(300, 900), 0.01, 0.5))
        x += sparse_convolve(times, np.ones(times.size), kernel, n)
    return x


def horn(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two disc tones near 420 and 510 Hz with their harmonics, pressed once or twice."""
    t = np.arange(n) / SAMPLE_RATE_HZ
    x = np.zeros(n)
    for tone_hz in (rng.uniform(380, 440), rng.uniform(480, 540)):
        for k in range(1, 9):
            x += k**-0.7 * np.sin(2 * np.pi * k * tone_hz * t + rng.uniform(0, 6.28))
    gate = np.zeros(n)
    for _ in range(int(rng.integers(1, 3))):
        begin = int(rng.uniform(0, 0.9) * n)
        gate[begin : begin + int(rng.uniform(0.15, 1.2) * SAMPLE_RATE_HZ)] = 1
    return x * np.convolve(gate, np.hanning(480) / np.hanning(480).sum(), mode="same")


def potholes(rng: np.random.Generator, n: int) -> np.ndarray:
    """Now and then an axle drops: a thump of the body, a rattle of the trim, the rear axle a moment later."""
    count = 1 + int(rng.poisson(0.15 * n / SAMPLE_RATE_HZ))
    times = rng.uniform(0, n / SAMPLE_RATE_HZ, count)
    x = np.zeros(n)
    for time_s, size in zip(times, rng.lognormal(0, 0.5, count), strict=True):
        body = struck(rng, (rng.uniform(35, 70), 0.06, 1.0), (rng.uniform(90, 220), 0.03, 0.6))
        rattle = struck(rng, *[(rng.uniform(500, 3500), rng.uniform(0.004, 0.02), 0.3) for _ in range(5)])
        axles = np.array([time_s, time_s + rng.uniform(0.08, 0.4)])
        x += sparse_convolve(axles, size * np.array([1.0, rng.uniform(0.5, 1.0)]), body, n)
        x += sparse_convolve(axles + 0.01, size * rng.uniform(0.1, 0.8, 2), rattle, n)
    return x


def passing(p: NoiseParameters, rng: np.random.Generator, n: int) -> np.ndarray:
    """A vehicle going the other way: noise that swells, turns lower (Doppler) and dies away."""
    t = np.arange(n) / SAMPLE_RATE_HZ
    closest_s, distance_m = rng.uniform(0.1, 0.9) * t[-1], rng.uniform(2.0, 8.0)
    speed_m_s = max(p.speed_km_h, 30.0) / 3.6 + rng.uniform(8, 35)
    along_m = speed_m_s * (t - closest_s)
    range_m = np.hypot(along_m, distance_m)
    fall = rng.uniform(3, 6)
    tyres = shaped_noise(
        rng, n, lambda f: curve(f, {40: -6, 200: 0, 1000: -2, 2500: -2 * fall, 8000: -6 * fall})
    )
    hz = rng.uniform(60, 180) * (1 - speed_m_s / 343 * along_m / range_m)
    turns = 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE_HZ
    engine = sum(k ** -rng.uniform(0.6, 1.4) * np.sin(k * turns + rng.uniform(0, 6.28)) for k in range(1, 9))
    return (tyres + rng.uniform(0.1, 0.8) * engine) * distance_m / range_m
