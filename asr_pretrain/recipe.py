"""What every training recipe shares: pydantic models over one YAML file, unknown keys refused by name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from asr_pretrain.augment.car import CarRecipe

HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path in a recipe, where ``~`` is the user's home."""


class RecipeError(ValueError):
    """A recipe that cannot be read, or a value in it that cannot be used."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Optimisation(Strict):
    """How the weights move."""

    steps: int = Field(2000, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(200, ge=0)
    final_rate: float = Field(0.02, ge=0, le=1)
    """Share of the learning rate that the cosine ends at."""
    weight_decay: float = Field(1e-2, ge=0)
    max_grad_norm: float = Field(5.0, gt=0)
    average_decay: float = Field(0.998, ge=0, lt=1)
    """Exponential average of the weights; the average is what is kept."""
    checkpoint_every_steps: int = Field(100, ge=1)
    seed: int = 0
    device: str = "cpu"
    precision: str = Field("fp32", pattern="^(fp32|bf16|fp16)$")
    workers: int = Field(1, ge=0, le=64)
    """Processes that decode and augment while the device trains."""


class Perturbation(Strict):
    """Voices are the bottleneck: each cut is spoken by a slightly different person at another pace."""

    speed: tuple[float, float] = (0.88, 1.14)
    """Resampling: pitch, formants and tempo together."""
    warp: tuple[float, float] = (0.85, 1.18)
    """Vocal-tract length by a warped filterbank: formants without pitch."""
    tempo: tuple[float, float] = (0.85, 1.18)
    """Pace without pitch, by the hop of the front end; one draw a batch."""
    mask_bands: int = Field(8, ge=0, le=30)
    """Widest SpecAugment band mask (mels)."""
    mask_frames: int = Field(12, ge=0, le=100)
    """Longest SpecAugment time mask (log-mel frames)."""


class Surroundings(Strict):
    """The simulated car that training hears through."""

    car: CarRecipe = CarRecipe()
    cabins: int = Field(200, ge=1, le=5000)
    procedural_noises: int = Field(200, ge=1, le=10000)
    seed: int = 0


Recipe = TypeVar("Recipe", bound=BaseModel)


def load_recipe(path: Path, model: type[Recipe]) -> Recipe:
    """Reads and validates a YAML recipe.

    Raises RecipeError naming the file, the key and the value that is wrong.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); give the path of a recipe") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML ({error})") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values, found {type(document).__name__}")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or 'recipe'}: {item['msg']} "
            f"(found {str(item.get('input'))[:80]!r})"
            for item in error.errors()
        ]
        raise RecipeError(f"{path}: " + "; ".join(lines)) from error


def recipe_hash(recipe: BaseModel) -> str:
    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()
