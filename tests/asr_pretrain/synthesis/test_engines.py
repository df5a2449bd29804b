"""Every installed synthesizer: level, repetition whatever was said before, pitch and tract that are heard."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import pytest

from asr_pretrain.synthesis.engines import ENGINES, Synthesizer, synthesizer
from asr_pretrain.synthesis.espeak import EspeakError
from asr_pretrain.synthesis.voices import PEAK

TEXT = "turn the music down and take me to the station"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Synthesizer:
    found = synthesizer(request.param)
    if found.version() is None:
        pytest.skip(found.INSTALL)
    return found


def test_speech_is_level_and_repeats_whatever_was_said_before(engine: Synthesizer) -> None:
    rng = np.random.default_rng(0)
    voices = [engine.draw_voice(rng) for _ in range(6)]

    def take(voice) -> np.ndarray:  # type: ignore[no-untyped-def]
        engine.start_voice(voice)
        return np.concatenate([engine.speak("smart mirror", voice), engine.speak(TEXT, voice)])

    first = [take(voice) for voice in voices]
    for voice, samples in zip(reversed(voices), reversed(first), strict=True):
        assert samples.dtype == np.int16 and 2 < len(samples) / 16000 < 12
        assert np.abs(samples).max() == pytest.approx(PEAK, abs=2)
        np.testing.assert_array_equal(take(voice), samples)


def test_voices_change_with_tract_and_seed(engine: Synthesizer) -> None:
    voice = dataclasses.replace(engine.draw_voice(np.random.default_rng(1)), tract=0.9)
    samples = []
    for change in ({}, {"tract": 1.25}, {"seed": 5}):
        engine.start_voice(voice)
        samples.append(engine.speak(TEXT, dataclasses.replace(voice, **change)))  # type: ignore[arg-type]
    assert len(samples[1]) < 0.85 * len(samples[0])
    assert len({take.tobytes() for take in samples}) == 3


def test_what_cannot_be_said_leaves_the_synthesizer_usable(engine: Synthesizer) -> None:
    voice = engine.draw_voice(np.random.default_rng(2))
    engine.start_voice(voice)
    expected = engine.speak("hello", voice)
    for text in ('"', "\\", ".", "", "(", '") (quit) ("'):
        with contextlib.suppress(EspeakError):  # and nothing else
            engine.speak(text, voice)
        engine.start_voice(voice)
        np.testing.assert_array_equal(engine.speak("hello", voice), expected)
