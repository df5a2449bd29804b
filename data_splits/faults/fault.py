"""What a fault is, and the few ways to change a manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

Rows = Sequence[str]


@dataclass(frozen=True)
class Faulty:
    """A manifest with a fault in it."""

    frame: pl.DataFrame
    ids: Rows = ()
    """The rows at fault, which the rule is to name; empty for a fault of the whole manifest."""
    known: pl.DataFrame | None = None
    """Hashes of public recordings, for contamination."""


@dataclass(frozen=True)
class Fault:
    """One way of breaking one rule."""

    rule: str
    name: str
    inject: Callable[[pl.DataFrame], Faulty]


def rows_of(frame: pl.DataFrame, where: pl.Expr, n: int = 1, skip: int = 0) -> list[str]:
    """The ids of n rows, spread over those where a condition holds."""
    ids = frame.filter(where)["id"]
    step = max(1, (ids.len() - skip) // n)
    return ids.gather_every(step, skip).head(n).to_list()


def value_of(frame: pl.DataFrame, row_id: str, column: str) -> Any:
    """What a row holds in a column."""
    return frame.filter(pl.col("id") == row_id)[column][0]


def put(frame: pl.DataFrame, ids: Rows, **values: Any) -> pl.DataFrame:
    """Replace values of rows; an expression is computed, anything else is taken as it is."""
    here = pl.col("id").is_in(list(ids))
    changes = []
    for name, value in values.items():
        new = value if isinstance(value, pl.Expr) else pl.lit(value, dtype=frame.schema[name])
        changes.append(pl.when(here).then(new).otherwise(pl.col(name)).cast(frame.schema[name]).alias(name))
    return frame.with_columns(changes)


def in_split(*names: str) -> pl.Expr:
    """Mirror rows of the splits."""
    return pl.col("split").is_in(names) & (pl.col("domain") == "mirror")


def labelled(value: int) -> pl.Expr:
    """Rows with a label of the made-up manifest's phrase."""
    return pl.col("labels").struct.field("smart mirror") == value
