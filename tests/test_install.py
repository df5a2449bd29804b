"""The device as an integrator installs it: base dependencies alone, not editable."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROBE = """
import sys
import numpy as np
from mirror_device import Detector
detector = Detector("smart_mirror")
assert detector.keywords[0].phrase == "smart mirror"
assert detector.scores(np.zeros(16000, np.int16)).shape == (12, 1)
others = {"torch", "data_splits", "asr_pretrain", "wakeword", "polars", "pydantic"} & set(sys.modules)
assert not others, others
import importlib.util
assert importlib.util.find_spec("torch") is None
"""


@pytest.mark.slow
def test_the_base_install_listens_and_brings_no_torch(tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", str(ROOT)], check=True, timeout=300)
    subprocess.run([python, "-c", PROBE], check=True, cwd=tmp_path, timeout=60)
    command = [environment / "bin" / "wakeword", "train", "x.yaml"]
    helped = subprocess.run(command, capture_output=True, text=True)
    assert helped.returncode == 2 and "'train' extra" in helped.stderr
    assert sys.prefix != str(environment)
