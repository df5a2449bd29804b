"""Counts what the daemon costs on an emulated Cortex-A53 and compares its scores with this machine's.

measure.py ROOT COUNT.so MODEL SECONDS   (`make arm` calls it)
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from asr_pretrain.augment.cabin import cabin_bank
from asr_pretrain.augment.car import Car, CarRecipe
from asr_pretrain.augment.noise import NoiseBank
from asr_pretrain.synthesis.corpus import make_corpus
from data_splits.audio import read_audio
from data_splits.manifest import read_manifest
from mirror_device import Detector
from mirror_device.detector import model_path
from mirror_device.logmel import LogMel
from mirror_device.model import Model

GUEST = "/usr/local/lib/rearview/guest.py"
RATE_HZ, STEP = 16000, 1280
PART_STEPS = (50, 250)
SNR_DB = 10.0


def drive(folder: Path, seconds: int) -> np.ndarray:
    """A drive in a simulated car, in half of which somebody speaks: int16 (samples,)."""
    manifest = make_corpus(folder / "corpus", size="tiny", quiet=True)
    frame = read_manifest(manifest)
    speech = frame.filter(frame["noise_kind"].is_null()) if "noise_kind" in frame.columns else frame
    clips = [read_audio(path, manifest.parent).astype(np.float32) / 32768 for path in speech["audio"][:120]]
    rng, parts, total = np.random.default_rng(0), [], 0
    while total < seconds * RATE_HZ:
        clip = clips[int(rng.integers(len(clips)))]
        parts += [clip, np.zeros(len(clip), np.float32)]  # as long a pause after each
        total += 2 * len(clip)
    said = np.concatenate(parts)[: seconds * RATE_HZ].reshape(-1, 20 * RATE_HZ)
    car = Car(CarRecipe.for_scoring(), cabin_bank("train", 20), NoiseBank.build(None, None, "train", 20))
    heard = car.apply(torch.from_numpy(said), car.draw(0, len(said), said.shape[1], snr_db=SNR_DB))
    return np.rint(heard.numpy().reshape(-1) * 32768).clip(-32768, 32767).astype(np.int16)


class Emulated:
    """Python in the arm64 tree."""

    def __init__(self, root: Path, plugin: Path) -> None:
        self.root, self.plugin = root, plugin

    def run(self, *arguments: str, stdin: bytes = b"") -> int:
        """Executed instructions of ``python3.11 ARGUMENTS``. Raises CalledProcessError."""
        there = {
            "PYTHONHOME": "/usr",
            "PYTHONPATH": "/usr/local/lib/rearview:/usr/local/lib/site",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        guest = ",".join(f"{name}={value}" for name, value in there.items())
        command = ["qemu-aarch64", "-cpu", "cortex-a53", "-plugin", str(self.plugin), "-L", str(self.root)]
        done = subprocess.run(
            [*command, str(self.root / "usr/bin/python3.11"), *arguments],
            input=stdin,
            capture_output=True,
            cwd="/",  # not here: this machine's own build of the package is not to be found
            env={**os.environ, "QEMU_SET_ENV": guest},
        )
        counted = re.search(rb"executed (\d+)", done.stderr)
        if done.returncode or counted is None:
            raise RuntimeError(f"{arguments}: status {done.returncode}: {done.stderr.decode()[-2000:]}")
        return int(counted.group(1))


def daemon_config(folder: Path, model: Path) -> Path:
    path = folder / "mirror.yaml"
    path.write_text(f"models: ['{model}']\nsource: {{kind: stdin}}\noutlets: {{control: null}}\n")
    return path


def resident_mb(config: Path, sound: np.ndarray) -> float:
    """Peak of the same daemon on this machine, fed 80 ms blocks through a pipe."""
    command = [sys.executable, "-m", "mirror_device.cli", "serve", str(config)]
    daemon = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    if daemon.stdin is None:
        raise RuntimeError("no pipe to the daemon")
    for block in sound[: 20 * RATE_HZ].reshape(-1, STEP):
        daemon.stdin.write(block.tobytes())
        daemon.stdin.flush()
    time.sleep(1.0)  # what is in the pipe is heard
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    daemon.stdin.close()
    daemon.wait()
    return round(int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024, 1)  # type: ignore[union-attr]


def main() -> None:
    """Prints a table, and as its last line the JSON object."""
    emulated, model = Emulated(Path(sys.argv[1]), Path(sys.argv[2])), model_path(sys.argv[3]).resolve()
    seconds = max(20, int(sys.argv[4]) // 20 * 20)
    short_s = seconds // 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = drive(folder, seconds)
        np.save(folder / "sound.npy", sound)
        config = daemon_config(folder, model)
        serve = ("-m", "mirror_device.cli", "serve", str(config))
        print(f"{model.name}: {seconds} s of drive at {SNR_DB:g} dB, half of it speech", flush=True)
        short = emulated.run(*serve, stdin=sound[: short_s * RATE_HZ].tobytes())
        whole = emulated.run(*serve, stdin=sound.tobytes())
        total = (whole - short) / (seconds - short_s)
        stages = {}
        for part in ("front-end", "network", "detector"):
            fewer, more = (
                emulated.run(GUEST, part, str(folder / "sound.npy"), str(n), str(model)) for n in PART_STEPS
            )
            stages[part] = (more - fewer) / (PART_STEPS[1] - PART_STEPS[0]) * RATE_HZ / STEP
        stages = {
            "front end": stages["front-end"],
            "network": stages["network"],
            "detector around them": stages["detector"] - stages["front-end"] - stages["network"],
            "decision and service": total - stages["detector"],
            "start, once": short - short_s * total,
        }
        for stage, count in stages.items():
            print(
                f"  {stage:<22} {count / 1e6:8.2f} M instructions{'' if 'once' in stage else '/s of audio'}"
            )
        front_end = LogMel()
        log_mels = np.array([front_end.process(step) for step in sound.reshape(-1, STEP)])
        np.save(folder / "log_mels.npy", log_mels)
        paths = [str(folder / part) for part in ("sound.npy", "log_mels.npy")]
        emulated.run(GUEST, "scores", *paths, str(model), str(folder / "theirs.npz"))
        theirs = np.load(folder / "theirs.npz")
        here = Model(model)
        identical = np.array_equal(theirs["log_mels"], np.array([here.step(frames) for frames in log_mels]))
        off = float(np.abs(theirs["sound"] - Detector(model).scores(sound)).max())
        events = np.array([d.time_s for d in Detector(model).process(sound)])
        result = {
            "instructions_per_audio_s": round(total),
            "resident_mb": resident_mb(config, sound),
            "bit_identical": bool(identical),
            "largest_score_difference_from_pcm": off,
            "same_events": bool(np.array_equal(events, theirs["events"])),
            "stages": {stage: round(count) for stage, count in stages.items()},
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
