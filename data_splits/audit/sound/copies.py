"""What people do to a recording before it turns up again, and made-up words to do it to."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.signal import lfilter, resample_poly

from data_splits.audio import SAMPLE_RATE_HZ, to_int16
from data_splits.audit.sound.levels import FRAME
from data_splits.codecs import decode, encode_opus

COPIES: Final = (
    "gain",
    "crop",
    "offset",
    "opus",
    "noise 10 dB",
    "speed 0.98",
    "speed 0.99",
    "speed 1.01",
    "speed 1.02",
)
_ACTIVE_DB: Final = 25.0


def make_copy(kind: str, samples: np.ndarray, seed: int) -> np.ndarray:
    """One changed copy.

    Args:
        kind: of `COPIES`: gain of -12 to 12 dB; 50 to 90 % of the recording; up to 0.5 s of faint noise put
            in front and some samples cut off; Ogg Opus; pink noise 10 dB below active speech; another speed.
        samples: int16, shape (n,), 16 kHz.
        seed: of the copy's drawing.

    Returns:
        int16, another length.

    Raises:
        ValueError: an unknown kind.
    """
    rng = np.random.default_rng(seed)
    scaled = samples / 32768.0
    name, _, value = kind.partition(" ")
    if name == "gain":
        return to_int16(scaled * 10 ** (rng.uniform(-12, 12) / 20))
    if name == "crop":
        length = int(len(samples) * rng.uniform(0.5, 0.9))
        start = int(rng.integers(0, len(samples) - length + 1))
        return samples[start : start + length].copy()
    if name == "offset":
        before = rng.normal(0, 1e-4, int(rng.integers(100, SAMPLE_RATE_HZ // 2)))
        return to_int16(np.concatenate([before, scaled])[37:])
    if name == "opus":
        return decode(encode_opus(samples))
    if name == "noise":
        return to_int16(scaled + _pink(len(samples), rng) * _active(scaled) * 10 ** (-float(value[:-3]) / 20))
    if name == "speed":
        return to_int16(resample_poly(scaled, 100, round(100 * float(value))))
    raise ValueError(f"{kind!r}: not one of {', '.join(COPIES)}")


def babble_word(word: int, take: int, voice: int = 0) -> np.ndarray:
    """A made-up word: the same syllables in every take, with other timing, pitch and accents of formants.

    Returns:
        int16, about 1 s at 16 kHz, between silences.
    """
    spoken, said = np.random.default_rng((1, word)), np.random.default_rng((2, word, take, voice))
    parts = [said.normal(0, 1e-4, int(said.uniform(0.1, 0.3) * SAMPLE_RATE_HZ))]
    pitch_hz = float(np.random.default_rng((3, voice)).uniform(90, 220))
    for _ in range(4):
        formants_hz = spoken.uniform((300, 900, 2200), (800, 2100, 3200))
        length_s = spoken.uniform(0.12, 0.3) * said.uniform(0.85, 1.15)
        pitch_hz *= float(spoken.uniform(0.9, 1.1))
        parts.append(_syllable(formants_hz, length_s, pitch_hz * said.uniform(0.95, 1.05), said))
    parts.append(said.normal(0, 1e-4, int(said.uniform(0.1, 0.3) * SAMPLE_RATE_HZ)))
    return to_int16(np.concatenate(parts))


def _syllable(
    formants_hz: np.ndarray, length_s: float, pitch_hz: float, rng: np.random.Generator
) -> np.ndarray:
    n = int(length_s * SAMPLE_RATE_HZ)
    time_s = np.arange(n) / SAMPLE_RATE_HZ
    glide = pitch_hz * (1 + rng.uniform(-0.1, 0.1) * time_s / length_s)
    phase = np.cumsum(glide) / SAMPLE_RATE_HZ
    source = np.diff(np.floor(phase), prepend=0.0) + rng.normal(0, 0.02, n)
    for formant_hz in formants_hz * rng.uniform(0.96, 1.04, 3):
        radius = np.exp(-np.pi * 80 / SAMPLE_RATE_HZ)
        angle = 2 * np.pi * formant_hz / SAMPLE_RATE_HZ
        source = lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], source)
    shaped = source * np.sin(np.pi * time_s / length_s) ** 0.5
    return 0.3 * shaped / max(float(np.abs(shaped).max()), 1e-9)


def _pink(n: int, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), len(spectrum) / 200))
    noise = np.fft.irfft(spectrum, n)
    return noise / max(float(noise.std()), 1e-12)


def _active(scaled: np.ndarray) -> float:
    """RMS of the 20 ms frames within 25 dB of the loudest."""
    n_frames = max(1, len(scaled) // FRAME)
    energy = (scaled[: n_frames * FRAME].reshape(n_frames, -1) ** 2).mean(axis=1)
    return float(np.sqrt(energy[energy >= energy.max() * 10 ** (-_ACTIVE_DB / 10)].mean()))
