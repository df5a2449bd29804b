"""The plan's recipe: pydantic models over one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

RECIPES: Final = Path(__file__).parent / "recipes"


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names the file, the key and the remedy."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shares(_Strict):
    """How the mirror rows that come without a part are divided, in fractions that sum to 1."""

    train: float = Field(default=0.5, ge=0, le=1)
    """The course's half."""
    dev: float = Field(default=0.25, ge=0, le=1)
    """A quarter."""
    test: float = Field(default=0.25, ge=0, le=1)
    """A quarter."""

    @model_validator(mode="after")
    def _sum_is_one(self) -> Shares:
        total = self.train + self.dev + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"shares sum to {total:g}; they must sum to 1")
        return self


class Amounts(_Strict):
    """What dev and test are to hold of the mirror rows; train gets the rest."""

    dev: float = Field(ge=0)
    """Rows or hours."""
    test: float = Field(ge=0)
    """Rows or hours."""


class TrainDev(_Strict):
    """The part of the training rows that is never trained on."""

    share: float = Field(default=0.05, gt=0, le=0.5)
    """Fraction of each source's utterances on the train side, cut by speaker."""
    rows: int | None = Field(default=None, gt=0)
    """Utterances instead of a share."""
    hours: float | None = Field(default=None, gt=0)
    """Hours instead of a share."""
    at_least: dict[str, int] = Field(default_factory=dict)
    """Distinct positive recordings wanted of each phrase, such as {"smart mirror": 8}."""


class PlanRecipe(_Strict):
    """Everything `data-splits plan` needs; the same recipe and sources give the same plan."""

    sources: list[str] = Field(min_length=1)
    """Manifests to plan, relative to the folder the command runs in."""
    seed: int = 1
    """Decides which groups go where, among equals."""
    groups: list[str] = Field(
        default=[
            "speaker",
            "session",
            "vehicle",
            "device",
            "noise_parent",
            "interferer_parent",
            "rir_parent",
            "clean_parent",
        ]
    )
    """Columns whose values never cross the train side, dev and test; `day` is the day of a drive."""
    shares: Shares = Shares()
    """Mirror rows without a part: train, dev and test."""
    rows: Amounts | None = None
    """Mirror rows instead of shares."""
    hours: Amounts | None = None
    """Hours of mirror rows instead of shares."""
    stratify: list[str] = Field(default_factory=list)
    """Columns (`labels.smart mirror` for a label) whose values are spread over the sides in like shares."""
    tolerance: float = Field(default=0.1, ge=0, le=1)
    """How far a mirror share may end from its wish, because groups are not cut, before the plan fails."""
    train_dev: TrainDev = TrainDev()
    """The training-dev split."""

    @model_validator(mode="after")
    def _one_size(self) -> PlanRecipe:
        for owner, names in (
            (self, ("shares", "rows", "hours")),
            (self.train_dev, ("share", "rows", "hours")),
        ):
            given = [name for name in names if name in owner.model_fields_set and getattr(owner, name)]
            if len(given) > 1:
                raise ValueError(f"{' and '.join(given)} both say how much; keep one of them")
        return self


def load_recipe(path: str | Path, *, sources: list[str] | None = None) -> PlanRecipe:
    """Read a recipe: a path, or the name of one shipped in `data_splits/recipes`.

    Args:
        path: file, or name without `.yaml`.
        sources: replaces the recipe's own `sources` where given.

    Raises:
        RecipeError: naming the file and the offending key.
    """
    file = Path(path)
    if not file.is_file() and (RECIPES / f"{path}.yaml").is_file():
        file = RECIPES / f"{path}.yaml"
    if not file.is_file():
        shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise RecipeError(f"{path}: no such recipe; give a YAML file or a shipped name ({shipped})")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(
            f"{file}: a recipe is a YAML mapping of keys, such as 'sources: [recordings.parquet]'"
        )
    if sources:
        content["sources"] = sources
    try:
        return PlanRecipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError("; ".join(explain(file, item) for item in error.errors())) from error


def explain(file: Path, item: object) -> str:
    """One of pydantic's errors as a sentence that names file and key."""
    detail = dict(item)  # type: ignore[call-overload]
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{file}: unknown key {key!r}; remove it or correct its spelling"
    return f"{file}: {key or 'recipe'}: {detail['msg']} (found {detail['input']!r})"
