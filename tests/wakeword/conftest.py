"""A model that hears loudness and a corpus of tones: every score and span is known beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
import soundfile
from onnx import TensorProto, helper

from data_splits.manifest import write_manifest
from mirror_device.logmel import frontend_constants
from wakeword.streams import SAMPLE_RATE_HZ

PHRASE = "smart mirror"


def loud_onnx(offset: float, threshold: float) -> bytes:
    """A device model: score = sigmoid(loudest log-mel - offset), with one state that it does not use."""
    nodes = [
        helper.make_node("ReduceMax", ["log_mel"], ["loudest"], keepdims=0),
        helper.make_node("Sub", ["loudest", "offset"], ["above"]),
        helper.make_node("Sigmoid", ["above"], ["loud"]),
        helper.make_node("Reshape", ["loud", "shape"], ["scores"]),
        helper.make_node("Identity", ["state_none"], ["next_state_none"]),
    ]
    constants = {"offset": np.float32(offset), "shape": np.array([1, 1])}
    graph = helper.make_graph(
        nodes,
        "loud",
        [
            helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, [1, 8, 40]),
            helper.make_tensor_value_info("state_none", TensorProto.FLOAT, [1, 1]),
        ],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1]),
            helper.make_tensor_value_info("next_state_none", TensorProto.FLOAT, [1, 1]),
        ],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    metadata = {
        "format": "rearview-wakeword/1",
        "name": "loud",
        "version": "0.0.1",
        "keywords": [{"phrase": PHRASE, "threshold": threshold, "fa_per_hour": 0.5}],
        "step_samples": 1280,
        "smoothing_steps": 1,
        "refractory_s": 1.5,
        "frontend": frontend_constants(),
        "precision": "float32",
    }
    helper.set_model_props(model, {"rearview": json.dumps(metadata)})
    return model.SerializeToString()


@pytest.fixture
def loud_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a model that fires on tones of amplitude 1600 and more, unless told otherwise."""

    def write(name: str = "loud.onnx", offset: float = 20.0, threshold: float = 0.9) -> Path:
        path = tmp_path / name
        path.write_bytes(loud_onnx(offset, threshold))
        return path

    return write


def tone(amplitude: float, seconds: float = 1.2, start_s: float = 0.3, length_s: float = 0.5) -> np.ndarray:
    """int16 faint noise with a burst of 1 kHz in it."""
    time_s = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    burst = amplitude * np.sin(2 * np.pi * 1000 * time_s)
    burst[(time_s < start_s) | (time_s >= start_s + length_s)] = 0
    return np.rint(burst + np.random.default_rng(0).normal(0, 3, time_s.size)).astype(np.int16)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """An evaluation manifest: in each split three loud takes and a faint one, negatives with one loud burst.

    Of the negatives one is a third of a minute with a burst as loud as a take; the others are faint.
    """
    rows = []

    def add(split: str, name: str, samples: np.ndarray, label: int | None, **more: object) -> None:
        file = f"{split}-{name}.wav"
        soundfile.write(tmp_path / file, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
        row = {
            "id": f"{split}/{name}",
            "audio": file,
            "duration_s": samples.size / SAMPLE_RATE_HZ,
            "domain": "general",
            "split": split,
            "source": "tones",
            "speaker": None,
            "noise_kind": None,
            "labels": {PHRASE: label, "alexa": None if label is None else 0},
        }
        rows.append(row | more)

    for split in ("train", "train_dev", "dev", "test"):
        for number, amplitude in enumerate((8000, 8000, 8000, 50)):
            add(split, f"take-{number}", tone(amplitude), 1, speaker=f"{split}-voice-{number % 2}")
        add(split, "burst", tone(12000, 20, 10), 0, source="bursts")
        add(split, "other", tone(30, 30), 0, labels={PHRASE: 0, "alexa": 1})
        add(split, "music", tone(20, 30), 0, noise_kind="music")
        add(split, "unknown", tone(12000), None)
    path = tmp_path / "recordings.parquet"
    write_manifest(pl.DataFrame(rows), path)
    return path


class QuietCar:
    """A renderer for tests: halves the level in a cabin, adds white noise at about the SNR."""

    def render(self, clean: np.ndarray, rng: np.random.Generator, snr_db: float | None) -> np.ndarray:
        """See `wakeword.streams.Renderer`."""
        if snr_db is None:
            return clean / 2
        level = 0.1 * np.abs(clean).max() * 10 ** (-snr_db / 20)
        return clean + rng.normal(0, level, clean.size).astype(np.float32)

    def drive(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `wakeword.streams.Renderer`."""
        return self.render(clean, rng, None)


@pytest.fixture
def quiet_car(monkeypatch: pytest.MonkeyPatch) -> QuietCar:
    """Takes the simulated car's place everywhere."""
    car = QuietCar()
    for module in ("wakeword.streams", "wakeword.diagnose"):
        monkeypatch.setattr(f"{module}.SimulatedCar", lambda *args, **kwargs: car)
    return car
