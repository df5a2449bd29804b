"""Synthetic speech: level, length, variety, exact repetition, speed, and input that cannot be spoken."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from scipy.signal import resample_poly

from asr_pretrain.synthesis.espeak import EspeakError, bearable_melody, engine
from asr_pretrain.synthesis.foreign import FOREIGN_SENTENCES
from asr_pretrain.synthesis.texts import WAKE_PHRASES, draw_foreign, draw_sentence
from asr_pretrain.synthesis.vocal import SAMPLE_RATE_HZ, resample
from asr_pretrain.synthesis.voices import (
    ENGLISH_ACCENTS,
    FOREIGN_ACCENTS,
    PEAK,
    SynthesisError,
    Voice,
    draw_voice,
    speak,
    variants,
    voices,
)

SENTENCE = "Turn the music down and take me to the station"


def spectral_centre_hz(samples: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    return float(np.sum(power * np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)) / power.sum())


@pytest.mark.parametrize("accent", [*ENGLISH_ACCENTS, *FOREIGN_ACCENTS])
def test_every_accent_speaks_english(accent: str) -> None:
    samples = speak("the judge thought this fire is very good, they heard", Voice(accent=accent))
    assert samples.dtype == np.int16 and samples.ndim == 1
    assert 1.5 < len(samples) / SAMPLE_RATE_HZ < 6
    assert np.abs(samples).max() == pytest.approx(PEAK, abs=2)
    assert not samples[:1000].any(), "quiet first"


@pytest.mark.parametrize("language", FOREIGN_SENTENCES)
def test_every_language_speaks_its_own_sentences(language: str) -> None:
    for text in FOREIGN_SENTENCES[language][:3]:
        assert len(speak(text, Voice(accent=language), native=True)) > 0.4 * SAMPLE_RATE_HZ


def test_a_deep_voice_with_a_wide_range_does_not_crash() -> None:
    # The library itself does, where the melody falls below 0 Hz; the engine keeps voices above it.
    assert bearable_melody((82, 118), 50, 50) == (50, 50)
    assert bearable_melody((50, 130), 0, 99) == (28, 50)
    for text in FOREIGN_SENTENCES["es"]:
        engine().synthesize(text, "es+rob", pitch=0, pitch_range=99)
    for text in FOREIGN_SENTENCES["cmn"]:
        engine().synthesize(text, "cmn+rob", pitch=0, pitch_range=99)


def test_the_same_voice_repeats_exactly_whatever_was_said_before() -> None:
    rng = np.random.default_rng(3)
    drawn = [draw_voice(rng) for _ in range(12)] + [Voice(variant="whisper"), Voice(variant="f2", pitch=90)]
    first = [speak("smart mirror", voice) for voice in drawn]
    time.sleep(1.1)  # the library's own random numbers start from the clock, in seconds
    for voice, samples in zip(reversed(drawn), reversed(first), strict=True):
        np.testing.assert_array_equal(speak("smart mirror", voice), samples)


def test_voices_differ() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_voice(rng) for _ in range(300)]
    assert {voice.name for voice in drawn} <= set(voices())
    assert len({voice.name for voice in drawn}) > 200
    foreign = sum(voice.accent in FOREIGN_ACCENTS for voice in drawn) / len(drawn)
    assert 0.25 < foreign < 0.45
    assert len(variants()) > 80 and "Demonic" not in variants()


def test_a_shorter_tract_raises_the_spectrum_and_rate_shortens() -> None:
    plain = speak(SENTENCE, Voice())
    child = speak(SENTENCE, Voice(tract=1.25))
    assert spectral_centre_hz(child) > 1.1 * spectral_centre_hz(plain)
    assert len(speak(SENTENCE, Voice(rate_wpm=230))) < 0.8 * len(speak(SENTENCE, Voice(rate_wpm=120)))
    bright = speak(SENTENCE, Voice(tilt_db=3))
    assert spectral_centre_hz(bright) > 1.1 * spectral_centre_hz(plain)


def test_resampling_agrees_with_scipy() -> None:
    samples = engine().synthesize("smart mirror")[0].astype(np.float32)
    expected = resample_poly(samples.astype(float), 320, 441)
    actual = resample(samples, 22050)
    assert len(actual) == len(expected)
    assert np.abs(actual - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("text", ["", "  ", "\n\t", "...", "\x00"])
@pytest.mark.parametrize("accent", ["en-us", "de"])
def test_text_without_speech_is_refused(text: str, accent: str) -> None:
    with pytest.raises(EspeakError, match="empty|nothing|no phones|silent"):
        speak(text, Voice(accent=accent))


def test_ten_thousand_characters_are_refused_at_once() -> None:
    with pytest.raises(EspeakError, match="10,000 characters"):
        speak("a" * 10_000, Voice())


@pytest.mark.parametrize(
    "voice", [Voice(accent="xx"), Voice(variant="nobody"), Voice(accent="../../etc/passwd")]
)
def test_an_unknown_voice_is_named(voice: Voice) -> None:
    with pytest.raises(EspeakError, match=f"{voice.variant or voice.accent}"):
        speak("hello", voice)


@pytest.mark.parametrize(
    "change", [{"rate_wpm": 10}, {"pitch": 100}, {"tract": 3.0}, {"jitter": float("nan")}, {"breath_db": 3}]
)
def test_parameters_out_of_range_are_named(change: dict[str, float]) -> None:
    with pytest.raises(SynthesisError, match=next(iter(change))):
        dataclasses.replace(Voice(), **change)  # type: ignore[arg-type]


def test_a_failed_call_leaves_the_engine_usable() -> None:
    expected = speak("smart mirror", Voice())
    with pytest.raises(EspeakError):
        speak("hello", Voice(variant="nobody"))
    np.testing.assert_array_equal(speak("smart mirror", Voice()), expected)


def test_sixty_utterances_a_second() -> None:
    rng = np.random.default_rng(1)
    drawn = [draw_voice(rng) for _ in range(40)]
    speak("hello", drawn[0])
    started = time.process_time()
    seconds = sum(len(speak(SENTENCE, voice)) for voice in drawn) / SAMPLE_RATE_HZ
    rate = len(drawn) / (time.process_time() - started)
    assert seconds > 2 * len(drawn)
    assert rate > 30, f"{rate:.0f} a second: half of 60, so that a busy machine passes"


def test_sentences_hold_no_wake_phrase_and_vary() -> None:
    rng = np.random.default_rng(0)
    texts = [draw_sentence(rng) for _ in range(400)]
    assert len(set(texts)) > 350
    assert not any(phrase in text.lower().split() for text in texts for phrase in WAKE_PHRASES)
    assert not any("{" in text or "}" in text for text in texts)
    assert draw_sentence(np.random.default_rng(7)) == draw_sentence(np.random.default_rng(7))


def test_foreign_sentences_are_mandarin_three_times_in_ten() -> None:
    rng = np.random.default_rng(0)
    languages = [draw_foreign(rng)[1] for _ in range(400)]
    assert 0.2 < languages.count("cmn") / 400 < 0.4
    assert len(set(languages)) == len(FOREIGN_SENTENCES)
