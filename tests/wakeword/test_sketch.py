"""A phrase nobody recorded is heard where a synthesizer says it, and not where it says something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mirror_device import Detector
from tests.wakeword.test_inspect import speak
from wakeword.cli import main


def test_a_phrase_without_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "hello_computer.onnx"
    assert main(["sketch", "hello computer", "--out", str(out)]) == 0
    assert out.stat().st_size < 1_000_000
    detector = Detector(out, threshold=0.5)
    assert detector.keywords[0].phrase == "hello computer"
    quiet = np.random.default_rng(0).normal(0, 5, 24000).astype(np.int16)

    def highest(text: str) -> float:
        detector.reset()
        return float(detector.scores(np.concatenate([quiet, speak(text), quiet])).max())

    assert highest("hello computer") > 0.5 > 0.2 > highest("open the window please")
    assert main(["sketch", "mirror", "--out", str(tmp_path / "m.onnx")]) == 2
    assert "M IH R ER" in capsys.readouterr().err
