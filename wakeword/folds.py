"""Cross-validation over the voices of the wake word: who is trained on, and who judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from wakeword.blocks import StreamError

FEWEST_TAKES = 3
"""Of a voice that stands for all in training: one take is no voice."""


def voice_folds(takes: Mapping[str, int], folds: int) -> list[list[str]]:
    """Voices dealt to folds of about as many takes: the largest first, each to the fold that has fewest.

    Raises StreamError when there are fewer voices than folds.
    """
    if len(takes) < folds:
        raise StreamError(f"{len(takes)} voices cannot be dealt to {folds} folds; ask for fewer folds")
    dealt: list[list[str]] = [[] for _ in range(folds)]
    for voice in sorted(takes, key=lambda name: (-takes[name], name)):
        fewest = min(dealt, key=lambda fold: (sum(takes[name] for name in fold), len(fold)))
        fewest.append(voice)
    return [sorted(fold) for fold in dealt]


def some_voices(takes: Mapping[str, int], voices: Sequence[str], count: int | None, seed: int) -> list[str]:
    """``count`` of ``voices`` with at least three takes each, drawn by ``seed``; all voices for None.

    Raises StreamError when there are not so many.
    """
    if count is None:
        return sorted(voices)
    able = sorted(voice for voice in voices if takes[voice] >= FEWEST_TAKES)
    if len(able) < count:
        raise StreamError(f"{count} voices asked for, {len(able)} have {FEWEST_TAKES} takes or more")
    return sorted(np.random.default_rng([seed, count]).choice(able, count, replace=False).tolist())


def takes_by_voice(frame: pl.DataFrame, phrase: str, splits: Sequence[str]) -> dict[str, int]:
    """Takes of ``phrase`` by each known speaker of ``splits``."""
    takes = frame.filter(
        (pl.col("labels").struct.field(phrase) == 1)
        & pl.col("split").is_in(splits)
        & pl.col("speaker").is_not_null()
    )
    return dict(takes.group_by("speaker").len().sort("speaker").iter_rows())


def hold_out(frame: pl.DataFrame, voices: Sequence[str], held: Sequence[str]) -> pl.DataFrame:
    """``frame`` with the rows of all ``voices`` in train, those of ``held`` in dev; other test rows leave.

    Everybody else's rows stay where they are: dev noise and dev speech judge every fold.
    """
    mine = pl.col("speaker").is_in(list(voices))
    split = (
        pl.when(pl.col("speaker").is_in(list(held)))
        .then(pl.lit("dev"))
        .when(mine)
        .then(pl.lit("train"))
        .otherwise(pl.col("split"))
    )
    return frame.with_columns(split.alias("split")).filter(pl.col("split") != "test")
