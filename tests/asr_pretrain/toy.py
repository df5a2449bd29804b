"""A training program for tests: the real run, brain and loader over batches of noise.

python toy.py RECIPE.yaml… [--fail-at STEP] [--nan-at STEP] [--rank RANK] [--slow SECONDS]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr_pretrain.encoder import SUBSAMPLING
from asr_pretrain.launcher import Command, launch
from asr_pretrain.train import CtcBrain, Recogniser
from asr_pretrain.training.feed import Drawn
from asr_pretrain.training.recipe import TrainingRecipe, load_recipe
from asr_pretrain.training.run import open_run
from asr_pretrain.training.warm_start import encoder_shape

ROWS, FRAMES = 3, 64


@dataclass(frozen=True)
class Noise:
    """Batches by their number, rows of noise with random phones; ``join`` numbers make one batch.

    Of rank ``rank``, the batches of step ``fail_at`` cannot be made, and those of ``nan_at`` are no numbers.
    """

    join: int = 1
    fail_at: int = -1
    nan_at: int = -1
    rank: int = 0
    slow_s: float = 0.0

    def batch(self, step: int, rank: int, world: int) -> dict[str, Any]:
        time.sleep(self.slow_s)
        first = (step * world + rank) * self.join
        parts = [self.part(number) for number in range(first, first + self.join)]
        batch = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        if (step, rank) == (self.fail_at, self.rank):
            raise ValueError("speech-00003.tar: truncated; write it again")
        if (step, rank) == (self.nan_at, self.rank):
            batch["features"] *= float("nan")
        return batch

    def part(self, number: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng(number)
        lengths = torch.from_numpy(rng.integers(2, 6, ROWS))
        return {
            "features": torch.from_numpy(rng.normal(number % 3, 1, (ROWS, FRAMES, 40)).astype(np.float32)),
            "n_frames": torch.full((ROWS,), FRAMES // SUBSAMPLING),
            "targets": torch.from_numpy(rng.integers(1, 40, int(lengths.sum()))),
            "target_lengths": lengths,
        }


def train(recipe: TrainingRecipe, noise: Noise) -> Path:
    """Trains on noise; returns the path of ``encoder.safetensors``."""
    with open_run(recipe) as run:
        model = Recogniser(encoder_shape(recipe))
        brain = CtcBrain({"model": model}, run, recipe.optimisation.total_steps(None))
        brain.learn(Drawn(noise, run.accumulate) if run.accumulate > 1 else noise)
        return run.keep("encoder.safetensors", model.state_dict(), {"kind": "recogniser", **brain.facts()})


def add_parser(sub: Any) -> None:
    parser = sub.add_parser("toy")
    parser.add_argument("recipes", type=Path, nargs="+")
    parser.add_argument("--fail-at", type=int, default=-1)
    parser.add_argument("--nan-at", type=int, default=-1)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--slow", type=float, default=0)


def run(args: argparse.Namespace) -> int:
    for path in args.recipes:
        noise = Noise(1, args.fail_at, args.nan_at, args.rank, args.slow)
        print(train(load_recipe(path, TrainingRecipe), noise))
    return 0


if __name__ == "__main__":
    raise SystemExit(launch("toy", "", "", {"toy": Command("toy", "")}, None))
