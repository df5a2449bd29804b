from pathlib import Path

import pytest

from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.train import PretrainRecipe
from asr_pretrain.training.recipe import Optimisation, Surroundings


@pytest.fixture
def tiny_recipe(tiny_corpus: Path, tmp_path: Path) -> PretrainRecipe:
    return PretrainRecipe(
        manifests=[tiny_corpus],
        out=tmp_path / "run",
        encoder=EncoderConfig(channels=16, dilations=(1, 2)),
        optimisation=Optimisation(steps=6, warmup_steps=2, checkpoint_every_steps=2, workers=0),
        surroundings=Surroundings(cabins=3, procedural_noises=3),
        batch_seconds=12,
    )
