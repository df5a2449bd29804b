"""The fault suite, sound: what a microphone, a cable or a codec may do to the daemon."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.mirror_device.served import Served
from tests.mirror_device.test_sound_files import wav_bytes

fault = pytest.mark.fault
CLI = [sys.executable, "-m", "mirror_device.cli"]


def listened(sound: bytes, folder: Path, model: str | Path) -> subprocess.CompletedProcess[str]:
    """A daemon that hears a WAV file to its end."""
    (folder / "sound.wav").write_bytes(sound)
    document = {
        "models": [str(model)],
        "source": {"kind": "wav", "path": str(folder / "sound.wav")},
        "outlets": {"control": None},
    }
    (folder / "mirror.yaml").write_text(json.dumps(document))
    command = [*CLI, "serve", str(folder / "mirror.yaml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def keywords(done: subprocess.CompletedProcess[str]) -> list[float]:
    return [json.loads(line)["time_s"] for line in done.stdout.splitlines()]


@fault("end of the sound", "what came is decided on, status 0")
def test_end_of_sound(serve: Callable[..., Served], beeps: np.ndarray) -> None:
    served = serve()
    served.hear(beeps)
    assert len(served.end()) == 2


UNSOUND = {
    "digital silence": np.zeros(160000),
    "DC at full scale": np.full(160000, 32767),
    "square wave at full scale": np.where(np.arange(160000) // 40 % 2, 32767, -32768),
    "white noise at full scale": np.random.default_rng(0).integers(-32768, 32767, 160000),
    "single clicks": np.where(np.arange(160000) % 8000, 0, 32767),
}


@fault("digital silence, DC, square wave, noise and clicks at full scale", "no event, no error, status 0")
def test_sounds_that_are_none(tmp_path: Path) -> None:
    sound = np.concatenate(list(UNSOUND.values())).astype("<i2").tobytes()
    done = listened(wav_bytes(sound), tmp_path, "smart_mirror")
    assert done.returncode == 0 and done.stdout == "" and done.stderr == ""


@fault("NaN and infinity in the sound", "an error that names the place, status 75, for a restart")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_a_number(tmp_path: Path, tiny_model: Path, value: float) -> None:
    sound = np.zeros(32000, "<f4")
    sound[20000] = value
    done = listened(wav_bytes(sound.tobytes(), bits=32, code=3), tmp_path, tiny_model)
    assert done.returncode == 75 and "NaN or infinity near 1.00 s" in done.stderr


@fault("denormal floats", "as cheap as silence, no event")
def test_denormals(tmp_path: Path) -> None:
    sound = np.full(160000, 1e-40, "<f4")
    done = listened(wav_bytes(sound.tobytes(), bits=32, code=3), tmp_path, "smart_mirror")
    assert done.returncode == 0 and done.stdout == ""


@fault("microphone clock 100 and 500 ppm fast or slow", "every word is heard, at its time on that clock")
@pytest.mark.parametrize("ppm", [-500, -100, 100, 500])
def test_clock_drift(tmp_path: Path, tiny_model: Path, beeps: np.ndarray, ppm: int) -> None:
    minute = np.tile(beeps, 8)
    drift = 1 + ppm * 1e-6
    sampled = np.interp(np.arange(round(len(minute) * drift)) / drift, np.arange(len(minute)), minute)
    done = listened(wav_bytes(np.rint(sampled).astype("<i2").tobytes()), tmp_path, tiny_model)
    expected = [8 * n + start for n in range(8) for start in (2.0, 5.0)]
    assert np.abs(np.array(keywords(done)) - np.array(expected) * drift).max() < 0.3


@fault("the word twice a second for a minute", "one event each refractory time, none after it stops")
def test_the_word_without_end(tmp_path: Path, tiny_model: Path, beeps: np.ndarray) -> None:
    word = beeps[round(1.95 * 16000) : round(2.45 * 16000)]
    done = listened(
        wav_bytes(np.concatenate([*[word] * 120, beeps[:32000]]).astype("<i2").tobytes()),
        tmp_path,
        tiny_model,
    )
    times = np.array(keywords(done))
    assert 25 <= len(times) <= 40 and np.diff(times).min() >= 1.5 - 0.08 and times[-1] < 61


@fault("input gain 12 dB up or down", "the shipped model hears what it heard before")
def test_gain(tmp_path: Path) -> None:
    from asr_pretrain.synthesis.voices import Voice, speak

    pause = np.zeros(24000, np.int16)
    voices = (Voice(), Voice(accent="en-gb", pitch=65), Voice(variant="f3"), Voice(rate_wpm=130))
    said = np.concatenate([pause, *(part for v in voices for part in (speak("smart mirror", v), pause))])
    said = said.astype(np.float64) * 8000 / np.abs(said).max()
    counts = []
    for gain_db in (-12, 0, 12):
        sound = np.clip(said * 10 ** (gain_db / 20), -32768, 32767).astype("<i2")
        counts.append(len(keywords(listened(wav_bytes(sound.tobytes()), tmp_path, "smart_mirror"))))
    assert counts[1] >= 1 and counts[0] == counts[1] == counts[2], counts
