"""Finding a phrase in a recording with the general recogniser: whether it is said, from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asr_pretrain.encoder import SUBSAMPLING
from asr_pretrain.logmel import LogMel
from asr_pretrain.phonemes import phone_ids
from asr_pretrain.spotting import spot
from asr_pretrain.targets import Targets
from asr_pretrain.train import KEPT_ENCODER, load_recogniser
from asr_pretrain.training.recipe import RecipeError

ABSENT_COST, PRESENT_COST = 2.9, 2.3
"""Nats a phone. Of 115 train takes of "smart mirror" one costs 6.6 (0.4 s, far too quiet), the others 0.4 to
2.9 (all but one below 2.3); none of 400 other train recordings and of the noises costs 2.3 or less."""
PIECE_S, LEAD_S = 20.0, 3.0
"""Longer recordings are searched in pieces that overlap by the lead."""
SAMPLE_RATE_HZ = 16000
FRAME_S = 0.01 * SUBSAMPLING
BEFORE_S, AFTER_S = 0.16, 0.06
"""From the word's start to the frame that hears its first phone, and from the last such frame to its end:
medians over 152 takes, against the span of their energy."""
_SILENCE_S = (0.2, 0.4)
"""Put before and after: an encoder that only looks back answers late."""


@dataclass(frozen=True)
class Found:
    """The best place of the phrase in a recording: cost in nats a phone, start and end in seconds."""

    cost: float
    start_s: float
    end_s: float


class Finder:
    """Searches recordings for one phrase."""

    def __init__(self, phrase: str, checkpoint: Path = KEPT_ENCODER):
        """Raises CheckpointError, PhonemeError, and RecipeError when the recogniser spells no phones."""
        self.model, sidecar = load_recogniser(checkpoint)
        if Targets.of(sidecar).kind != "phones":
            raise RecipeError(f"{checkpoint}: spells {Targets.of(sidecar).kind}; give one that spells phones")
        self.units, self.front_end = list(phone_ids(phrase)), LogMel()

    @torch.inference_mode()
    def find(self, samples: np.ndarray) -> Found:
        """Where the phrase fits int16 ``samples`` (n,) best; of infinite cost where they are too short."""
        best = Found(np.inf, 0.0, samples.size / SAMPLE_RATE_HZ)
        step, lead = int(PIECE_S * SAMPLE_RATE_HZ), int(LEAD_S * SAMPLE_RATE_HZ)
        before, after = (int(t * SAMPLE_RATE_HZ) for t in _SILENCE_S)
        for start in range(0, max(1, samples.size - lead), step):
            piece = samples[start : start + step + lead].astype(np.float32) / 32768
            padded = torch.nn.functional.pad(torch.from_numpy(piece), (before, after))
            heard = self.model.recognise(self.front_end(padded[None]))[0].numpy()
            if len(heard) <= 2 * len(self.units):
                continue
            spotted = spot(heard, self.units)
            if spotted.cost < best.cost:
                offset_s = start / SAMPLE_RATE_HZ - _SILENCE_S[0]
                first_s = offset_s + spotted.first_frame * FRAME_S - BEFORE_S
                last_s = offset_s + spotted.last_frame * FRAME_S + AFTER_S
                best = Found(spotted.cost, max(0.0, first_s), min(samples.size / SAMPLE_RATE_HZ, last_s))
        return best
