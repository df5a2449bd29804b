"""``selftest``, ``meter`` and ``bench``: the commands of whoever fits the mirror."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirror_device.cli import main
from mirror_device.meter import bar

CLI = [sys.executable, "-m", "mirror_device.cli"]


@pytest.fixture
def recordings(tmp_path: Path, beeps: np.ndarray) -> tuple[Path, Path]:
    """With the word and without."""
    paths = (tmp_path / "word.wav", tmp_path / "other.wav")
    for path, sound in zip(paths, (beeps[16000:48000], beeps[:16000]), strict=True):
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(sound.astype("<i2").tobytes())
    return paths


def test_selftest_of_the_shipped_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True


def test_selftest_on_recordings(
    tmp_path: Path,
    recordings: tuple[Path, Path],
    build_model: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = str(build_model(graph={"offset": 24.0}, keywords=[{"phrase": "loud sound", "threshold": 0.4}]))
    word, other = map(str, recordings)
    main(["selftest", model, "--word", word, "--other", other, "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert checks["word.wav (the word)"] == checks["other.wav (other sound)"] == ""
    assert main(["selftest", model, "--word", other, "--other", word]) == 1
    out = capsys.readouterr().out
    assert "FAIL  other.wav (the word): other.wav: the word is in it and was not heard" in out
    assert "FAIL  word.wav (other sound)" in out
    assert main(["selftest", "slot:none", "--folder", str(tmp_path)]) == 2
    assert main(["selftest", model, "--word", str(tmp_path / "no.wav")]) == 2


def test_a_bar() -> None:
    assert bar(0.5) == "#" * 15 + "." * 15
    assert bar(2.0, 0.0) == "|" + "#" * 29 and bar(-1.0, 1.0) == "." * 29 + "|"


def test_meter_of_a_file_and_of_a_daemon(
    recordings: tuple[Path, Path],
    tiny_model: Path,
    beeps: np.ndarray,
    serve: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["meter", str(recordings[0]), "--model", str(tiny_model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        2 <= len(lines) <= 3 and "dBFS" in lines[0] and "loud sound 0." in lines[1] and "\r" not in lines[0]
    )
    served = serve()
    served.hear(beeps)
    served.has_heard(7.9)
    ours, theirs = pty.openpty()
    command = [*CLI, "meter", "--control", f"unix://{served.control_path}"]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        seen = b""
        while b"loud sound" not in seen:
            seen += os.read(ours, 4096)
        process.terminate()
        assert process.wait(5) == 0
    os.close(ours)
    assert seen.startswith(b"\r") and b"dBFS" in seen
    assert main(["meter", "--control", "unix:///no/such"]) == 2


def test_bench(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", str(tiny_model), "--seconds", "40", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["engine"] == "onnxruntime" and 0 < figures["step_ms_p50"] <= figures["step_ms_p99"]
    assert 0 < figures["cpu_ms_per_audio_s"] < 1000 and 10 < figures["resident_mb"] < 500
    assert main(["bench", "--seconds", "5"]) == 2
