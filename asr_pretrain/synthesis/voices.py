"""Synthetic speech for pretraining: many voices out of one formant synthesizer, in this process.

    voice = draw_voice(np.random.default_rng(0))
    samples = speak("smart mirror", voice)      # int16, 16 kHz

A voice is an accent (of English, or a foreign language's), one of espeak-ng's variants, rate and melody, and
a change of the vocal tract made on the waveform. Voices are what synthetic data lacks most, so each of these
is drawn. Never for dev or test of real figures: synthetic speech is cleaner and more regular than people's.
"""

from __future__ import annotations

import functools
import zlib
from dataclasses import asdict, dataclass

import numpy as np

from asr_pretrain.phonemes import stressed_words
from asr_pretrain.synthesis.accents import FOREIGN_ACCENTS, accented
from asr_pretrain.synthesis.espeak import EspeakError, engine
from asr_pretrain.synthesis.vocal import breathe, colour, resample, trim, warp

PEAK = 0.5 * 32768
"""Level of the loudest sample: 6 dB below full scale, so that no later filter clips."""

ENGLISH_ACCENTS: tuple[str, ...] = (
    "en-us",
    "en-us-nyc",
    "en-gb",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
)
"""The bundled accents of English (Caribbean is en-029)."""

# Not human, or (caleb, Reed) with noise that differs at every call.
_UNUSED_VARIANTS = frozenset(
    ("Demonic", "Tweaky", "UniRobot", "anikaRobot", "croak", "robosoft", "caleb", "Reed")
    + tuple(f"robosoft{number}" for number in range(2, 9))
)
_AMERICAN_SHARE, _ENGLISH_SHARE = 0.3, 0.65


class SynthesisError(EspeakError):
    """A voice's parameter is out of range."""


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker. The same text and voice give the same samples.

    Attributes:
        accent: one of `ENGLISH_ACCENTS` or an espeak-ng language (its phonemes speak the English text).
        variant: one of `variants()`, or empty for the language's own voice.
        rate_wpm: words a minute, 80 to 450.
        pitch, pitch_range: 0 to 99; 50 is the variant's own.
        word_gap: pause between words, units of 10 ms, 0 to 50.
        tract: vocal-tract factor, 0.7 to 1.4: above 1 raises formants and pitch and shortens, as a child's.
        tilt_db: spectral slope, dB an octave around 1 kHz, -6 to 6.
        equaliser_db: gains at 150, 500, 1200, 2500 and 5000 Hz, straight between them.
        jitter: standard deviation of the local speed, 0 to 0.1.
        breath_db: level of noise that follows the speech's envelope, relative to it; -100 is none.
        seed: of jitter and breath.
    """

    accent: str = "en-us"
    variant: str = ""
    rate_wpm: int = 160
    pitch: int = 50
    pitch_range: int = 50
    word_gap: int = 0
    tract: float = 1.0
    tilt_db: float = 0.0
    equaliser_db: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    jitter: float = 0.0
    breath_db: float = -100.0
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "rate_wpm": (80, 450),
            "pitch": (0, 99),
            "pitch_range": (0, 99),
            "word_gap": (0, 50),
            "tract": (0.7, 1.4),
            "tilt_db": (-6, 6),
            "jitter": (0, 0.1),
            "breath_db": (-100, 0),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise SynthesisError(f"Voice.{name} = {getattr(self, name)!r}: must be {low} to {high}")

    @property
    def name(self) -> str:
        """Accent and variant, as espeak-ng writes it: `en-us+f3`. Splits keep it whole."""
        return f"{self.accent}+{self.variant}" if self.variant else self.accent

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a manifest or a log."""
        return asdict(self)


@functools.cache
def variants() -> tuple[str, ...]:
    """Variants that sound human and repeat exactly, sorted."""
    return tuple(v for v in engine().variants() if v not in _UNUSED_VARIANTS)


def voices() -> list[str]:
    """Every drawn `accent+variant`, sorted: foreign accents are listed after the English ones."""
    return [
        f"{accent}+{variant}" for accent in (*ENGLISH_ACCENTS, *FOREIGN_ACCENTS) for variant in variants()
    ]


def draw_voice(
    rng: np.random.Generator, accents: tuple[str, ...] | None = None, variant: str | None = None
) -> Voice:
    """A random speaker: about a third American, a third other accents of English, a third foreign.

    Args:
        rng: the only source of chance.
        accents: choose among these with equal chance instead.
        variant: this one instead of a random one.
    """
    if accents is not None:
        accent = str(rng.choice(accents))
    else:
        share = rng.random()
        if share < _AMERICAN_SHARE:
            accent = "en-us"
        else:
            accent = str(rng.choice(ENGLISH_ACCENTS[1:] if share < _ENGLISH_SHARE else FOREIGN_ACCENTS))
    return draw_speaker(rng, accent, variant if variant is not None else str(rng.choice(variants())))


def draw_speaker(rng: np.random.Generator, accent: str, variant: str = "") -> Voice:
    """A random body and manner for a given accent and variant, or for another synthesizer's voice."""
    tract = float(np.clip(rng.normal(1.0, 0.08), 0.82, 1.25))
    return Voice(
        accent=accent,
        variant=variant,
        # A longer tract also slows speech down; the rate makes up for it.
        rate_wpm=int(np.clip(rng.uniform(110, 230) / tract, 80, 260)),
        pitch=int(rng.integers(5, 100)),
        pitch_range=int(rng.integers(10, 100)),
        word_gap=int(rng.choice([0, 0, 0, 1, 2, 4, 8])),
        tract=tract,
        tilt_db=float(rng.uniform(-3.0, 2.0)),
        equaliser_db=tuple(float(gain) for gain in rng.normal(0.0, 3.0, 5)),  # type: ignore[arg-type]
        jitter=float(rng.uniform(0.0, 0.04)),
        breath_db=float(rng.uniform(-60.0, -18.0)),
        seed=int(rng.integers(2**31)),
    )


def speak(text: str, voice: Voice, *, native: bool = False, fresh: bool = True) -> np.ndarray:
    """Speech of a text.

    Args:
        text: English; with `native`, a text of the language that `voice.accent` names.
        voice: who speaks.
        fresh: as of `Engine.synthesize`.

    Returns:
        int16 (n,), mono 16 kHz, peak 6 dB below full scale, 100 ms of quiet around.

    Raises:
        EspeakError: empty or too long text, unknown voice, or nothing to speak.
    """
    english = native or voice.accent.lower().startswith("en")
    # The language is named for the cache's sake: `to_phones` names it, and a text that has been read is not
    # read again, which would change the library's voice in the middle of a sequence.
    samples, rate_hz = engine().synthesize(
        text if english else accented(stressed_words(text, "en-us"), voice.accent),
        voice.name,
        rate_wpm=voice.rate_wpm,
        pitch=voice.pitch,
        pitch_range=voice.pitch_range,
        word_gap=voice.word_gap,
        phonemes=not english,
        fresh=fresh,
    )
    return shape(samples, rate_hz, text, voice)


def shape(samples: np.ndarray, rate_hz: int, text: str, voice: Voice) -> np.ndarray:
    """Change of the speaker made on the waveform: tract, tempo, spectrum, breath, level.

    Args:
        samples: speech of any synthesizer, (n,), at `rate_hz`.
        text: what is said; with `voice.seed` it decides every random number.
        voice: `tract`, `jitter`, `tilt_db`, `equaliser_db`, `breath_db` and `seed` are used.

    Returns:
        int16 (n,), mono 16 kHz, peak 6 dB below full scale, 100 ms of quiet around.

    Raises:
        SynthesisError: silence.
    """
    rng = np.random.default_rng([voice.seed, zlib.crc32(text.encode())])
    speech = resample(samples.astype(np.float32), rate_hz * voice.tract)
    if not np.any(speech):
        raise SynthesisError(f"voice {voice.name!r} is silent for {text[:60]!r}: choose another voice")
    if voice.jitter > 0:
        speech = warp(speech, voice.jitter, rng)
    if voice.tilt_db or any(voice.equaliser_db):
        speech = colour(speech, voice.tilt_db, voice.equaliser_db)
    speech = trim(speech)
    if voice.breath_db > -100:
        speech = breathe(speech, voice.breath_db, rng)
    speech = speech * (PEAK / np.abs(speech).max())
    return np.round(speech).astype(np.int16)
