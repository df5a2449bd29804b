"""One small car of each part, made once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from asr_pretrain.augment.cabin import RirBank, cabin_bank
from asr_pretrain.augment.car import Car, CarRecipe
from asr_pretrain.augment.noise import NoiseBank


@pytest.fixture(scope="session")
def rirs() -> RirBank:
    return cabin_bank("train", 8)


@pytest.fixture(scope="session")
def noise() -> NoiseBank:
    return NoiseBank.build(None, None, part="train", procedural=8)


@pytest.fixture(scope="session")
def make_car(rirs: RirBank, noise: NoiseBank) -> Callable[[CarRecipe], Car]:
    return lambda recipe: Car(recipe, rirs, noise)


@pytest.fixture(scope="session")
def speech() -> torch.Tensor:
    """Bursts of coloured noise with pauses, (12, 32000): speech as far as levels are concerned."""
    rng = np.random.default_rng(5)
    x = np.cumsum(rng.standard_normal((12, 32000)), axis=1)
    x = np.diff(x, n=1, axis=1, prepend=0.0) + 0.3 * rng.standard_normal((12, 32000))
    gate = np.repeat(rng.random((12, 20)) > 0.4, 1600, axis=1) * rng.uniform(0.005, 0.05, (12, 1))
    gate[:, 8000:9600] = 0.03
    return torch.from_numpy((x * gate).astype(np.float32))
