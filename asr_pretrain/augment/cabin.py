"""Simulated car cabins: impulse responses from a mouth to the microphone in the mirror.

A cabin is a small, well damped shoebox whose six surfaces absorb differently (roof lining and seats much,
glass little), simulated by the image-source method of pyroomacoustics. No measured cabin stands behind it.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from asr_pretrain.augment.level import SAMPLE_RATE_HZ
from asr_pretrain.augment.store import load_arrays, save_arrays

SPEED_OF_SOUND_M_S = 343.0
DIRECT_INDEX = 40  # where the direct path stands in every response: half a fractional-delay filter of lead-in
RESPONSE_SAMPLES = 2560  # 160 ms: beyond -55 dB for the most reverberant cabin
CABIN_VERSION = 3  # part of the cache key: raise it when the simulation changes
_BANDS_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
_MAX_ORDER = 20
_MOUTH_PATTERN = 0.75  # subcardioid p + (1 - p) cos: a mouth radiates about 6 dB less to the rear
Seat = Literal["driver", "passenger", "rear"]
Place = Literal["speaker", "talker", "loudspeaker"]
"""Who is heard: the one that speaks to the mirror, another on board, the car's own loudspeakers."""
Trim = Literal["cloth", "leather", "glass roof", "van"]
_TRIM_WEIGHT: dict[Trim, tuple[float, ...]] = {
    "cloth": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "leather": (1.0, 1.0, 1.0, 0.9, 0.6, 1.0),
    "glass roof": (1.0, 1.0, 1.0, 1.0, 1.0, 0.45),
    "van": (1.0, 1.0, 1.0, 0.35, 0.7, 0.8),
}
"""How much the six surfaces absorb, against the nominal car."""
_OPEN_WINDOW_WEIGHT = 5.0
"""Of a side whose window is open: what goes out does not come back."""
CabinKind = Literal["cabin", "wedge"]


@dataclass(frozen=True)
class CabinParameters:
    """Everything that determines one impulse response; lengths in metres, rt60 in seconds at 500 Hz.

    Axes: x across (driver's side small), y from windscreen to rear, z up. ``wall_weight`` already holds what
    trim and an open window absorb.
    """

    size_m: tuple[float, float, float]
    rt60_s: float
    band_rt_factor: tuple[float, ...]
    wall_weight: tuple[float, ...]
    seat: Seat
    mouth_m: tuple[float, float, float]
    microphone_m: tuple[float, float, float]
    trim: Trim = "cloth"
    open_window: Literal["none", "left", "right"] = "none"


@dataclass(frozen=True)
class RirBank:
    """Impulse responses of one part: ``responses (count, samples)``, direct path at ``DIRECT_INDEX``.

    ``talkers`` and ``loudspeakers`` are responses of the same cabins from another seat and from a door.
    """

    ids: tuple[str, ...]
    responses: torch.Tensor
    talkers: torch.Tensor | None = None
    loudspeakers: torch.Tensor | None = None


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
    # Order of pyroomacoustics: sides (glass, trim), windscreen, rear, floor (carpet, seats), roof.
    nominal = np.array([0.8, 0.8, 0.45, 1.2, 1.6, 1.2])
    weight = nominal * rng.uniform(0.7, 1.3, 6)
    rt60_s = float(np.exp(rng.uniform(np.log(0.03), np.log(0.12))))
    # Drawn last: what stands above is as it was before there were these.
    trim: Trim = tuple(_TRIM_WEIGHT)[int(rng.choice(4, p=(0.5, 0.2, 0.15, 0.15)))]
    open_window = ("none", "left", "right")[int(rng.choice(3, p=(0.85, 0.1, 0.05)))]
    weight = weight * np.array(_TRIM_WEIGHT[trim])
    if open_window != "none":
        weight[0 if open_window == "left" else 1] *= _OPEN_WINDOW_WEIGHT
        rt60_s *= 0.85
    return CabinParameters(
        size_m=(width, length, height),
        rt60_s=rt60_s,
        band_rt_factor=tuple(float(v) for v in tilt),
        wall_weight=tuple(float(v) for v in weight),
        seat=seat,
        mouth_m=(float(mouth[0]), float(mouth[1]), float(mouth[2])),
        microphone_m=(float(microphone[0]), float(microphone[1]), float(microphone[2])),
        trim=trim,
        open_window=open_window,  # type: ignore[arg-type]
    )


def elsewhere(cabin: CabinParameters, place: Place, rng: np.random.Generator) -> CabinParameters:
    """The same cabin, heard from another seat (``talker``) or from a door or the dashboard."""
    if place == "speaker":
        return cabin
    width, length, height = cabin.size_m
    if place == "loudspeaker":
        x = rng.choice([0.05, width - 0.05])
        y = rng.uniform(0.3, 0.6 * length)
        z = rng.uniform(0.25, 0.5) if rng.random() < 0.7 else height - rng.uniform(0.4, 0.55)
        return replace(cabin, mouth_m=(float(x), float(y), float(z)))
    near = rng.random() < (0.2 if cabin.seat == "rear" else 0.5) or length < 2.0
    left = rng.random() < 0.5 if near and cabin.seat == "rear" else cabin.mouth_m[0] > width / 2
    x = width * (rng.uniform(0.22, 0.32) if left else rng.uniform(0.68, 0.78))
    y = cabin.microphone_m[1] + (rng.uniform(0.4, 0.85) if near else rng.uniform(1.3, 1.9))
    seat: Seat = ("driver" if left else "passenger") if near else "rear"
    mouth = (float(x), float(min(y, length - 0.15)), float(height - rng.uniform(0.18, 0.6)))
    return replace(cabin, mouth_m=mouth, seat=seat)


def _absorption(parameters: CabinParameters, scale: float) -> np.ndarray:
    """Energy absorption ``(6 walls, bands)`` by Eyring's formula (Eyring 1930), weighted over the walls."""
    width, length, height = parameters.size_m
    area = np.array([length * height] * 2 + [width * height] * 2 + [width * length] * 2)
    weight = np.array(parameters.wall_weight)
    weight = weight * area.sum() / (weight * area).sum()
    rt60_s = parameters.rt60_s * np.array(parameters.band_rt_factor)
    exponent = scale * 0.161 * width * length * height / (area.sum() * rt60_s)
    return np.clip(1 - np.exp(-np.outer(weight, exponent)), 0.02, 0.98)


def _simulate(parameters: CabinParameters, scale: float) -> np.ndarray:
    """Image-source simulation, float64 with the direct path at ``DIRECT_INDEX``."""
    import pyroomacoustics as pra  # heavy: only needed when the cache is empty
    from pyroomacoustics.directivities import CardioidFamily

    names = ("west", "east", "south", "north", "floor", "ceiling")
    materials = {
        name: pra.Material(energy_absorption={"coeffs": row.tolist(), "center_freqs": list(_BANDS_HZ)})
        for name, row in zip(names, _absorption(parameters, scale), strict=True)
    }
    room = pra.ShoeBox(parameters.size_m, fs=SAMPLE_RATE_HZ, materials=materials, max_order=_MAX_ORDER)
    forward = CardioidFamily(np.array([0.0, -1.0, 0.0]), p=_MOUTH_PATTERN)
    room.add_source(parameters.mouth_m, directivity=forward)
    room.add_microphone(parameters.microphone_m)
    room.compute_rir()
    response = np.asarray(room.rir[0][0], dtype=np.float64)
    path_m = np.subtract(parameters.microphone_m, parameters.mouth_m)
    distance_m = float(np.linalg.norm(path_m))
    pattern = _MOUTH_PATTERN - (1 - _MOUTH_PATTERN) * float(path_m[1]) / distance_m
    half_delay_filter = int(pra.constants.get("frac_delay_length")) // 2
    direct = round(distance_m / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ) + half_delay_filter
    kept = response[direct - DIRECT_INDEX : direct - DIRECT_INDEX + RESPONSE_SAMPLES]
    out = np.zeros(RESPONSE_SAMPLES)
    out[: kept.size] = kept * (distance_m / pattern)  # pyroomacoustics: amplitude pattern / distance
    return out


def decay_time_s(response: np.ndarray) -> float:
    """Reverberation time between 400 and 2800 Hz, from the decay of -5 to -25 dB (T20 of ISO 3382-2)."""
    spectrum = np.fft.rfft(response, 2 * response.size)
    frequency_hz = np.fft.rfftfreq(2 * response.size, 1 / SAMPLE_RATE_HZ)
    spectrum[(frequency_hz < 400) | (frequency_hz > 2800)] = 0
    energy = np.square(np.fft.irfft(spectrum)[: response.size])
    left = np.cumsum(energy[::-1])[::-1]
    begin, end = (int(np.argmax(left < left[0] * 10 ** (-db / 10))) for db in (5, 25))
    return 3 * (end - begin) / SAMPLE_RATE_HZ


def impulse_response(parameters: CabinParameters) -> np.ndarray:
    """Simulate the response, float32 ``(RESPONSE_SAMPLES,)`` at 16 kHz.

    The direct path has amplitude 1 and stands at ``DIRECT_INDEX``, whatever the distance, so that
    convolution followed by dropping ``DIRECT_INDEX`` samples shifts nothing in time.
    """
    # Eyring's formula assumes equal walls; two reflecting windows opposite each other ring longer. So the
    # absorption is scaled until the measured decay is the one that was asked for.
    scale = 1.5
    response = _simulate(parameters, scale)
    for _ in range(3):
        ratio = decay_time_s(response) / parameters.rt60_s
        if 0.9 < ratio < 1.1 or scale > 8:
            break
        scale *= float(np.clip(ratio, 0.4, 2.5))
        response = _simulate(parameters, scale)
    fade = RESPONSE_SAMPLES // 8
    response[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    return response.astype(np.float32)


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


def cabin_bank(
    part: str,
    count: int,
    seed: int = 0,
    cache: Path | None = None,
    kind: CabinKind = "cabin",
    company: bool = False,
) -> RirBank:
    """Simulate ``count`` cabins of ``part``, or read them from ``cache``; parts never share a cabin.

    ``kind``: this module's boxes, or the wedges of `asr_pretrain.augment.wedge`, which training never hears.
    ``company``: with the responses of another talker and of the loudspeakers.
    """
    if count < 1:
        raise ValueError(f"cabin_bank: count {count} for part '{part}'; ask for at least one cabin")
    places: tuple[Place, ...] = ("speaker", "talker", "loudspeaker") if company else ("speaker",)
    made = [_responses(part, count, seed, cache, kind, place) for place in places]
    ids = tuple(cabin_id(part, seed, index).replace("cabin", kind, 1) for index in range(count))
    return RirBank(ids, *made)


def _responses(
    part: str, count: int, seed: int, cache: Path | None, kind: CabinKind, place: Place
) -> torch.Tensor:
    """The responses (count, samples) of one place in every cabin."""
    if kind == "wedge":
        from asr_pretrain.augment.wedge import wedge_response

        return torch.from_numpy(np.stack([wedge_response(part, seed, i, place) for i in range(count)]))
    name = "" if place == "speaker" else f"-{place}"
    key = f"cabins-v{CABIN_VERSION}-{part}-{count}-{seed}{name}"
    stored = load_arrays(cache, key, ("responses",))
    if stored is not None and stored["responses"].shape == (count, RESPONSE_SAMPLES):
        return torch.from_numpy(np.array(stored["responses"]))

    def parameters(index: int) -> CabinParameters:
        rng = np.random.default_rng(part_seed(part, seed, index, place))
        return elsewhere(cabin_parameters(part, seed, index), place, rng)

    responses = np.stack([impulse_response(parameters(index)) for index in range(count)])
    save_arrays(cache, key, {"responses": responses})
    return torch.from_numpy(responses)


def describe(parameters: CabinParameters) -> dict[str, object]:
    """Return the parameters as plain values, for a manifest or a report."""
    return asdict(parameters)
