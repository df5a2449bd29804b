"""Measured responses and recorded noise as a customer has them; what cannot be used is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr_pretrain.augment.cabin import DIRECT_INDEX
from asr_pretrain.augment.folders import noise_rows, response_bank
from asr_pretrain.loading.batches import build_car
from asr_pretrain.training.recipe import Surroundings
from data_splits.audio import AudioError


@pytest.fixture
def responses(tmp_path: Path) -> Path:
    folder = tmp_path / "responses"
    (folder / "van").mkdir(parents=True)
    decay = np.exp(-np.arange(4800) / 400) * np.random.default_rng(0).standard_normal(4800) * 0.1
    decay[700] = 0.8
    soundfile.write(folder / "van" / "driver.wav", decay, 48000)
    soundfile.write(folder / "car.wav", -decay[:900:3], 16000)
    return folder


def test_the_direct_path_stands_where_it_should(responses: Path):
    bank = response_bank(responses)
    assert bank.ids == ("measured-car", "measured-van/driver")
    assert bank.responses.abs().argmax(1).tolist() == [DIRECT_INDEX] * 2
    assert torch.allclose(bank.responses[:, DIRECT_INDEX], torch.ones(2))


@pytest.mark.parametrize(("samples", "said"), [(np.zeros(0), "no samples"), (np.zeros(800), "peak 0")])
def test_an_empty_or_silent_response_is_named(responses: Path, samples: np.ndarray, said: str):
    soundfile.write(responses / "bad.wav", samples, 16000)
    with pytest.raises(AudioError, match=rf"bad\.wav.*({said})"):
        response_bank(responses)


def test_a_folder_of_noise_joins_the_car(responses: Path, tmp_path: Path, tiny_corpus: Path):
    folder = tmp_path / "noise"
    folder.mkdir()
    with pytest.raises(AudioError, match="0 sound files"):
        noise_rows(folder, "train")
    soundfile.write(folder / "motorway.flac", np.random.default_rng(1).standard_normal(32000) * 0.05, 16000)
    surroundings = Surroundings(impulse_responses=responses, noise=folder, procedural_noises=2)
    car = build_car([tiny_corpus], surroundings, "train")
    assert any("motorway" in name for name in car.noise.ids) and car.rirs.ids[0].startswith("measured")
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    with pytest.raises(AudioError, match=r"silent\.wav: digital silence"):
        noise_rows(folder, "train")
