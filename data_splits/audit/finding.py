"""What a rule sees and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

import polars as pl

MAX_IDS: Final = 100
ERROR, WARNING = "error", "warning"
# Roles in which a recording can take part in a row: as the row itself, or as something heard in it.
ROLES: Final = ("id", "clean_parent", "noise_parent", "interferer_parent")


@dataclass(frozen=True)
class Finding:
    """One violation of one rule."""

    rule: str
    """Kebab-case id of the rule."""
    severity: str
    """`error` fails the audit, `warning` does not."""
    count: int
    """Rows concerned: those of dev and test where the rule is about them, else all."""
    ids: tuple[str, ...]
    """Up to 100 of them, dev and test first."""
    message: str
    """What is wrong, with the value that most rows share."""
    remedy: str
    """What to do about it."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"ids": list(self.ids)}


class Audited:
    """A manifest under audit, with the tables that several rules share."""

    def __init__(self, frame: pl.DataFrame, measured: pl.DataFrame | None = None) -> None:
        side = pl.col("split").replace({"train_dev": "train"}).alias("side")
        self.frame = frame.with_columns(side)
        self.measured = measured

    def values(self, column: str) -> pl.DataFrame:
        """Columns `id, split, side, value` for every value of a column, lists exploded, nulls left out."""
        rows = self.frame.select("id", "split", "side", pl.col(column).alias("value"))
        if isinstance(self.frame.schema[column], pl.List):
            rows = rows.explode("value")
        return rows.drop_nulls("value").with_columns(pl.col("value").cast(pl.String))

    @cached_property
    def uses(self) -> pl.DataFrame:
        """Every use of a recording: `id, split, side, value, role`, where value names the recording."""
        return pl.concat(
            [self.values(role).with_columns(pl.lit(role).alias("role")) for role in ROLES],
        )


Rule = Callable[[Audited, str], Iterator[Finding]]


def sort_ids(rows: pl.DataFrame, weight: str | None = None) -> tuple[str, ...]:
    """Up to 100 distinct ids of rows with `id` and `split`: dev and test first, then the heaviest."""
    order = rows.with_columns(
        (~pl.col("split").is_in(["dev", "test"])).alias("_late"),
        (pl.col(weight) if weight else pl.lit(0)).alias("_weight"),
    ).sort("_late", "_weight", "id", descending=[False, True, False])
    return tuple(order.unique("id", keep="first", maintain_order=True)["id"].head(MAX_IDS))


def crossing(rows: pl.DataFrame, one: pl.Expr, other: pl.Expr) -> pl.DataFrame:
    """Rows whose `value` is found both where `one` and where `other` holds.

    Args:
        rows: columns `id, split, value` and what the two conditions need.
        one: condition of the first side.
        other: condition of the second side.

    Returns:
        The rows of both sides that share a value, with `shared`, how many rows share it.
    """
    first, second = rows.filter(one), rows.filter(other)
    found = pl.concat(
        [
            first.join(second.select("value").unique(), on="value", how="semi"),
            second.join(first.select("value").unique(), on="value", how="semi"),
        ]
    ).unique(["id", "value"])
    return found.with_columns(pl.len().over("value").alias("shared"))


def worst(found: pl.DataFrame) -> str:
    """The number of values and the one that most rows share, for a message."""
    n_values = found["value"].n_unique()
    top = found.sort("shared", "value", descending=[True, False]).row(0, named=True)
    return f"{n_values} value{'s' if n_values > 1 else ''}, worst {top['value']!r} in {top['shared']} rows"


def report(
    found: pl.DataFrame, rule: str, severity: str, message: str, remedy: str, *, count_eval_only: bool = True
) -> Iterator[Finding]:
    """One finding over the rows that `crossing` gave, or none when there are none."""
    if found.is_empty():
        return
    counted = found.filter(pl.col("split").is_in(["dev", "test"])) if count_eval_only else found
    yield Finding(
        rule,
        severity,
        counted["id"].n_unique(),
        sort_ids(found, "shared"),
        f"{message}: {worst(found)}",
        remedy,
    )
