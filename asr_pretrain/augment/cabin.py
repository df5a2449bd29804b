"""Simulated car cabins: impulse responses from a mouth to the microphone in the mirror.

A cabin is a small, well damped shoebox whose six surfaces absorb differently (roof lining and seats much,
glass little), simulated by the image-source method of pyroomacoustics. No measured cabin stands behind it.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from asr_pretrain.augment.level import SAMPLE_RATE_HZ
from asr_pretrain.augment.store import load_arrays, save_arrays

SPEED_OF_SOUND_M_S = 343.0
DIRECT_INDEX = 40  # where the direct path stands in every response: half a fractional-delay filter of lead-in
RESPONSE_SAMPLES = 2560  # 160 ms: beyond -55 dB for the most reverberant cabin
CABIN_VERSION = 1  # part of the cache key: raise it when the simulation changes
_BANDS_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
_MAX_ORDER = 20
Seat = Literal["driver", "passenger", "rear"]


@dataclass(frozen=True)
class CabinParameters:
    """Everything that determines one impulse response; lengths in metres, rt60 in seconds at 500 Hz.

    Axes: x across (driver's side small), y from windscreen to rear, z up.
    """

    size_m: tuple[float, float, float]
    rt60_s: float
    band_rt_factor: tuple[float, ...]
    wall_weight: tuple[float, ...]
    seat: Seat
    mouth_m: tuple[float, float, float]
    microphone_m: tuple[float, float, float]


@dataclass(frozen=True)
class RirBank:
    """Impulse responses of one part: ``responses (count, samples)``, direct path at ``DIRECT_INDEX``."""

    ids: tuple[str, ...]
    responses: torch.Tensor


def draw_cabin(rng: np.random.Generator) -> CabinParameters:
    """Draw a cabin, a seat, and where mouth and microphone are."""
    width, height, length = rng.uniform(1.3, 1.7), rng.uniform(1.2, 1.5), rng.uniform(1.8, 3.2)
    seat: Seat = ("driver", "passenger", "rear")[int(rng.choice(3, p=(0.55, 0.27, 0.18)))]  # type: ignore[assignment]
    microphone = (
        width / 2 + rng.uniform(-0.06, 0.06),
        rng.uniform(0.08, 0.30),
        height - rng.uniform(0.08, 0.25),
    )
    if seat == "rear":
        x = width * rng.uniform(0.2, 0.8)
        y = min(microphone[1] + rng.uniform(1.3, 1.9), length - 0.15)
    else:
        x = width * (rng.uniform(0.22, 0.32) if seat == "driver" else rng.uniform(0.68, 0.78))
        y = microphone[1] + rng.uniform(0.4, 0.85)
    mouth = (x, y, height - rng.uniform(0.18, 0.45))
    # Small volumes keep their low frequencies: foam and cloth absorb little below 500 Hz.
    tilt = np.linspace(1.5, 0.65, len(_BANDS_HZ)) * rng.uniform(0.85, 1.15, len(_BANDS_HZ))
    # Order of pyroomacoustics: sides (glass above, trim below), windscreen, rear, floor (carpet, seats), roof.
    nominal = np.array([0.8, 0.8, 0.45, 1.2, 1.6, 1.2])
    weight = nominal * rng.uniform(0.7, 1.3, 6)
    return CabinParameters(
        size_m=(width, length, height),
        rt60_s=float(np.exp(rng.uniform(np.log(0.03), np.log(0.12)))),
        band_rt_factor=tuple(float(v) for v in tilt),
        wall_weight=tuple(float(v) for v in weight),
        seat=seat,
        mouth_m=(float(mouth[0]), float(mouth[1]), float(mouth[2])),
        microphone_m=(float(microphone[0]), float(microphone[1]), float(microphone[2])),
    )


def _absorption(parameters: CabinParameters) -> np.ndarray:
    """Energy absorption ``(6 walls, bands)`` by Eyring's formula (Eyring 1930), weighted over the walls."""
    width, length, height = parameters.size_m
    area = np.array([length * height] * 2 + [width * height] * 2 + [width * length] * 2)
    weight = np.array(parameters.wall_weight)
    weight = weight * area.sum() / (weight * area).sum()
    rt60_s = parameters.rt60_s * np.array(parameters.band_rt_factor)
    exponent = 0.161 * width * length * height / (area.sum() * rt60_s)
    return np.clip(1 - np.exp(-np.outer(weight, exponent)), 0.02, 0.98)


def impulse_response(parameters: CabinParameters) -> np.ndarray:
    """Simulate the response, float32 ``(RESPONSE_SAMPLES,)`` at 16 kHz.

    The direct path has amplitude 1 and stands at ``DIRECT_INDEX``, whatever the distance, so that
    convolution followed by dropping ``DIRECT_INDEX`` samples shifts nothing in time.
    """
    import pyroomacoustics as pra  # heavy: only needed when the cache is empty

    absorption = _absorption(parameters)
    names = ("west", "east", "south", "north", "floor", "ceiling")
    materials = {
        name: pra.Material(energy_absorption={"coeffs": row.tolist(), "center_freqs": list(_BANDS_HZ)})
        for name, row in zip(names, absorption, strict=True)
    }
    room = pra.ShoeBox(parameters.size_m, fs=SAMPLE_RATE_HZ, materials=materials, max_order=_MAX_ORDER)
    room.add_source(parameters.mouth_m)
    room.add_microphone(parameters.microphone_m)
    room.compute_rir()
    response = np.asarray(room.rir[0][0], dtype=np.float64)
    distance_m = float(np.linalg.norm(np.subtract(parameters.mouth_m, parameters.microphone_m)))
    half_delay_filter = int(pra.constants.get("frac_delay_length")) // 2
    direct = round(distance_m / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ) + half_delay_filter
    kept = response[direct - DIRECT_INDEX : direct - DIRECT_INDEX + RESPONSE_SAMPLES]
    out = np.zeros(RESPONSE_SAMPLES)
    out[: kept.size] = kept * distance_m  # pyroomacoustics gives the direct path the amplitude 1 / distance
    fade = RESPONSE_SAMPLES // 8
    out[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    return out.astype(np.float32)


def part_seed(part: str, seed: int, index: int, purpose: str) -> np.random.SeedSequence:
    """Return a seed that no other part, purpose, seed or index shares."""
    digest = hashlib.sha256(f"{purpose}/{part}/{seed}/{index}".encode()).digest()
    return np.random.SeedSequence(int.from_bytes(digest[:16], "big"))


def cabin_parameters(part: str, seed: int, index: int) -> CabinParameters:
    """Return the parameters of cabin ``index`` of ``part``: what its id stands for."""
    return draw_cabin(np.random.default_rng(part_seed(part, seed, index, "cabin")))


def cabin_id(part: str, seed: int, index: int) -> str:
    """Return e.g. ``cabin-train-0007`` (seed 0) or ``cabin-train-s3-0007``."""
    return f"cabin-{part}-{index:04d}" if seed == 0 else f"cabin-{part}-s{seed}-{index:04d}"


def cabin_bank(part: str, count: int, seed: int = 0, cache: Path | None = None) -> RirBank:
    """Simulate ``count`` cabins of ``part``, or read them from ``cache``; parts never share a cabin."""
    if count < 1:
        raise ValueError(f"cabin_bank: count {count} for part '{part}'; ask for at least one cabin")
    key = f"cabins-v{CABIN_VERSION}-{part}-{count}-{seed}"
    ids = tuple(cabin_id(part, seed, index) for index in range(count))
    stored = load_arrays(cache, key, ("responses",))
    if stored is not None and stored["responses"].shape == (count, RESPONSE_SAMPLES):
        return RirBank(ids, torch.from_numpy(np.array(stored["responses"])))
    responses = np.stack([impulse_response(cabin_parameters(part, seed, i)) for i in range(count)])
    save_arrays(cache, key, {"responses": responses})
    return RirBank(ids, torch.from_numpy(responses))


def describe(parameters: CabinParameters) -> dict[str, object]:
    """Return the parameters as plain values, for a manifest or a report."""
    return asdict(parameters)
