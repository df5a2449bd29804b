"""From clean utterances to the log-mels a network trains on: another voice, a car, the front end.

Everything is drawn from one generator per batch, so a step can be repeated from its seed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import firwin, resample_poly
from torch import Tensor

from asr_pretrain.augment.car import Car
from asr_pretrain.logmel import HOP_SAMPLES, SAMPLE_RATE_HZ, LogMel
from asr_pretrain.training.recipe import Perturbation

N_WARPS = 17


def change_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Plays int16 or float samples ``speed`` times as fast: pitch, formants and tempo move together."""
    ratio = Fraction(1 / speed).limit_denominator(24)
    if ratio == 1:
        return samples.astype(np.float32)
    up, down = ratio.numerator, ratio.denominator
    return resample_poly(samples.astype(np.float32), up, down, window=_filter(up, down)).astype(np.float32)


@lru_cache(maxsize=1024)
def _filter(up: int, down: int) -> np.ndarray:
    """scipy's own choice in `resample_poly`, designed once a ratio."""
    longest = max(up, down)
    return firwin(20 * longest + 1, 1.0 / longest, window=("kaiser", 5.0)).astype(np.float32)


@dataclass(frozen=True)
class Heard:
    """Log-mels (batch, frames, 40), the frames that hold each utterance, and seconds per frame."""

    log_mel: Tensor
    n_frames: Tensor
    frame_s: float


class Listening:
    """Applies perturbation, car and front end to a batch of placed utterances."""

    def __init__(self, car: Car, perturbation: Perturbation):
        self.car = car
        self.perturbation = perturbation
        low, high = perturbation.warp
        warps = tuple(float(w) for w in np.geomspace(low, high, N_WARPS)) if low < high else (low,)
        self.front_end = LogMel(warps)

    def draw_speed(self, rng: np.random.Generator) -> float:
        low, high = self.perturbation.speed
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def draw_hop(self, rng: np.random.Generator) -> int:
        """A shorter hop makes more frames of the same speech: slower speech."""
        low, high = self.perturbation.tempo
        return int(round(HOP_SAMPLES * np.exp(rng.uniform(np.log(low), np.log(high)))))

    def hear(self, speech: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> Heard:
        """``speech`` (batch, samples) float32 in [-1, 1], ``lengths`` (batch,) samples of each utterance."""
        batch, n_samples = speech.shape
        low, high = self.perturbation.tilt_db_per_octave
        if low < high:
            speech = tilted(speech, np.asarray(rng.uniform(low, high, batch)))
        drives = self.car.draw(rng, batch, n_samples)
        heard = self.car.apply(torch.from_numpy(speech), drives)
        hop = self.draw_hop(rng)
        warp_index = torch.from_numpy(rng.integers(0, len(self.front_end.warps), batch))
        log_mel = self.front_end(heard, warp_index, hop)
        n_frames = torch.from_numpy(np.minimum(lengths // hop, log_mel.shape[1]))
        return Heard(log_mel, n_frames, hop / SAMPLE_RATE_HZ)


def tilted(speech: np.ndarray, db_per_octave: np.ndarray) -> np.ndarray:
    """``speech`` (batch, samples) float32, each row's spectrum tilted about 1 kHz by its ``db_per_octave``.

    Below 100 Hz nothing more is raised or lowered; the phase stays.
    """
    n_samples = speech.shape[1]
    size = next_fast_len(n_samples + SAMPLE_RATE_HZ // 10, real=True)  # the filter rings for less than 0.1 s
    octave = np.log2(np.clip(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), 100, 8000) / 1000).astype(np.float32)
    gain = 10 ** (db_per_octave.astype(np.float32)[:, None] * octave / 20)
    out: np.ndarray = irfft(rfft(speech, size) * gain, size)[:, :n_samples].astype(np.float32)
    return out


def spec_augment(normalised: Tensor, config: Perturbation, rng: np.random.Generator) -> Tensor:
    """Two band masks and two time masks a cut, set to zero, the running mean (Park et al., 2019)."""
    batch, frames, mels = normalised.shape
    keep = torch.ones_like(normalised)
    for row in range(batch):
        for _ in range(2):
            width = int(rng.integers(0, config.mask_bands + 1))
            start = int(rng.integers(0, mels - width + 1))
            keep[row, :, start : start + width] = 0
            width = int(rng.integers(0, min(config.mask_frames, frames) + 1))
            start = int(rng.integers(0, frames - width + 1))
            keep[row, start : start + width] = 0
    return normalised * keep
