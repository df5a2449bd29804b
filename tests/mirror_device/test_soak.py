"""The soak in small: minutes instead of a day."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).resolve().parent.parent.parent / "ci" / "soak.py"


def test_a_small_soak() -> None:
    command = [sys.executable, SOAK, "--hours", "0.05", "--paced-minutes", "0.05"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["status"] == 0 and result["detections_in_noise"] == 0, done.stderr
    least, most = result["descriptors"]
    assert most - least <= 2 and result["audio_h"] == 0.08
