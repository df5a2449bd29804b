"""Which devices are units, and which names stand for a model that many units share."""

from __future__ import annotations

from typing import Final

import polars as pl

SIMULATED: Final = "sim-"
# Columns of which a value may name a model: its rows share no unit.
_PREFIX: Final = {"device": SIMULATED, "microphone": ""}


def model_name(frame: pl.DataFrame, column: str) -> str | None:
    """The value of `device` or `microphone` that names a model rather than a unit, where there is one.

    It is the one that most of the mirror rows carry which carry any; of devices only a simulator
    (`sim-…`), which no two rows share as they would share a unit.
    """
    named = frame.filter(pl.col("domain") == "mirror")[column].drop_nulls()
    if named.is_empty():
        return None
    value, count = named.value_counts(sort=True).row(0)
    is_model = 2 * count > named.len() and value.startswith(_PREFIX[column])
    return str(value) if is_model else None


def recording_day() -> pl.Expr:
    """The day (UTC) on which a mirror heard the row; null where a simulation did."""
    real = ~pl.col("device").fill_null("").str.starts_with(SIMULATED)
    day = pl.col("recorded_at").dt.date().cast(pl.String)
    return pl.when(real & (pl.col("domain") == "mirror")).then(day)
