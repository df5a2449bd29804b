"""What a synthetic corpus is made of, as its YAML file says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from asr_pretrain.synthesis.texts import WAKE_PHRASES

HomePath = Annotated[Path, AfterValidator(Path.expanduser)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EngineShare(_Strict):
    """How much one synthesizer speaks."""

    share: float = Field(gt=0)
    """Of the voices; shares need not add up to one."""
    optional: bool = False
    """Left out where it is not installed, instead of an error."""


class TextShares(_Strict):
    """How many utterances say what, in shares that need not add up to one."""

    transcripts: float = Field(0.08, ge=0)
    """Texts of real recordings; without any, the others say more."""
    books: float = Field(0.34, ge=0)
    """Clauses of public-domain books."""
    words: float = Field(0.22, ge=0)
    """Words of CMUdict in any order: rare words, names, rare diphones."""
    spoken: float = Field(0.17, ge=0)
    """Commands, addresses, names, numbers, times."""
    grammar: float = Field(0.06, ge=0)
    """Sentences of a small grammar over common words."""
    short: float = Field(0.12, ge=0)
    """One to three words."""
    confusable: float = Field(0.008, ge=0)
    """What sounds like the first wake phrase and is not: labelled 0."""
    wake: float = Field(0.002, ge=0)
    """The first wake phrase alone or in a sentence: labelled 1. Nothing else holds it."""
    wake_alone: float = Field(0.0, ge=0)
    """The first wake phrase and nothing else: takes to learn the wake word from."""

    def by_kind(self) -> dict[str, float]:
        """The shares by the names of their keys."""
        return {
            "transcripts": self.transcripts,
            "books": self.books,
            "words": self.words,
            "spoken": self.spoken,
            "grammar": self.grammar,
            "short": self.short,
            "confusable": self.confusable,
            "wake": self.wake,
            "wake_alone": self.wake_alone,
        }


class SynthesisRecipe(_Strict):
    """A synthetic corpus. Each shard follows from these values and its number alone."""

    out: HomePath
    seed: int = Field(0, ge=0)
    shards: int = Field(510, ge=1, le=100_000)
    utterances_per_shard: int = Field(1000, ge=1, le=100_000)
    utterances_per_voice: tuple[int, int] = (5, 20)
    duration_s: tuple[float, float] = (0.6, 9.0)
    """Shorter speech gets silence around it, longer speech is left out."""
    codec: Literal["flac", "opus"] = "flac"
    """Of the shards: 18 or 4 kB a second, the latter with some loss and twice the time."""
    phrases: list[str] = Field(list(WAKE_PHRASES), min_length=1, max_length=50)
    """Wake phrases that the rows are labelled for, in lower case; texts of kind `wake` say the first."""
    engines: dict[Literal["espeak", "flite", "festival"], EngineShare] = Field(min_length=1)
    recordings: HomePath | None = None
    """Manifest of real recordings, whose train rows give texts; may be missing."""
    books: list[Literal["web", "austen"]] = ["web", "austen"]
    texts: TextShares = TextShares()

    @field_validator("phrases")
    @classmethod
    def _are_words(cls, phrases: list[str]) -> list[str]:
        for phrase in phrases:
            if not re.fullmatch(r"[a-z']+( [a-z']+)*", phrase) or len(phrase) > 60:
                raise ValueError(f"{phrase!r}: a wake phrase is words of a to z, one blank between them")
        return phrases

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> SynthesisRecipe:
        for name in ("utterances_per_voice", "duration_s"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name}: ({low}, {high}) is no range; the first is above 0 and the smaller")
        return self
