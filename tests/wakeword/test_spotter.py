"""The phrase followed as a layer: as the search has it, as the device has it, and a detector untrained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.logmel import LogMel
from asr_pretrain.phonemes import PHONES, phone_ids
from asr_pretrain.spotting import track
from asr_pretrain.train import KEPT_ENCODER
from asr_pretrain.training.checkpoint import load_checkpoint
from mirror_device import Detector
from mirror_device.logmel import STEP_SAMPLES
from wakeword.export import device_metadata, export_float
from wakeword.model import HeadConfig, TriggerModel, transfer
from wakeword.spotter import MOST_COST, Spotter


def test_it_finds_the_costs_that_the_search_finds():
    torch.manual_seed(0)
    spotter = Spotter(8, ["smart mirror", "hello car"])
    encoded = torch.randn(2, 60, 8) * 3
    logits = spotter(encoded)
    assert logits.shape == (2, 2, 60)
    log_probabilities = spotter.phones(encoded).log_softmax(-1).detach().numpy()
    for row in range(2):
        for number, phrase in enumerate(("smart mirror", "hello car")):
            costs, _ = track(log_probabilities[row], list(phone_ids(phrase)))
            expected = 2.0 * (2.5 - np.minimum(costs, MOST_COST))
            np.testing.assert_allclose(logits[row, number].detach().numpy(), expected, atol=1e-3)


def test_it_learns_by_the_best_path():
    torch.manual_seed(0)
    spotter = Spotter(8, ["mirror"])
    spotter(torch.randn(1, 40, 8)).amax().backward()
    assert spotter.phones.weight.grad is not None and spotter.phones.weight.grad.abs().sum() > 0
    assert spotter.even_cost.grad is not None and spotter.even_cost.grad.item() == pytest.approx(2.0)


def test_an_untrained_model_is_the_recogniser_spotting(tmp_path: Path):
    _, sidecar = load_checkpoint(KEPT_ENCODER)
    shape = EncoderConfig.model_validate(sidecar["encoder"])
    model = TriggerModel(shape, HeadConfig(spot=True), ["smart mirror"]).eval()
    transfer(model, KEPT_ENCODER)
    rng = np.random.default_rng(1)
    samples = (rng.standard_normal(STEP_SAMPLES * 40) * 800).astype(np.int16)
    with torch.inference_mode():
        log_mel = LogMel()(torch.from_numpy(samples.astype(np.float32) / 32768)[None])
        scores = torch.sigmoid(model.logits(log_mel))[0, 0].numpy().reshape(-1, 2).max(1)
        encoded = model.encoder.encode(model.encoder.normalise(log_mel))
        log_probabilities = model.spotter.phones(encoded)[0].log_softmax(-1).numpy()  # type: ignore[union-attr]
    assert log_probabilities.shape[1] == len(PHONES) + 1
    costs = track(log_probabilities, list(phone_ids("smart mirror")))[0].reshape(-1, 2).min(1)
    expected = 1 / (1 + np.exp(-2.0 * (2.5 - np.minimum(costs, MOST_COST))))
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    card = {"name": "w", "keywords": ["smart mirror"], "manifest_sha256": [], "git_revision": ""}
    export_float(model, tmp_path / "w.onnx", device_metadata(card, "1.0.0"))
    smoothed = (scores + np.concatenate([[0.0], scores[:-1]])) / 2
    device = Detector(tmp_path / "w.onnx").scores(samples)[:, 0]
    np.testing.assert_allclose(device, smoothed, atol=1e-4)
    head = {"spot": True, "smoothing_steps": 1}
    export_float(model, tmp_path / "w.onnx", device_metadata({**card, "head": head}, "1.0.0"))
    np.testing.assert_allclose(Detector(tmp_path / "w.onnx").scores(samples)[:, 0], scores, atol=1e-4)
