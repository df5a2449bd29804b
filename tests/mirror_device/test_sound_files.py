"""WAV files of every kind and rate, with a low-pass, and clear errors for the others."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mirror_device.errors import SoundError
from mirror_device.resample import Resampler, ToMono16k
from mirror_device.wav import WavFile

RATES_HZ = (8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000)


def tone(frequency_hz: float, rate_hz: int, seconds: float = 1.0, amplitude: float = 10000.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(rate_hz * seconds)) / rate_hz)


def wav_bytes(
    content: bytes,
    *,
    rate_hz: int = 16000,
    channels: int = 1,
    bits: int = 16,
    code: int = 1,
    extensible: bool = False,
    length: int | None = None,
) -> bytes:
    frame = channels * bits // 8
    shown = 0xFFFE if extensible else code
    form = struct.pack("<HHIIHH", shown, channels, rate_hz, rate_hz * frame, frame, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, code) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"data" + struct.pack("<I", len(content) if length is None else length) + content
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def read(path: Path) -> np.ndarray:
    return np.concatenate(list(WavFile(path).blocks()))


def level_db(sound: np.ndarray) -> float:
    """RMS of the middle, relative to a sine of amplitude 10,000."""
    middle = sound[len(sound) // 4 : -len(sound) // 4].astype(np.float64)
    return float(20 * np.log10(np.sqrt(np.mean(middle**2)) / (10000 / np.sqrt(2)) + 1e-9))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_speech_band_is_kept_in_time_and_level(rate_hz: int) -> None:
    resampler = Resampler(rate_hz)
    made = np.concatenate([resampler.process(tone(1000, rate_hz)), resampler.flush()])
    assert len(made) == 16000
    assert np.abs(made - tone(1000, 16000))[800:-800].max() < 10


@pytest.mark.parametrize("rate_hz", [rate for rate in RATES_HZ if rate > 16000])
def test_nothing_above_8_khz_folds_down(rate_hz: int) -> None:
    for frequency_hz in (8100, 9000, 0.49 * rate_hz):
        resampler = Resampler(rate_hz)
        if frequency_hz < rate_hz / 2:
            assert level_db(resampler.process(tone(frequency_hz, rate_hz))) < -80


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_resampling_does_not_depend_on_the_chunks(rate_hz: int) -> None:
    sound = np.random.default_rng(0).normal(0, 5000, rate_hz // 2).astype(np.float32)
    whole = Resampler(rate_hz)
    expected = np.concatenate([whole.process(sound), whole.flush()])
    chunked, parts, start = Resampler(rate_hz), [], 0
    rng = np.random.default_rng(1)
    while start < len(sound):
        n = int(rng.integers(0, 700))
        parts.append(chunked.process(sound[start : start + n]))
        start += n
    assert np.array_equal(np.concatenate([*parts, chunked.flush()]), expected)


@pytest.mark.parametrize("n", [0, 1, 5, 441, 1000])
def test_length_and_flush(n: int) -> None:
    resampler = Resampler(44100)
    made = len(resampler.process(np.ones(n, np.float32))) + len(resampler.flush())
    assert made == -(-n * 160 // 441)
    assert len(resampler.flush()) == 0


@pytest.mark.parametrize("rate_hz", [0, -1, 4000, 44101, 384000])
def test_odd_rates_are_refused_by_name(rate_hz: int) -> None:
    with pytest.raises(SoundError, match=f"{rate_hz} Hz.*convert"):
        Resampler(rate_hz)


def test_loud_float_is_clipped_never_wrapped() -> None:
    made = ToMono16k(16000, 1).process(np.array([[32768.0], [40000.0], [-40000.0], [1.4]], np.float32))
    assert made.tolist() == [32767, 32767, -32768, 1]


SOUND = np.rint(tone(440, 16000, 0.1)).astype(np.int16)
FORMS = {
    "16 bits": (SOUND.tobytes(), {}),
    "8 bits": (((SOUND >> 8) + 128).astype(np.uint8).tobytes(), {"bits": 8}),
    "24 bits": (
        (SOUND.astype("<i4") << 8).view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
        {"bits": 24, "extensible": True},
    ),
    "32 bits": ((SOUND.astype("<i4") << 16).tobytes(), {"bits": 32}),
    "float": ((SOUND / 32768).astype("<f4").tobytes(), {"bits": 32, "code": 3}),
    "double": ((SOUND / 32768).astype("<f8").tobytes(), {"bits": 64, "code": 3, "extensible": True}),
    "stereo": (np.repeat(SOUND, 2).tobytes(), {"channels": 2}),
    "streamed, length unknown": (SOUND.tobytes(), {"length": 0xFFFFFFFF}),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_sound(tmp_path: Path, name: str) -> None:
    content, form = FORMS[name]
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(content, **form))
    error = np.abs(read(path).astype(int) - SOUND).max()
    assert error <= (255 if name == "8 bits" else 0)


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
def test_other_rates_and_stereo(tmp_path: Path, rate_hz: int) -> None:
    left = np.rint(tone(1000, rate_hz, 2.5))
    frames = np.stack([left, np.zeros_like(left)], axis=1).astype("<i2")
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(frames.tobytes(), rate_hz=rate_hz, channels=2))
    made = read(path)
    assert len(made) == 40000
    assert np.abs(made - tone(1000, 16000, 2.5) / 2)[800:-800].max() < 10


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "empty"),
        (b"fLaC" + bytes(100), "not a WAV file"),
        (b"RIFF", "not a WAV file"),
        (wav_bytes(SOUND.tobytes())[:30], "truncated|cannot be read"),
        (wav_bytes(SOUND.tobytes())[:200], "truncated: promises 0.10 s, holds 0.0"),
        (wav_bytes(b""), "no sound"),
        (wav_bytes(b"", length=4000), "truncated"),
        (wav_bytes(SOUND.tobytes(), code=6, bits=8), "format 6"),
        (wav_bytes(SOUND.tobytes(), bits=12), "12 bits"),
        (wav_bytes(SOUND.tobytes(), channels=0), "0 channels"),
        (wav_bytes(SOUND.tobytes(), rate_hz=0), "0 Hz"),
        (wav_bytes(SOUND.tobytes(), rate_hz=44101), "44101 Hz"),
        (b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd", "no format"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(SoundError, match=words) as caught:
        read(path)
    assert "bad.wav" in str(caught.value)


def test_missing_file_and_nan(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="nowhere.wav"):
        WavFile(tmp_path / "nowhere.wav")
    with pytest.raises(SoundError, match="cannot be opened"):
        WavFile(tmp_path)
    path = tmp_path / "nan.wav"
    path.write_bytes(wav_bytes(np.array([0, np.nan], "<f4").tobytes(), bits=32, code=3))
    with pytest.raises(SoundError, match=r"nan.wav: NaN"):
        read(path)
