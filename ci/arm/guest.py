"""Runs inside the arm64 tree: one part of the device over a drive, or its scores for comparison.

guest.py front-end|network|detector SOUND.npy STEPS MODEL
guest.py scores SOUND.npy LOG_MELS.npy MODEL OUT.npz
"""

import sys
from pathlib import Path

import numpy as np

from mirror_device import Detector
from mirror_device.model import Model
from mirror_device.native import AVAILABLE, NativeLogMel

STEP = 1280
part, sound_path, *rest = sys.argv[1:]
if not AVAILABLE:
    sys.exit("the compiled part of mirror_device is missing in the arm64 tree")
sound = np.load(sound_path)
if part == "scores":
    log_mels, model, out = np.load(rest[0]), rest[1], rest[2]
    opened = Model(Path(model))
    from_log_mels = np.array([opened.step(frames) for frames in log_mels])
    detector, again = Detector(model), Detector(model)
    events = [(d.keyword, d.time_s) for d in again.process(sound)]
    np.savez(
        out, log_mels=from_log_mels, sound=detector.scores(sound), events=np.array([t for _, t in events])
    )
else:
    steps, model = int(rest[0]), rest[1]
    chunks = sound[: steps * STEP].reshape(-1, STEP)
    if part == "front-end":
        front_end = NativeLogMel()
        for chunk in chunks:
            front_end.process(chunk)
    elif part == "network":
        opened, frames = Model(Path(model)), NativeLogMel().process(chunks[0])
        for _ in chunks:
            opened.step(frames)
    else:
        detector = Detector(model)
        for chunk in chunks:
            detector.process(chunk)
