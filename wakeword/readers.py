"""The wake word in a reader's voice, from a minute of that reader saying anything else.

For each moment of a take the reader's most alike moments are found by the recogniser's features, which hear
phones rather than people (kNN-VC: Baas et al., Interspeech 2023, with WavLM's); what the reader's spectrum
there has over the take's is put onto its envelope, and the pitch moved to the reader's. No text is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asr_pretrain.encoder import SUBSAMPLING, Encoder
from asr_pretrain.logmel import N_MELS, LogMel
from asr_pretrain.train import load_recogniser
from data_splits.audio import read_audio
from mirror_device.logmel import mel_filterbank
from wakeword.world import FRAME_MS, SAMPLE_RATE_HZ, Analysed, mean_pitch_hz

NEIGHBOURS = 4
LONGEST_S = 60.0
"""Of a reader that is listened to."""
FEWEST_FRAMES = 150
"""Six seconds of speech: fewer hold too few phones."""
LAYER = 4
"""Of the encoder whose output is compared: early ones hear the voice, late ones lag behind."""
DELAY_FRAMES = 1
"""By which that layer's output lags behind the sound, in encoder frames."""
_MOST_DB = 18.0
_SPEECH_RANGE = 5.0
"""Frames more than this below the loudest (log power) are no speech."""


@dataclass(frozen=True)
class Spoken:
    """Speech as the search sees it: unit features (frames, channels), log-mels (frames, 40) of 40 ms each."""

    features: np.ndarray
    log_mel: np.ndarray


@dataclass(frozen=True)
class Reader:
    """One reader's moments, and the pitch."""

    name: str
    spoken: Spoken
    pitch_hz: float


class Ear:
    """The recogniser's middle layers."""

    def __init__(self, checkpoint: Path):
        """Raises CheckpointError."""
        self.encoder: Encoder = load_recogniser(checkpoint)[0].encoder
        self.front_end = LogMel()

    @torch.inference_mode()
    def hear(self, samples: np.ndarray) -> Spoken:
        """int16 samples (n,), with 40 ms of silence put before them for the encoder's delay."""
        mels = self.front_end(torch.from_numpy(samples.astype(np.float32) / 32768)[None])
        hidden = self.encoder.layers(self.encoder.normalise(mels))[LAYER][0].numpy()
        frames = len(hidden) - DELAY_FRAMES
        features = hidden[DELAY_FRAMES:]
        features = features - features.mean(0)
        features /= np.linalg.norm(features, axis=1, keepdims=True) + 1e-6
        shape = (len(hidden), SUBSAMPLING, N_MELS)
        log_mel = mels[0, : len(hidden) * SUBSAMPLING].numpy().reshape(shape).mean(1)
        return Spoken(features, log_mel[:frames])

    def reader(self, name: str, recordings: Iterable[Path]) -> Reader | None:
        """A reader from the first minute of recordings; None where there is too little speech."""
        parts: list[Spoken] = []
        first = np.empty(0, np.int16)
        seconds = 0.0
        for path in recordings:
            samples = read_audio(str(path), Path("/"))
            first = samples if first.size < 3 * SAMPLE_RATE_HZ else first
            parts.append(self.hear(samples[: int(LONGEST_S * SAMPLE_RATE_HZ)]))
            seconds += samples.size / SAMPLE_RATE_HZ
            if seconds >= LONGEST_S:
                break
        if not parts:
            return None
        spoken = Spoken(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.log_mel for part in parts]),
        )
        loud = spoken.log_mel.max(1)
        heard = loud > loud.max() - 2 * _SPEECH_RANGE
        if heard.sum() < FEWEST_FRAMES:
            return None
        return Reader(name, Spoken(spoken.features[heard], spoken.log_mel[heard]), mean_pitch_hz(first))


def change_towards(reader: Reader, take: Spoken, analysed: Analysed) -> np.ndarray:
    """What to add to the log envelope (frames, bins) of the analysed take so that it sounds like the reader.

    Levels stay those of the take: only the shape of the spectrum changes, by at most 18 dB.
    """
    alike = take.features @ reader.spoken.features.T
    nearest = np.argpartition(-alike, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    theirs = reader.spoken.log_mel[nearest].mean(1)
    loud = take.log_mel.max(1)
    speech = loud > loud.max() - 2 * _SPEECH_RANGE
    difference = theirs - take.log_mel
    difference -= difference.mean(1, keepdims=True)
    difference *= speech[:, None]
    difference = _smooth(_smooth(difference, 0), 1)
    limit = _MOST_DB * np.log(10) / 10
    return _on_envelope(np.clip(difference, -limit, limit), *analysed.envelope.shape)


def _smooth(x: np.ndarray, axis: int) -> np.ndarray:
    padded = np.concatenate([np.take(x, [0], axis), x, np.take(x, [-1], axis)], axis)
    n = x.shape[axis]
    before, here, after = (np.take(padded, np.arange(i, i + n), axis) for i in range(3))
    return 0.25 * before + 0.5 * here + 0.25 * after


def _on_envelope(difference: np.ndarray, n_frames: int, n_bins: int) -> np.ndarray:
    """From (frames of 40 ms, mel bands) to WORLD's (frames of 5 ms, linear bins)."""
    bank = np.asarray(mel_filterbank(), dtype=np.float64)
    centres_hz = (bank * np.arange(len(bank))[:, None]).sum(0) / bank.sum(0) * SAMPLE_RATE_HZ / 2 / len(bank)
    hz = np.linspace(0, SAMPLE_RATE_HZ / 2, n_bins)
    rows = np.stack([np.interp(hz, centres_hz, row) for row in difference])
    at = np.arange(n_frames) * FRAME_MS / 1000 / (SUBSAMPLING * 0.01) - 0.5
    low = np.clip(np.floor(at).astype(np.int64), 0, len(rows) - 1)
    high = np.minimum(low + 1, len(rows) - 1)
    share = np.clip(at - low, 0, 1)[:, None]
    return rows[low] * (1 - share) + rows[high] * share
