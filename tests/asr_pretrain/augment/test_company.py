"""Other people and the radio: at the level drawn, from recordings of the part, and named in the manifest."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
import torch

from asr_pretrain.augment.cabin import RirBank, cabin_bank, cabin_parameters, elsewhere
from asr_pretrain.augment.car import Car, CarRecipe
from asr_pretrain.augment.company import company_bank
from asr_pretrain.augment.level import active_speech_level_db
from asr_pretrain.augment.noise import NoiseBank
from data_splits.schema import COLUMNS

PEOPLED = CarRecipe(
    talker_share=0.4, radio_share=0.3, music_share=0.3, clip_share=0, floor_dbfs=None, quiet_share=0
)


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder, rng = tmp_path_factory.mktemp("company"), np.random.default_rng(0)
    rows = []
    for name, kind, label, split in (
        ("speech", None, 0, "train"),
        ("wake", None, 1, "train"),
        ("song", "music", None, "train"),
        ("elsewhere", None, 0, "dev"),
        ("rain", "rain", None, "train"),
    ):
        x = rng.standard_normal(64000) * np.repeat(rng.random(64) > 0.3, 1000) * 0.05
        soundfile.write(folder / f"{name}.wav", x, 16000)
        rows.append(
            {
                "id": name, "audio": str(folder / f"{name}.wav"), "duration_s": 4.0, "domain": "general",
                "split": split, "noise_kind": kind, "labels": {"wake": label},
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"noise_kind": pl.String})


@pytest.fixture(scope="module")
def peopled(frame: pl.DataFrame, noise: NoiseBank) -> Car:
    bank = company_bank(frame, Path("/"), "train", ["wake"])
    return Car(PEOPLED, cabin_bank("train", 4, company=True), noise, bank)


def test_only_speech_without_the_word_and_music_of_the_part(frame: pl.DataFrame):
    bank = company_bank(frame, Path("/"), "train", ["wake"])
    assert bank is not None and sorted(bank.ids) == ["song", "speech"]
    assert company_bank(frame, Path("/"), "test", ["wake"]) is None


def test_they_lie_as_far_below_the_speaker_as_drawn(peopled: Car, speech: torch.Tensor):
    drives = [replace(d, noise=None, tilt_db_per_octave=0.0) for d in peopled.draw(3, 12, 32000)]
    assert {d.company.kind for d in drives if d.company} == {"talker", "radio", "music"}
    together = peopled.apply(speech, drives)
    alone = peopled.apply(speech, [replace(d, company=None) for d in drives])
    for row, drive in enumerate(drives):
        assert drive.company is not None
        below = active_speech_level_db(alone[row]) - active_speech_level_db(together[row] - alone[row])
        assert float(below) == pytest.approx(drive.company.below_db, abs=0.3)
        assert drive.parents()["interferer_parent"] == list(drive.company.sound.parents)
        assert set(drive.parents()) <= set(COLUMNS)


def test_they_are_heard_where_nobody_speaks(peopled: Car):
    drives = peopled.draw(4, 8, 32000, snr_db=math.inf)
    heard = peopled.apply(torch.zeros(8, 32000), drives)
    level = active_speech_level_db(heard)
    assert all(-70 < float(x) < -25 for x, d in zip(level, drives, strict=True) if d.company)


def test_nobody_is_heard_by_default(make_car: Callable[[CarRecipe], Car], speech: torch.Tensor):
    car = make_car(CarRecipe())
    drives = car.draw(1, 40, 32000)
    assert all(d.company is None and d.codec is None and d.gain_control is None for d in drives)


def test_what_was_drawn_before_is_drawn_still(peopled: Car, rirs: RirBank, noise: NoiseBank):
    bare = PEOPLED.model_copy(update={"talker_share": 0.0, "radio_share": 0.0, "music_share": 0.0})
    plain = Car(bare, peopled.rirs, noise)
    for seed in range(5):
        assert replace(peopled.draw_one(seed, 32000), company=None) == plain.draw_one(seed, 32000)


def test_gain_control_and_codecs_are_drawn(make_car: Callable[[CarRecipe], Car], speech: torch.Tensor):
    car = make_car(CarRecipe(gain_control_share=0.5, codec_share=0.5))
    drives = car.draw(1, 12, 32000)
    assert 0 < sum(d.codec is not None for d in drives) < 12
    assert 0 < sum(d.gain_control is not None for d in drives) < 12
    heard = car.apply(speech, drives)
    assert torch.isfinite(heard).all() and heard.abs().max() <= 1


@pytest.mark.parametrize("place", ["talker", "loudspeaker"])
def test_they_sit_in_the_same_cabin_somewhere_else(place: str):
    for index in range(40):
        cabin = cabin_parameters("train", 0, index)
        other = elsewhere(cabin, place, np.random.default_rng(index))  # type: ignore[arg-type]
        assert other.size_m == cabin.size_m and other.microphone_m == cabin.microphone_m
        assert all(0 < x < size for x, size in zip(other.mouth_m, cabin.size_m, strict=True))
        assert np.linalg.norm(np.subtract(other.mouth_m, cabin.mouth_m)) > 0.1


def test_wedges_have_company_too():
    bank = cabin_bank("dev", 2, kind="wedge", company=True)
    assert bank.talkers is not None and bank.talkers.shape == bank.responses.shape
    assert not torch.equal(bank.talkers, bank.responses)
