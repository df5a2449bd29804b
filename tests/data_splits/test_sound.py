"""What the audit measures in recordings, and that it is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from data_splits.audit.measure import measure_audio
from data_splits.audit.sound.heard import SCHEMA, hear
from data_splits.audit.sound.levels import measure_levels
from data_splits.audit.sound.spectrum import spectra
from data_splits.audit.sound.store import Store, keys
from data_splits.audit.sound.trial import decoding_rate

RATE_HZ = 16_000


def levels(samples: np.ndarray) -> dict[str, float]:
    return measure_levels(samples, spectra(samples)[1])


def noise(seconds: float, seed: int = 0, scale: float = 3000.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, int(seconds * RATE_HZ)).astype(np.int16)


def test_a_tone_has_the_level_of_its_rms() -> None:
    tone = np.rint(16384 * np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.int16)
    found = levels(tone)
    assert found["level_dbfs"] == pytest.approx(-9.03, abs=0.05)
    assert found["peak_dbfs"] == pytest.approx(-6.02, abs=0.05)
    assert found["clipped_share"] == 0
    assert found["silence_share"] == 0


def test_clipping_is_seen_at_full_scale_and_after_the_gain_was_lowered() -> None:
    loud = np.clip(noise(1.0, scale=30_000 * 0.4).astype(float) * 3, -32768, 32767)
    share = (np.abs(loud) >= 32767).mean()
    assert levels(loud.astype(np.int16))["clipped_share"] == pytest.approx(share, rel=0.01)
    # Of a plateau that was turned down, runs of three and more are left to see.
    turned_down = (loud * 0.25).astype(np.int16)
    assert 0.02 < levels(turned_down)["clipped_share"] < share


def test_dc_silence_and_snr() -> None:
    speech = np.concatenate([noise(1.0, scale=3000), noise(1.0, seed=1, scale=30)])
    found = levels(speech + np.int16(655))
    assert found["dc_offset"] == pytest.approx(0.02, abs=1e-3)
    assert found["measured_snr_db"] == pytest.approx(40, abs=1)
    half = np.concatenate([noise(1.0), np.zeros(RATE_HZ, np.int16)])
    assert levels(half)["silence_share"] == pytest.approx(0.5, abs=0.02)
    assert levels(np.zeros(RATE_HZ, np.int16))["level_dbfs"] == -100


def test_bandwidth_is_that_of_the_narrowest_stage() -> None:
    spectrum = np.fft.rfft(noise(2.0).astype(float))
    spectrum[int(len(spectrum) * 3400 / 8000) :] = 0
    narrow = np.fft.irfft(spectrum).astype(np.int16)
    assert levels(narrow)["bandwidth_hz"] == pytest.approx(3400, abs=250)
    assert levels(noise(2.0))["bandwidth_hz"] == pytest.approx(8000, abs=100)


def test_a_long_recording_is_measured_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.concatenate([noise(1.0, scale=20), noise(1.0, seed=1), noise(1.0, seed=2, scale=300)])
    whole = spectra(samples)
    monkeypatch.setattr("data_splits.audit.sound.spectrum._CHUNK_FRAMES", 40)
    parts = spectra(samples)
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-5)
    np.testing.assert_allclose(parts[1], whole[1], rtol=0.02)


@pytest.fixture
def recorded(tmp_path: Path, make: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    """Six recordings of two seconds in `tmp_path`."""
    for i in range(6):
        soundfile.write(tmp_path / f"{i}.wav", noise(2.0, seed=i), RATE_HZ)
    return make(*[{"id": f"r{i}", "audio": f"{i}.wav", "split": "train"} for i in range(6)])


def test_the_file_is_described_as_it_is(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([noise(1.0), noise(1.0)], axis=1), 48_000)
    row = hear("a.wav", tmp_path)
    assert (row["file_rate_hz"], row["file_channels"]) == (48_000, 2)
    assert row["decoded_s"] == pytest.approx(1 / 3, abs=1e-3)
    broken = hear("b.wav", tmp_path)
    assert "b.wav" in broken.pop("problem")
    assert set(broken.values()) == {None}


def test_what_was_measured_is_not_decoded_again(
    tmp_path: Path, recorded: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = measure_audio(recorded, tmp_path, cache=cache)
    assert first.schema == pl.Schema({"id": pl.String(), **SCHEMA})
    heard: list[str] = []

    def counted(reference: str, root: Path) -> dict:
        heard.append(reference)
        return hear(reference, root)

    monkeypatch.setattr("data_splits.audit.measure.hear", counted)
    assert measure_audio(recorded, tmp_path, cache=cache).equals(first)
    assert heard == []
    # A changed file is heard again, and alone.
    soundfile.write(tmp_path / "3.wav", noise(1.0, seed=9), RATE_HZ)
    again = measure_audio(recorded, tmp_path, cache=cache)
    assert heard == ["3.wav"]
    assert again["decoded_s"].to_list() == [2, 2, 2, 1, 2, 2]


def test_an_interrupted_measuring_goes_on_where_it_stopped(
    tmp_path: Path, recorded: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_splits.audit.measure._BATCH_S", 7.0)  # a recording a batch
    done: list[int] = []

    def interrupted(rows: int) -> None:
        done.append(rows)
        if sum(done) >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_audio(recorded, tmp_path, cache=tmp_path / "cache", advance=interrupted)
    steps: list[int] = []
    measure_audio(recorded, tmp_path, cache=tmp_path / "cache", advance=steps.append)
    assert steps[0] >= 2
    assert sum(steps) == 6


def test_a_damaged_part_of_the_cache_is_measured_again(tmp_path: Path, recorded: pl.DataFrame) -> None:
    cache = tmp_path / "cache"
    first = measure_audio(recorded, tmp_path, cache=cache)
    (part,) = cache.glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-100])
    shutil.copy(tmp_path / "0.wav", cache / "other.parquet")
    assert Store(cache).load(keys(recorded["audio"], tmp_path)).height == 0
    assert measure_audio(recorded, tmp_path, cache=cache).equals(first)


def test_processes_measure_the_same(
    tmp_path: Path, recorded: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = measure_audio(recorded, tmp_path)
    monkeypatch.setattr("data_splits.audit.measure._BATCH_S", 12.0)
    assert measure_audio(recorded, tmp_path, jobs=2).equals(alone)


def test_the_rate_counts_what_could_be_read(tmp_path: Path, recorded: pl.DataFrame) -> None:
    (tmp_path / "5.wav").unlink()
    rate = decoding_rate(recorded, tmp_path, n_decoded=100, seed=1)
    assert rate["recordings"] == 5
    assert rate["audio_h"] == pytest.approx(10 / 3600)
    assert rate["audio_h_per_core_h"] > 0
