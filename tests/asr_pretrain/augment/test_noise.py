"""Noises: every source sounds, the seed decides, recordings of other parts stay out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
import torch

from asr_pretrain.augment.level import noise_level_db
from asr_pretrain.augment.loops import prepare
from asr_pretrain.augment.noise import NoiseBank, draw_noise, procedural_parameters, synthesize
from asr_pretrain.augment.procedural import NoiseParameters

SILENT = NoiseParameters(seed=3, kind="drive", speed_km_h=80.0, surface="concrete")
SOURCES = {
    "road": {"road_db": 60.0}, "wet road": {"road_db": 60.0, "surface": "wet"}, "engine": {"engine_db": 55.0},
    "motor": {"engine_db": 50.0, "cylinders": 0}, "wind": {"wind_db": 60.0},
    "window": {"wind_db": 70.0, "window_open": True},
    "blower": {"blower_db": 60.0, "blower_level": 7}, "rain": {"rain_db": 55.0, "rain_drops_s": 800.0},
    "wipers": {"wiper_period_s": 1.4}, "indicator": {"indicator": True}, "horn": {"horn": True},
    "potholes": {"potholes": True}, "passing": {"passing": True},
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_sounds_and_repeats(name: str):
    parameters = replace(SILENT, **SOURCES[name])
    x = synthesize(parameters, 48000)
    assert x.dtype == np.float32 and x.shape == (48000,) and np.isfinite(x).all()
    assert np.abs(x).max() == pytest.approx(0.5, abs=1e-3)
    assert np.array_equal(x, synthesize(parameters, 48000))
    assert not np.array_equal(x, synthesize(replace(parameters, seed=4), 48000))


def test_spectra_have_their_shapes():
    def octave_db(name: str, hz: float) -> float:
        x = synthesize(replace(SILENT, **SOURCES[name]), 80000)
        power = np.abs(np.fft.rfft(x)) ** 2
        f = np.fft.rfftfreq(x.size, 1 / 16000)
        return 10 * np.log10(power[(f > hz / 1.41) & (f < hz * 1.41)].sum())

    assert octave_db("road", 125) > octave_db("road", 2000) + 8
    assert octave_db("rain", 2000) > octave_db("rain", 125) + 8
    assert (
        octave_db("wet road", 4000) - octave_db("wet road", 500)
        > octave_db("road", 4000) - octave_db("road", 500) + 5
    )


def test_no_source_is_an_error_and_draws_are_never_empty():
    with pytest.raises(ValueError, match="every source off"):
        synthesize(SILENT, 16000)
    for seed in range(60):
        synthesize(draw_noise(np.random.default_rng(seed)), 1600)


def test_parts_share_no_noise(noise: NoiseBank):
    drawn = {
        part: {procedural_parameters(part, 0, i) for i in range(30)} for part in ("train", "dev", "test")
    }
    assert len(drawn["train"] | drawn["dev"] | drawn["test"]) == 90
    assert all(name.startswith("procedural-train-") for name in noise.ids)


def test_cut_of_any_length_at_one_level(noise: NoiseBank):
    for n_samples in (1000, 32000, 400000):  # shorter and longer than a waveform, and a drive of several
        choice = noise.choose(np.random.default_rng(1), n_samples, mix_share=0.0)
        x = noise.cut(choice, n_samples)
        assert x.shape == (n_samples,) and np.isfinite(x).all()
        assert np.array_equal(x, noise.cut(choice, n_samples))
        assert set(choice.parents) <= set(noise.ids)
    assert len(choice.parents) > 1
    assert float(noise_level_db(torch.from_numpy(x))) == pytest.approx(0, abs=3)
    assert np.sqrt(np.square(x.reshape(-1, 4000)).mean(1)).min() > 0.02  # no hole at a change


def test_loop_has_no_seam():
    t = np.arange(32000) / 16000
    found = prepare(8000 * np.sin(2 * np.pi * 441.3 * t))
    assert found is not None
    looped = np.concatenate([found[0], found[0]]).astype(float)
    assert np.abs(np.diff(looped)).max() < 1.5 * np.abs(np.diff(8000 * np.sin(2 * np.pi * 441.3 * t))).max()
    assert prepare(np.zeros(64000)) is None


def test_recorded_noise_of_its_part_alone(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.wav", rng.standard_normal(32000) * 0.1, 16000)
    frame = pl.DataFrame(
        {
            "id": ["noise-a", "noise-b", "speech-c"], "audio": ["a.wav", "b.wav", "c.wav"],
            "domain": ["general"] * 3,
            "noise_kind": ["road", "rain", None], "split": ["train", "test", "train"],
        }
    )  # fmt: skip
    bank = NoiseBank.build(frame, tmp_path, part="train", procedural=0, cache=tmp_path / "cache")
    assert bank.ids == ("noise-a",) and bank.kinds == ("road",)
    cut = bank.draw(np.random.default_rng(0), 16000)
    assert cut.parents == ["noise-a"] and cut.kind == "road" and 0 <= cut.offset_s < 2
    again = NoiseBank.build(frame, tmp_path, part="train", procedural=0, cache=tmp_path / "cache")
    assert np.array_equal(again.draw(np.random.default_rng(0), 16000).samples, cut.samples)
    with pytest.raises(ValueError, match="none of"):
        bank.choose(np.random.default_rng(0), 1000, frozenset({"horn"}))
    with pytest.raises(ValueError, match="no usable noise"):
        NoiseBank.build(frame, tmp_path, part="dev", procedural=0)
