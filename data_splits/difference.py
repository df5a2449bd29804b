"""What changed between two manifests, row by row and column by column."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from data_splits.audit.finding import sort_ids


@dataclass(frozen=True)
class Change:
    """One kind of change."""

    what: str
    """In words, such as `moved from train to dev`."""
    count: int
    """Rows concerned."""
    ids: tuple[str, ...]
    """Up to 100 of them, those of dev and test first."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"ids": list(self.ids)}


def difference(old: pl.DataFrame, new: pl.DataFrame) -> list[Change]:
    """Rows added and removed by split, rows moved between splits, and columns whose values changed.

    Args:
        old: rows as `read_manifest` gives them.
        new: the same, later.
    """
    changes = []
    for verb, one, other in (("removed from", old, new), ("added to", new, old)):
        alone = one.join(other.select("id"), on="id", how="anti")
        changes += [
            _change(f"{verb} {split}", rows)
            for (split,), rows in alone.group_by("split", maintain_order=True)
        ]
    both = new.join(old, on="id", suffix=" before")
    moved = both.filter(pl.col("split") != pl.col("split before"))
    for (before, after), rows in moved.group_by("split before", "split", maintain_order=True):
        changes.append(_change(f"moved from {before} to {after}", rows))
    for name in new.columns:
        if name in ("id", "split"):
            continue
        if name not in old.columns:
            changes.append(Change(f"column {name} is new", new.height, ()))
            continue
        now, then = (_comparable(both, column) for column in (name, f"{name} before"))
        changed = both.filter(now.ne_missing(then))
        if changed.height:
            changes.append(_change(f"{name} changed", changed))
    gone = [name for name in old.columns if name not in new.columns]
    return changes + [Change(f"column {name} is gone", old.height, ()) for name in gone]


def _comparable(rows: pl.DataFrame, column: str) -> pl.Expr:
    """Structs whose fields differ are compared as text."""
    nested = isinstance(rows.schema[column], pl.Struct)
    return pl.col(column).struct.json_encode() if nested else pl.col(column)


def _change(what: str, rows: pl.DataFrame) -> Change:
    return Change(what, rows.height, sort_ids(rows))
