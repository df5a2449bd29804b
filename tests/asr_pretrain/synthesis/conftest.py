from pathlib import Path

import pytest

from asr_pretrain.synthesis.recipe import SynthesisRecipe
from asr_pretrain.training.recipe import load_recipe

TINY = Path(__file__).resolve().parents[3] / "asr_pretrain" / "recipes" / "synthesize_tiny.yaml"


@pytest.fixture(scope="session")
def tiny() -> SynthesisRecipe:
    return load_recipe(TINY, SynthesisRecipe)


@pytest.fixture(scope="session")
def made(tiny: SynthesisRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny corpus, made in one run."""
    from asr_pretrain.synthesize import synthesize

    out = tmp_path_factory.mktemp("synthetic") / "corpus"
    synthesize(tiny, out, quiet=True)
    return out
