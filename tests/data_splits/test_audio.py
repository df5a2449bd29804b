from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_splits.audio import AudioError, pcm_sha256, read_audio, to_int16

Tone = Callable[[float, int], np.ndarray]
RATE_HZ = 16_000


def level_db(samples: np.ndarray, hz: float) -> float:
    """Level of one frequency in dB re full scale, edges left out."""
    middle = samples[2000:-2000].astype(float) / 32768
    phase = np.exp(-2j * np.pi * hz * np.arange(len(middle)) / RATE_HZ)
    return float(20 * np.log10(2 * abs(np.mean(middle * phase)) + 1e-12))


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_16_khz_mono_int16_is_exact(tmp_path: Path, name: str) -> None:
    samples = np.array([0, 1, -1, 32767, -32768, 12345] * 100, dtype=np.int16)
    soundfile.write(tmp_path / name, samples, RATE_HZ, subtype="PCM_16")
    read = read_audio(name, tmp_path)
    assert read.dtype == np.int16
    assert np.array_equal(read, samples)


def test_opus_is_read_at_16_khz(tmp_path: Path, tone: Tone) -> None:
    soundfile.write(tmp_path / "a.opus", tone(1000, RATE_HZ), RATE_HZ, format="OGG", subtype="OPUS")
    read = read_audio("a.opus", tmp_path)
    assert abs(len(read) - RATE_HZ) < 400
    assert level_db(read, 1000) == pytest.approx(-6, abs=0.5)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_other_rates_keep_their_tone(tmp_path: Path, tone: Tone, rate_hz: int, channels: int) -> None:
    samples = np.repeat(tone(1000, rate_hz)[:, None], channels, axis=1)
    soundfile.write(tmp_path / "a.wav", samples, rate_hz, subtype="PCM_16")
    read = read_audio("a.wav", tmp_path)
    assert len(read) == RATE_HZ
    assert level_db(read, 1000) == pytest.approx(-6, abs=0.1)


@pytest.mark.parametrize(("rate_hz", "hz", "alias_hz"), [(44_100, 12_000, 4_000), (48_000, 15_000, 1_000)])
def test_decimation_is_low_passed(tmp_path: Path, tone: Tone, rate_hz: int, hz: int, alias_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(hz, rate_hz), rate_hz, subtype="FLOAT")
    assert level_db(read_audio("a.wav", tmp_path), alias_hz) < -60


def test_stereo_is_averaged(tmp_path: Path) -> None:
    stereo = np.stack([np.full(100, 1000), np.full(100, 3000)], axis=1).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", stereo, RATE_HZ)
    assert set(read_audio("a.wav", tmp_path)) == {2000}


def test_float_clips_and_never_wraps(tmp_path: Path) -> None:
    samples = np.array([1.0, -1.0, 1.5, -2.0, 32768.0, -32768.0, 0.5], dtype=np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    read = read_audio("a.wav", tmp_path)
    assert read.tolist() == [32767, -32768, 32767, -32768, 32767, -32768, 16384]
    assert to_int16(np.array([1.0, -1.0])).tolist() == [32767, -32768]


def test_full_scale_int16_survives_resampling_without_wrapping(tmp_path: Path) -> None:
    square = np.repeat(np.tile([32767, -32768], 100), 96).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", square, 48_000)
    read = read_audio("a.wav", tmp_path).astype(int)
    middle = read.reshape(-1, 32)[1:-1, 16]
    assert (np.abs(middle) > 30_000).all()
    assert (np.sign(middle[1:]) == -np.sign(middle[:-1])).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(tmp_path: Path, value: float) -> None:
    samples = np.zeros(100, dtype=np.float32)
    samples[7] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    with pytest.raises(AudioError, match="a.wav: 1 samples are NaN"):
        read_audio("a.wav", tmp_path)


def test_missing_empty_and_foreign_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("this is not audio" * 100)
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "silent.wav", np.zeros(0, dtype=np.int16), RATE_HZ)
    cases = {
        "none.wav": "no such file",
        "empty.wav": "empty",
        "text.wav": "not audio",
        "folder.wav": "no such",
    }
    for name, reason in (cases | {"silent.wav": "no samples"}).items():
        with pytest.raises(AudioError, match=f"{name}.*{reason}"):
            read_audio(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "kind", "subtype"),
    [("a.wav", "WAV", "PCM_16"), ("a.flac", "FLAC", "PCM_16"), ("a.opus", "OGG", "OPUS")],
)
@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.98])
def test_truncated_files_are_refused(
    tmp_path: Path, name: str, kind: str, subtype: str, share: float
) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE_HZ)
    soundfile.write(tmp_path / name, noise, RATE_HZ, format=kind, subtype=subtype)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(AudioError, match=name):
        read_audio(name, tmp_path)


def test_size_rate_and_channels_are_bounded(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(3 * RATE_HZ, dtype=np.int16), RATE_HZ)
    soundfile.write(tmp_path / "slow.wav", np.zeros(100, dtype=np.int16), 4000)
    soundfile.write(tmp_path / "wide.wav", np.zeros((100, 9), dtype=np.int16), RATE_HZ)
    with pytest.raises(AudioError, match="long.wav: 3 s is longer than 2 s"):
        read_audio("long.wav", tmp_path, max_s=2)
    with pytest.raises(AudioError, match="4000 Hz"):
        read_audio("slow.wav", tmp_path)
    with pytest.raises(AudioError, match="9 channels"):
        read_audio("wide.wav", tmp_path)


@pytest.mark.parametrize(
    "reference", ["../a.wav", "x/../../a.wav", "..\\a.wav", "", "s.tar::", "s.tar::../a.wav"]
)
def test_a_reference_may_not_leave_its_root(tmp_path: Path, reference: str) -> None:
    (tmp_path / "root").mkdir()
    soundfile.write(tmp_path / "a.wav", np.ones(100, dtype=np.int16), RATE_HZ)
    with pytest.raises(AudioError, match="leave|tar|not a file"):
        read_audio(reference, tmp_path / "root")


def test_absolute_references_are_for_local_manifests(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(100, dtype=np.int16), RATE_HZ)
    assert len(read_audio(str(tmp_path / "a.wav"), "elsewhere")) == 100


def test_tar_members_are_read_and_a_rewritten_tar_is_noticed(tmp_path: Path) -> None:
    def write(value: int) -> None:
        data = io.BytesIO()
        soundfile.write(data, np.full(100 * value, value, dtype=np.int16), RATE_HZ, format="FLAC")
        with tarfile.open(tmp_path / "s.tar", "w") as tar:
            info = tarfile.TarInfo("x/a.flac")
            info.size = len(data.getvalue())
            tar.addfile(info, io.BytesIO(data.getvalue()))

    write(1)
    assert read_audio("s.tar::x/a.flac", tmp_path).tolist() == [1] * 100
    write(300)
    assert read_audio("s.tar::x/a.flac", tmp_path).tolist() == [300] * 30_000
    with pytest.raises(AudioError, match="no member 'b.flac'"):
        read_audio("s.tar::b.flac", tmp_path)
    (tmp_path / "bad.tar").write_bytes(b"not a tar" * 100)
    with pytest.raises(AudioError, match="bad.tar"):
        read_audio("bad.tar::a.flac", tmp_path)


def test_the_hash_is_of_the_samples(tmp_path: Path) -> None:
    samples = np.arange(100, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ)
    soundfile.write(tmp_path / "a.flac", samples, RATE_HZ)
    assert pcm_sha256(read_audio("a.wav", tmp_path)) == pcm_sha256(read_audio("a.flac", tmp_path))
    assert pcm_sha256(samples) != pcm_sha256(samples[1:])
