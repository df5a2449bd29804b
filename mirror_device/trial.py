"""What a model has to do before it is trusted: hear its word in recordings of it, and nothing in others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mirror_device.capture import padding
from mirror_device.detector import Detection, Detector
from mirror_device.errors import SoundError
from mirror_device.logmel import SAMPLE_RATE_HZ
from mirror_device.wav import WavFile

TAIL_S = 1.0
"""Silence after a recording: a detector may fire so long after its word."""
MAX_RECORDING_S = 120


def detections_in(detector: Detector, recording: Path) -> list[Detection]:
    """What a detector hears in a WAV file. Raises SoundError."""
    detector.reset()
    found, heard = [], 0
    for block in WavFile(recording).blocks():
        found += detector.process(block)
        heard += len(block)
        if heard > MAX_RECORDING_S * SAMPLE_RATE_HZ:
            raise SoundError(f"{recording}: more than {MAX_RECORDING_S} s; give the few seconds that matter")
    found += detector.process(np.zeros(round(TAIL_S * SAMPLE_RATE_HZ), np.int16))
    found += detector.process(padding(detector.pending_samples))
    return found


def failures(detector: Detector, words: list[Path], others: list[Path]) -> list[str]:
    """What went wrong, one line each; nothing where all is well. Raises SoundError."""
    wrong = [
        f"{path.name}: the word is in it and was not heard"
        for path in words
        if not detections_in(detector, path)
    ]
    for path in others:
        wrong += [
            f"{path.name}: heard {found.keyword!r} at {found.time_s:.2f} s, where nobody said it"
            for found in detections_in(detector, path)
        ]
    return wrong
