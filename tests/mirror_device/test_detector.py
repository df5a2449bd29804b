"""The public API: the same scores for any chunking, bit-equal reruns, refractory, times, refusals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirror_device import Detection, Detector


def in_chunks(sound: np.ndarray, n: int) -> list[np.ndarray]:
    return [sound[i : i + n] for i in range(0, len(sound), n)]


@pytest.mark.parametrize("n", [1, 7, 160, 1280, 16000])
def test_any_chunking_gives_the_same_scores_bit_for_bit(tiny_model: Path, beeps: np.ndarray, n: int) -> None:
    whole = Detector(tiny_model).scores(beeps)
    detector = Detector(tiny_model)
    rows = np.concatenate([detector.scores(chunk) for chunk in in_chunks(beeps, n)])
    assert whole.shape == (100, 1) and whole.dtype == np.float32
    assert np.array_equal(rows, whole)
    assert 0 <= whole.min() < 0.1 and 0.9 < whole.max() <= 1


@pytest.mark.parametrize("n", [1, 777, 16000])
def test_any_chunking_gives_the_same_detections(tiny_model: Path, beeps: np.ndarray, n: int) -> None:
    whole = Detector(tiny_model).process(beeps)
    detector = Detector(tiny_model)
    assert [d for chunk in in_chunks(beeps, n) for d in detector.process(chunk)] == whole
    assert len(whole) == 2


def test_random_chunks_empty_ones_included(tiny_model: Path, beeps: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    detector, rows, start = Detector(tiny_model), [], 0
    while start < len(beeps):
        n = int(rng.integers(0, 3000))
        rows.append(detector.scores(beeps[start : start + n]))
        start += n
    assert np.array_equal(np.concatenate(rows), Detector(tiny_model).scores(beeps))


def test_reset_gives_a_bit_equal_rerun(tiny_model: Path, beeps: np.ndarray) -> None:
    detector = Detector(tiny_model)
    first = detector.scores(beeps[:70001])
    detector.reset()
    assert np.array_equal(detector.scores(beeps[:70001]), first)
    detector.reset()
    events = detector.process(beeps)
    detector.reset()
    assert detector.process(beeps) == events  # the refractory time is forgotten too


def test_process_and_scores_share_one_stream(tiny_model: Path, beeps: np.ndarray) -> None:
    expected = Detector(tiny_model).scores(beeps)
    detector = Detector(tiny_model)
    detector.process(beeps[:50000])
    assert np.array_equal(detector.scores(beeps[50000:]), expected[50000 // 1280 :])


def test_time_is_the_end_of_the_first_step_at_or_above_the_threshold(
    tiny_model: Path, beeps: np.ndarray
) -> None:
    scores = Detector(tiny_model).scores(beeps)[:, 0]
    for detection in Detector(tiny_model).process(beeps):
        step = round(detection.time_s / 0.08)
        assert detection.time_s == step * 1280 / 16000
        assert scores[step - 2] < 0.6 <= scores[step - 1] == np.float32(detection.score)
    reached = float(scores.max())
    assert Detector(tiny_model, threshold=reached).process(beeps)


def test_smoothing_is_the_mean_of_the_last_steps(build_model: Callable[..., Path], beeps: np.ndarray) -> None:
    raw = Detector(build_model(smoothing_steps=1)).scores(beeps)[:, 0]
    padded = np.concatenate([np.zeros(2, np.float32), raw])
    smooth = Detector(build_model(smoothing_steps=3)).scores(beeps)[:, 0]
    assert np.allclose(smooth, (padded[2:] + padded[1:-1] + padded[:-2]) / 3, atol=1e-7)


@pytest.mark.parametrize("refractory_s, expected", [(0.0, 25), (0.16, 13), (0.17, 9), (1.5, 2), (1.52, 2)])
def test_refractory(build_model: Callable[..., Path], refractory_s: float, expected: int) -> None:
    path = build_model(refractory_s=refractory_s, smoothing_steps=1)
    tone = np.rint(8000 * np.sin(np.arange(2 * 16000) * 0.4)).astype(np.int16)
    detections = Detector(path, threshold=0.4).process(tone)
    assert len(detections) == expected
    assert all(
        b.time_s - a.time_s > refractory_s - 1e-9 for a, b in zip(detections, detections[1:], strict=False)
    )


def test_extreme_samples_stay_in_range(tiny_model: Path) -> None:
    loud = np.tile(np.array([32767, -32768], np.int16), 16000)
    scores = Detector(tiny_model).scores(loud)
    assert np.isfinite(scores).all() and scores.max() <= 1


@pytest.mark.parametrize(
    "sound, error, words",
    [
        (np.zeros(100, np.float32), TypeError, "float32.*int16"),
        (np.full(100, np.nan), TypeError, "float64.*NaN"),
        (np.zeros(100, np.int32), TypeError, "int32"),
        (np.zeros(100, ">i2"), TypeError, ">i2"),
        (np.zeros((100, 2), np.int16), ValueError, r"\(100, 2\).*mono"),
        (b"\0\0", TypeError, "bytes"),
        ([0, 0], TypeError, "list"),
    ],
)
def test_wrong_sound_is_refused_and_changes_nothing(
    tiny_model: Path, beeps: np.ndarray, sound: Any, error: type[Exception], words: str
) -> None:
    detector = Detector(tiny_model)
    before = detector.scores(beeps[:2000])
    with pytest.raises(error, match=words):
        detector.process(sound)
    with pytest.raises(error, match=words):
        detector.scores(sound)
    rows = np.concatenate([before, detector.scores(beeps[2000:])])
    assert np.array_equal(rows, Detector(tiny_model).scores(beeps))


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_wrong_threshold(tiny_model: Path, threshold: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        Detector(tiny_model, threshold=threshold)


def test_properties(tiny_model: Path) -> None:
    detector = Detector(str(tiny_model))
    assert [word.phrase for word in detector.keywords] == ["loud sound"]
    assert detector.metadata["name"] == "tiny" and detector.step_s == 0.08
    assert Detection("a", 1.0, 0.5) == Detection(keyword="a", time_s=1.0, score=0.5)


def test_import_loads_no_training_code(tiny_model: Path) -> None:
    code = (
        "import sys, mirror_device as m\n"
        "early = {'numpy', 'onnxruntime'} & set(sys.modules)\n"
        f"m.Detector({str(tiny_model)!r}); m.Detection; m.ModelError\n"
        "import mirror_device.cli, mirror_device.wav, mirror_device.capture\n"
        "bad = {'torch', 'torchaudio', 'data_splits', 'asr_pretrain', 'wakeword', 'polars', 'pydantic',\n"
        "       'yaml', 'scipy', 'onnx', 'sounddevice', 'pyaudio'} & set(sys.modules)\n"
        "print(early, bad)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set() set()"
