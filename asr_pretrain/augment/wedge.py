"""A second kind of simulated cabin, for judging: a wedge with sloping glass, and a diffuse tail.

Nothing is shared with `asr_pretrain.augment.cabin` but the interface: there a shoebox and image sources to
the end, by pyroomacoustics; here six planes as a car has them (raked windscreen and rear window, leaning
sides), mirrored up to the second order, and behind that Gaussian noise that decays in each octave (J.-D.
Polack's model, thesis, Le Mans, 1988). Who does well in one kind of cabin only has learnt the simulator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from asr_pretrain.augment.cabin import DIRECT_INDEX, RESPONSE_SAMPLES, SPEED_OF_SOUND_M_S, Place, part_seed
from asr_pretrain.augment.level import SAMPLE_RATE_HZ

_OCTAVES_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
_TAPS = 41
"""Of the filter that gives a reflection its absorption and its fraction of a sample; a response starts with
half of them before the direct path."""
_CLEARANCE_M = 0.02
Seat = Literal["driver", "passenger", "rear left", "rear right"]
SEATS: tuple[Seat, ...] = ("driver", "passenger", "rear left", "rear right")


@dataclass(frozen=True)
class WedgeParameters:
    """What determines one impulse response; metres and seconds.

    Axes: x across, y from the mirror to the rear, z up from the floor.
    """

    normals: tuple[tuple[float, float, float], ...]
    """Of the six planes, pointing inwards."""
    offsets_m: tuple[float, ...]
    """``normal · point + offset`` is above 0 inside."""
    absorption: tuple[tuple[float, ...], ...]
    """Energy absorbed by each plane in each octave."""
    decay_s: tuple[float, ...]
    """Reverberation time in each octave."""
    mixing_s: float
    """When the diffuse tail sets in."""
    tail_db: float
    """Of the tail at its start, against the reflections before it."""
    seat: Seat
    mouth_m: tuple[float, float, float]
    microphone_m: tuple[float, float, float]
    scatter_seed: int


def _plane(point: np.ndarray, inward: np.ndarray) -> tuple[tuple[float, float, float], float]:
    normal = inward / np.linalg.norm(inward)
    return (float(normal[0]), float(normal[1]), float(normal[2])), float(-normal @ point)


def draw_wedge(rng: np.random.Generator) -> WedgeParameters:
    """Draw a cabin, a seat, and where mouth and microphone are. Wider ranges than training's boxes."""
    while True:
        drawn = _draw(rng)
        inside = np.array(drawn.normals) @ np.array([drawn.mouth_m, drawn.microphone_m]).T
        if (inside + np.array(drawn.offsets_m)[:, None]).min() > _CLEARANCE_M:
            return drawn


def _draw(rng: np.random.Generator) -> WedgeParameters:
    width, height = rng.uniform(1.25, 1.8), rng.uniform(1.1, 1.6)
    length = rng.uniform(1.6, 3.6)
    windscreen, rear = np.radians(rng.uniform(25, 50)), np.radians(rng.uniform(30, 90))
    lean = np.radians(rng.uniform(2, 14), dtype=np.float64)  # the sides lean inwards at the top
    microphone = np.array(
        [width / 2 + rng.uniform(-0.1, 0.1), rng.uniform(0.02, 0.2), height - rng.uniform(0.08, 0.22)]
    )
    glass_inwards = np.array([0, np.sin(windscreen), -np.cos(windscreen)])
    behind_mirror = microphone - rng.uniform(0.04, 0.2) * glass_inwards
    planes = [
        _plane(np.array([0.0, 0, 0.5]), np.array([np.cos(lean), 0, -np.sin(lean)])),
        _plane(np.array([width, 0, 0.5]), np.array([-np.cos(lean), 0, -np.sin(lean)])),
        _plane(behind_mirror, glass_inwards),
        _plane(np.array([0, length, 0.6 * height]), np.array([0, -np.sin(rear), -np.cos(rear)])),
        _plane(np.zeros(3), np.array([0.0, 0, 1])),
        _plane(np.array([0, 0, height]), np.array([0.0, 0, -1])),
    ]
    glass = np.array([0.12, 0.08, 0.06, 0.05, 0.05, 0.05, 0.06])
    trim = np.array([0.10, 0.18, 0.30, 0.40, 0.50, 0.55, 0.60])
    seats = np.array([0.20, 0.40, 0.65, 0.80, 0.85, 0.85, 0.85])
    share = rng.uniform(0.3, 0.8)  # of a side that is glass
    nominal = [share * glass + (1 - share) * trim] * 2 + [glass, rng.uniform(0.2, 0.9) * seats, seats, trim]
    spread = rng.uniform(0.6, 1.5, (6, len(_OCTAVES_HZ)))
    opened = rng.random() < 0.15  # a window is open: nothing comes back from most of that side
    absorption = np.clip(np.array(nominal) * spread, 0.02, 0.97)
    if opened:
        absorption[int(rng.integers(2))] = rng.uniform(0.7, 0.95)
    seat = SEATS[int(rng.choice(4, p=(0.5, 0.26, 0.12, 0.12)))]
    far = seat.startswith("rear")
    left = seat in ("driver", "rear left")
    mouth = np.array(
        [
            width * (rng.uniform(0.2, 0.34) if left else rng.uniform(0.66, 0.8)),
            min(rng.uniform(1.2, 2.0) if far else rng.uniform(0.35, 0.95), length - 0.2),
            height - rng.uniform(0.15, 0.5),
        ]
    )
    base_s = np.exp(rng.uniform(np.log(0.025), np.log(0.14)))
    decay = base_s * np.linspace(rng.uniform(1.1, 1.9), rng.uniform(0.5, 0.9), len(_OCTAVES_HZ))
    return WedgeParameters(
        normals=tuple(normal for normal, _ in planes),
        offsets_m=tuple(offset for _, offset in planes),
        absorption=tuple(tuple(float(v) for v in row) for row in absorption),
        decay_s=tuple(float(v) for v in decay),
        mixing_s=float(rng.uniform(0.006, 0.014)),
        tail_db=float(rng.uniform(-9, 0)),
        seat=seat,
        mouth_m=tuple(float(v) for v in mouth),  # type: ignore[arg-type]
        microphone_m=tuple(float(v) for v in microphone),  # type: ignore[arg-type]
        scatter_seed=int(rng.integers(2**62)),
    )


def _reflections(p: WedgeParameters) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images of the mouth that the microphone sees, up to the second order, with their amplitudes by octave.

    The direct path comes first. A path counts when it meets each plane inside the cabin.
    """
    normals, offsets = np.array(p.normals), np.array(p.offsets_m)
    kept = np.sqrt(1 - np.array(p.absorption))
    mouth, microphone = np.array(p.mouth_m), np.array(p.microphone_m)

    def mirrored(point: np.ndarray, plane: int) -> np.ndarray:
        return point - 2 * (normals[plane] @ point + offsets[plane]) * normals[plane]

    def meets(start: np.ndarray, image: np.ndarray, plane: int) -> np.ndarray | None:
        """Where the way from ``start`` to ``image`` meets the plane, if that is inside the cabin."""
        before, after = (normals[plane] @ x + offsets[plane] for x in (start, image))
        if before <= 0 or after >= 0:
            return None
        point = start + (image - start) * before / (before - after)
        return point if (normals @ point + offsets > -1e-6).all() else None

    images = [(mouth, np.ones(len(_OCTAVES_HZ)))]
    for first in range(len(normals)):
        once = mirrored(mouth, first)
        if meets(microphone, once, first) is not None:
            images.append((once, kept[first]))
        for second in range(len(normals)):
            twice = mirrored(once, second)
            point = meets(microphone, twice, second) if second != first else None
            if point is not None and meets(point, once, first) is not None:
                images.append((twice, kept[first] * kept[second]))
    return images


def _octave_filter(amplitudes: np.ndarray, fraction: float) -> np.ndarray:
    """Linear-phase taps with these amplitudes by octave, delayed by ``fraction`` of a sample more."""
    n_fft = 512
    frequency_hz = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ)
    gain = np.interp(np.log(np.maximum(frequency_hz, 60)), np.log(_OCTAVES_HZ), amplitudes)
    phase = np.exp(-2j * np.pi * np.arange(gain.size) / n_fft * (_TAPS // 2 + fraction))
    return np.fft.irfft(gain * phase)[:_TAPS] * np.hanning(_TAPS + 2)[1:-1]


def _tail(p: WedgeParameters, n_samples: int) -> np.ndarray:
    """Decaying noise, octave by octave, energy 1 in its first 5 ms."""
    rng = np.random.default_rng(p.scatter_seed)
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    frequency_hz = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ)
    octave = np.log2(np.maximum(frequency_hz, 1.0))
    centres = np.log2(_OCTAVES_HZ)
    total = np.zeros(n_samples)
    for centre, decay_s in zip(centres, p.decay_s, strict=True):
        near = np.clip(1 - np.abs(octave - centre), 0, 1) ** 0.5  # neighbours add up to the same power
        if centre == centres[0]:
            near[octave < centre] = 1
        noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n_samples)) * near, n_samples)
        total += noise * 10 ** (-3 * time_s / decay_s)
    return total / np.sqrt(np.square(total[: SAMPLE_RATE_HZ // 200]).sum())


def impulse_response(p: WedgeParameters, n_samples: int, direct_index: int) -> np.ndarray:
    """The response, float32 ``(n_samples,)`` at 16 kHz, its direct path of amplitude 1 at ``direct_index``.

    Raises ValueError when ``direct_index`` leaves no room for the filter before it.
    """
    if direct_index < _TAPS // 2:
        raise ValueError(f"direct_index {direct_index}: at least {_TAPS // 2} samples are needed before it")
    microphone = np.array(p.microphone_m)
    out = np.zeros(n_samples + _TAPS)
    images = _reflections(p)
    nearest_m = float(np.linalg.norm(images[0][0] - microphone))
    for image, amplitudes in images:
        distance_m = float(np.linalg.norm(image - microphone))
        delay = (distance_m - nearest_m) / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ
        at = direct_index + int(delay) - _TAPS // 2
        if 0 <= at < n_samples:
            out[at : at + _TAPS] += _octave_filter(amplitudes, delay % 1) * nearest_m / distance_m
    out = out[:n_samples]
    begin = direct_index + int(p.mixing_s * SAMPLE_RATE_HZ)
    early = np.sqrt(np.square(out[direct_index + _TAPS // 2 : begin]).sum())
    rise = np.ones(n_samples - begin)
    ramp = min(SAMPLE_RATE_HZ // 250, rise.size)
    rise[:ramp] = np.linspace(0, 1, ramp)
    out[begin:] += early * 10 ** (p.tail_db / 20) * _tail(p, rise.size) * rise
    fade = n_samples // 8
    out[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    return out.astype(np.float32)


def _elsewhere(p: WedgeParameters, rng: np.random.Generator) -> WedgeParameters:
    """The same cabin, heard from anywhere else in it."""
    normals, offsets = np.array(p.normals), np.array(p.offsets_m)
    while True:
        point = np.array([rng.uniform(0.05, 1.7), rng.uniform(0.3, 3.0), rng.uniform(0.2, 1.3)])
        if (normals @ point + offsets).min() > _CLEARANCE_M and np.linalg.norm(point - p.mouth_m) > 0.4:
            return replace(p, mouth_m=(float(point[0]), float(point[1]), float(point[2])))


def wedge_response(part: str, seed: int, index: int, place: Place = "speaker") -> np.ndarray:
    """The response of wedge ``index`` of ``part``, as `cabin_bank` holds it."""
    wedge = draw_wedge(np.random.default_rng(part_seed(part, seed, index, "wedge")))
    if place != "speaker":
        wedge = _elsewhere(wedge, np.random.default_rng(part_seed(part, seed, index, f"wedge-{place}")))
    return impulse_response(wedge, RESPONSE_SAMPLES, DIRECT_INDEX)
