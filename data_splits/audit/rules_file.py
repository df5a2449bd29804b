"""The rules file: what each rule allows, which warnings fail, and which findings are waived until when."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from data_splits.audit import HARD, RULES
from data_splits.audit.limits import Limits, Strict
from data_splits.recipe import RecipeError, explain

_MAX_BYTES: Final = 1 << 20


class Waiver(Strict):
    """Findings that somebody answers for, until a day."""

    rule: str
    """Id of the rule."""
    ids: tuple[str, ...] = ()
    """Rows that the rule passes over; `*` and `?` stand for any letters and any letter."""
    values: tuple[str, ...] = ()
    """Values (speakers, recordings, devices, sentences) that it passes over. Neither ids nor values: all."""
    reason: str = Field(min_length=1)
    """Why this does no harm."""
    expires: date
    """The last day on which it holds."""


class Rules(Strict):
    """A rules file."""

    limits: Limits = Limits()
    """Thresholds, a section a rule."""
    severity: dict[str, Literal["error", "warning", "info"]] = Field(default_factory=dict)
    """Another severity for rules that are no errors of themselves."""
    waivers: tuple[Waiver, ...] = ()
    """What is waived."""

    @model_validator(mode="after")
    def _rules_exist(self) -> Rules:
        for name in (*self.severity, *(waiver.rule for waiver in self.waivers)):
            if name not in RULES:
                raise ValueError(f"no such rule {name!r}; the rules are {', '.join(RULES)}")
        hard = [name for name in self.severity if name in HARD]
        if hard:
            raise ValueError(f"severity of {hard[0]!r} is error; a waiver with reason and expiry is the way")
        return self


def load_rules(path: Path) -> Rules:
    """Read a rules file.

    Raises:
        RecipeError: naming the file and the offending key.
    """
    if not path.is_file():
        raise RecipeError(f"{path}: no such file; give a YAML file with limits, severity or waivers")
    if path.stat().st_size > _MAX_BYTES:
        raise RecipeError(f"{path}: {path.stat().st_size} bytes; a rules file has at most {_MAX_BYTES}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML: {error}") from error
    if content is None:
        return Rules()
    try:
        return Rules.model_validate(content)
    except ValidationError as error:
        raise RecipeError("; ".join(explain(path, item) for item in error.errors())) from error
