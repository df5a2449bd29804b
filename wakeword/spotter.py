"""The phrase's phones, followed through the recogniser's output as sound comes: a detector before training.

The same search as `asr_pretrain.spotting`, as a layer: it is learnt with the rest, by the gradient of the
best path, and runs in the device's graph with its own state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asr_pretrain.phonemes import PHONES, phone_ids
from asr_pretrain.spotting import BLANK, TRAIL_COST

FAR = 1000.0
"""Cost (nats) of what cannot be reached yet; finite, for it travels in a state that begins as zeros."""
MOST_COST = 8.0
"""Nats a phone: beyond it nothing is learnt."""


class Spotter(nn.Module):
    """From the encoder's output to one logit a phrase and frame."""

    def __init__(self, channels: int, phrases: list[str]):
        """Raises PhonemeError for a phrase that espeak-ng cannot read."""
        super().__init__()
        self.phones = nn.Linear(channels, len(PHONES) + 1)
        self.sharpness = nn.Parameter(torch.full((len(phrases),), 2.0))
        """Logits a nat."""
        self.even_cost = nn.Parameter(torch.full((len(phrases),), 2.5))
        """Nats a phone at which the word is as likely as not: what separates takes from other speech."""
        self.units = [list(phone_ids(phrase)) for phrase in phrases]
        for number, units in enumerate(self.units):
            states = [unit for u in units for unit in (u, BLANK)]
            leaps = [i >= 2 and states[i] != BLANK and states[i] != states[i - 2] for i in range(len(states))]
            self.register_buffer(f"states{number}", torch.tensor(states), persistent=False)
            wall = torch.where(torch.tensor(leaps), 0.0, FAR)
            self.register_buffer(f"walls{number}", wall, persistent=False)
            trail = torch.zeros(len(states))
            trail[-1] = TRAIL_COST
            self.register_buffer(f"trails{number}", trail, persistent=False)

    def forward(self, encoded: Tensor) -> Tensor:
        """(batch, frames, channels) to logits (batch, phrases, frames)."""
        log_probabilities = self.phones(encoded).float().log_softmax(-1)  # sums of costs need the precision
        columns = []
        for number in range(len(self.units)):
            steps = -log_probabilities[:, :, getattr(self, f"states{number}")]
            total = steps.new_full((len(steps), steps.shape[2]), FAR)
            costs = []
            for frame in steps.unbind(1):
                total = self.advance(number, total, frame)
                costs.append(self.cost(number, total))
            columns.append(self.logit(number, torch.stack(costs, 1)))
        return torch.stack(columns, 1)

    def initial_state(self) -> list[Tensor]:
        """Zeros for each phrase, (1, states): how far below `FAR` the cost of each state lies."""
        return [torch.zeros(1, 2 * len(units)) for units in self.units]

    def stream(self, log_probabilities: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Of the phones (1, frames, 40) of one step, to (1, phrases, frames), and the new state."""
        columns, kept = [], []
        for number, reach in enumerate(state):
            total, logits = FAR - reach, []
            for frame in (-log_probabilities[:, :, getattr(self, f"states{number}")]).unbind(1):
                total = self.advance(number, total, frame)
                logits.append(self.logit(number, self.cost(number, total)))
            columns.append(torch.stack(logits, 1))
            kept.append(FAR - total.clamp(max=FAR))
        return torch.stack(columns, 1), kept

    def advance(self, number: int, total: Tensor, step: Tensor) -> Tensor:
        """Costs of the states (batch, states) of phrase ``number`` after a frame of costs ``step``."""
        far = total.new_full((len(total), 2), FAR)
        begin = torch.cat([torch.zeros_like(total[:, :1]), total[:, :-1]], 1)
        leap = torch.cat([far, total[:, :-2]], 1) + getattr(self, f"walls{number}")
        return torch.minimum(torch.minimum(total, begin), leap) + step + getattr(self, f"trails{number}")

    def cost(self, number: int, total: Tensor) -> Tensor:
        """Nats a phone of the best path that may end now (batch,)."""
        return torch.minimum(total[:, -1], total[:, -2]) / len(self.units[number])

    def logit(self, number: int, cost: Tensor) -> Tensor:
        """How surely the phrase ends at this cost."""
        return self.sharpness[number] * (self.even_cost[number] - cost.clamp(max=MOST_COST))
