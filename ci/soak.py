"""A day of sound through the real daemon: does it grow, leak, fall behind, or wake in noise.

soak.py [--hours 24] [--paced-minutes 20] [--model smart_mirror]   (`make soak` calls it)

The hours go through a pipe as fast as the daemon hears them, the paced minutes in real time. Prints a line
now and then, and as its last line one JSON object; status 1 where memory or descriptors grow or sound waits.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mirror_device.detector import model_path
from mirror_device.status import ask

RATE_HZ, STEP = 16000, 1280
BLOCK_S = 30
MOST_GROWTH_MB = 1.0
"""Over the whole run, its first fifth left out."""
MOST_WAITING_S = 0.4
OPEN_FOR_A_MOMENT = 2
"""Descriptors: a recording that is being written, a client that has just gone."""


class Noise:
    """Road noise of changing loudness, other in every block: the slope of its spectrum is that of a car."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        spectrum = np.fft.rfft(self._rng.standard_normal(120 * RATE_HZ))
        shape = 1 / np.maximum(np.arange(len(spectrum)) / len(spectrum) * RATE_HZ / 2, 50.0)
        road = np.fft.irfft(spectrum * shape)
        self._road = (road / road.std()).astype(np.float32)

    def block(self, samples: int) -> bytes:
        start = int(self._rng.integers(len(self._road) - samples))
        level = 10 ** self._rng.uniform(0.5, 3.7)
        hiss = self._rng.normal(0, 10, samples)
        sound = level * self._road[start : start + samples] + hiss
        return np.clip(np.rint(sound), -32768, 32767).astype("<i2").tobytes()


class Daemon:
    """The daemon under test."""

    def __init__(self, folder: Path, model: str) -> None:
        self.control = f"unix://{folder / 'control'}"
        document = {
            "models": [str(model_path(model).resolve())],
            "source": {"kind": "stdin"},
            "outlets": {"control": self.control, "wyoming": {"address": "tcp://127.0.0.1:0"}},
            "capture": {"folder": str(folder / "kept"), "most_mb": 5},
            "decision": {"near_miss": 0.5},
        }
        (folder / "mirror.yaml").write_text(json.dumps(document))  # JSON is YAML
        command = [sys.executable, "-m", "mirror_device.cli", "serve", str(folder / "mirror.yaml")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        while not (folder / "control").exists():
            if self.process.poll() is not None:
                raise RuntimeError("the daemon did not start")
            time.sleep(0.05)

    def hear(self, content: bytes) -> None:
        if self.process.stdin is None:
            raise RuntimeError("no pipe to the daemon")
        self.process.stdin.write(content)
        self.process.stdin.flush()

    def look(self) -> dict[str, Any]:
        """Its status, memory and descriptors, and how long an answer took."""
        begun_s = time.perf_counter()
        status = ask(self.control, '{"command": "status"}')
        answer_ms = 1000 * (time.perf_counter() - begun_s)
        place = Path(f"/proc/{self.process.pid}")
        found = re.search(r"VmRSS:\s+(\d+)", (place / "status").read_text())
        return {
            "heard_s": status["heard_s"],
            "detections": status["counts"].get("detection", 0),
            "resident_mb": int(found.group(1)) / 1024 if found else 0.0,
            "descriptors": len(list((place / "fd").iterdir())),
            "answer_ms": answer_ms,
        }


def slope_mb_a_day(looks: list[dict[str, Any]]) -> float:
    """Of the memory, by least squares, the first fifth left out: what it takes once is no leak."""
    settled = looks[len(looks) // 5 :]
    hours = [look["heard_s"] / 3600 for look in settled]
    return float(24 * np.polyfit(hours, [look["resident_mb"] for look in settled], 1)[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--paced-minutes", type=float, default=20.0)
    parser.add_argument("--model", default="smart_mirror")
    args = parser.parse_args()
    noise, looks, waiting_s = Noise(), [], []
    blocks = max(10, round(args.hours * 3600 / BLOCK_S))
    with tempfile.TemporaryDirectory() as name:
        daemon = Daemon(Path(name), args.model)
        begun_s = time.monotonic()
        for number in range(blocks):
            daemon.hear(noise.block(BLOCK_S * RATE_HZ))
            if number % max(1, blocks // 200) == 0:
                looks.append(daemon.look())
            if number % max(1, blocks // 24) == 0:
                print({key: round(value, 1) for key, value in looks[-1].items()}, flush=True)
        while daemon.look()["heard_s"] < blocks * BLOCK_S - 1:
            time.sleep(0.1)
        fast_s, due_s = time.monotonic() - begun_s, time.monotonic()
        looks.append(daemon.look())
        before_s, fed_s = daemon.look()["heard_s"], 0.0
        for number in range(round(args.paced_minutes * 60 / 0.08)):
            due_s += STEP / RATE_HZ
            time.sleep(max(0.0, due_s - time.monotonic()))
            daemon.hear(noise.block(STEP))
            fed_s += STEP / RATE_HZ
            if number % 12 == 11:
                time.sleep(0.04)  # half a step later it has been decided on
                waiting_s.append(before_s + fed_s - daemon.look()["heard_s"])
        last = daemon.look()
        daemon.process.communicate(timeout=20)
    slope = slope_mb_a_day(looks)
    descriptors = [look["descriptors"] for look in looks[1:]]
    waited = sorted(waiting_s) or [0.0]
    result = {
        "audio_h": round(last["heard_s"] / 3600, 2),
        "times_real_time": round(blocks * BLOCK_S / fast_s),
        "resident_mb": [round(looks[1]["resident_mb"], 1), round(last["resident_mb"], 1)],
        "slope_mb_a_day": round(slope, 2),
        "descriptors": [min(descriptors), max(descriptors)],
        "answer_ms_p50": round(float(np.median([look["answer_ms"] for look in looks])), 2),
        "waiting_s_p50": round(waited[len(waited) // 2], 2),
        "waiting_s_p99": round(waited[len(waited) * 99 // 100], 2),
        "detections_in_noise": last["detections"],
        "status": daemon.process.returncode,
    }
    steady = last["resident_mb"] - looks[len(looks) // 5]["resident_mb"] < MOST_GROWTH_MB
    result["passed"] = bool(
        steady
        and max(descriptors) - min(descriptors) <= OPEN_FOR_A_MOMENT
        and result["waiting_s_p99"] < MOST_WAITING_S
        and result["status"] == 0
    )
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
