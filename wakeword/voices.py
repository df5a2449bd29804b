"""A voice that nobody has, drawn: another body for a real articulation.

How high and how lively it speaks, how long its tract is and how throat and mouth share that length, how its
vowels lie, its pace syllable by syllable, its tilt and breath.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wakeword.world import SAMPLE_RATE_HZ, Analysed, between, paced, sound

_PITCH_HZ = (75.0, 380.0)
"""Where people's mean pitch lies, from low men to small children."""


@dataclass(frozen=True)
class VoiceChange:
    """One pseudo-voice, relative to the voice of the take."""

    seed: int
    pitch_ratio: float
    pitch_range: float
    """Liveliness: the deviation of log pitch from its mean is multiplied by it."""
    warp_low: float
    """Formants below 1.2 kHz move by this factor, those above 3 kHz by `warp_high`."""
    warp_high: float
    vowel_drift: float
    """Depth of a slow wander of the formants: other vowels, an accent."""
    tilt_db_per_octave: float
    equaliser_db: tuple[float, ...]
    breath: float
    """Exponent of the aperiodicity: below 1 breathier, above 1 clearer."""
    whispered: bool
    pace: tuple[float, ...]
    """Durations of as many equal parts of the take, by factor."""


def draw_voice(rng: np.random.Generator, mean_pitch_hz: float) -> VoiceChange:
    """Draw a voice whose pitch is one that people have."""
    target_hz = float(np.exp(rng.uniform(*np.log(_PITCH_HZ))))
    ratio = float(np.clip(target_hz / max(mean_pitch_hz, 50.0), 0.5, 2.2))
    # A higher voice mostly has a shorter tract; the rest is chance.
    length = float(np.exp(0.22 * np.log(ratio) + rng.normal(0, 0.07)))
    return VoiceChange(
        seed=int(rng.integers(2**62)),
        pitch_ratio=ratio,
        pitch_range=float(np.exp(rng.uniform(np.log(0.5), np.log(1.7)))),
        warp_low=float(np.clip(length * np.exp(rng.normal(0, 0.05)), 0.78, 1.3)),
        warp_high=float(np.clip(length * np.exp(rng.normal(0, 0.04)), 0.8, 1.25)),
        vowel_drift=float(abs(rng.normal(0, 0.05))),
        tilt_db_per_octave=float(rng.normal(0, 1.5)),
        equaliser_db=tuple(float(v) for v in rng.normal(0, 2.5, 6)),
        breath=float(np.exp(rng.normal(0, 0.4))),
        whispered=bool(rng.random() < 0.03),
        pace=tuple(float(v) for v in np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.13, 4))),
    )


def speak(take: Analysed, voice: VoiceChange, change: np.ndarray | None = None) -> np.ndarray:
    """The take in another voice, int16 (n,) with its peak where the envelope puts it.

    ``change`` is added to the log envelope first, (frames, bins) as the take has them.
    """
    rng = np.random.default_rng(voice.seed)
    log_envelope = np.log(np.maximum(take.envelope, 1e-16))
    if change is not None:
        log_envelope = log_envelope + change
    at = paced(len(take.pitch_hz), voice.pace)
    nearest = np.clip(np.rint(at).astype(np.int64), 0, len(take.pitch_hz) - 1)
    pitch, aperiodicity = take.pitch_hz[nearest], take.aperiodicity[nearest]
    log_envelope = between(log_envelope, at)
    voiced = pitch > 0
    mean = np.log(take.mean_pitch_hz)
    lively = mean + (np.log(np.where(voiced, pitch, 1.0)) - mean) * voice.pitch_range
    new_pitch = np.where(voiced & (not voice.whispered), np.exp(lively) * voice.pitch_ratio, 0.0)
    new_pitch = np.where(new_pitch > 0, np.clip(new_pitch, 50.0, 700.0), 0.0)
    warped = _warped(log_envelope, voice, rng) + _colour(log_envelope.shape[1], voice)
    breathy = (
        np.clip(aperiodicity, 1e-6, 1.0) ** voice.breath
        if not voice.whispered
        else np.ones_like(aperiodicity)
    )
    return sound(new_pitch, warped, breathy)


def _warped(log_envelope: np.ndarray, voice: VoiceChange, rng: np.random.Generator) -> np.ndarray:
    """Formants moved by a factor that goes from one value below 1.2 kHz to one above 3 kHz, and wanders."""
    n_frames, n_bins = log_envelope.shape
    hz = np.linspace(0, SAMPLE_RATE_HZ / 2, n_bins)
    share = np.clip((hz - 1200) / 1800, 0, 1)
    factor = voice.warp_low * (1 - share) + voice.warp_high * share
    knots = rng.normal(0, voice.vowel_drift, max(3, n_frames // 30 + 2))
    drift = np.interp(np.linspace(0, len(knots) - 1, n_frames), np.arange(len(knots)), knots)
    out = np.empty_like(log_envelope)
    for i in range(n_frames):
        moved = factor * np.exp(drift[i] * (1 - share))
        out[i] = np.interp(hz / moved, hz, log_envelope[i])
    return out


def _colour(n_bins: int, voice: VoiceChange) -> np.ndarray:
    """Tilt and equaliser as log power (n_bins,)."""
    hz = np.linspace(0, SAMPLE_RATE_HZ / 2, n_bins)
    octave = np.log2(np.clip(hz, 100, 8000) / 1000)
    bands = np.linspace(np.log2(0.15), np.log2(7.0), len(voice.equaliser_db))
    gain_db = voice.tilt_db_per_octave * octave + np.interp(octave, bands, voice.equaliser_db)
    return gain_db * np.log(10) / 10
