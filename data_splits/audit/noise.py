"""The noise-hour budget: one hour of noise spread over thousands teaches that one hour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from data_splits.audit.finding import WARNING, Audited, Finding, sort_ids

_PLACES: Final = {"train": "the train side", "dev": "dev", "test": "test"}
_SHOWN_KINDS: Final = 5
_ALL: Final = "all kinds"


def noise_budget(audited: Audited, rule: str) -> Iterator[Finding]:
    """Enough distinct noise stands behind what was mixed, by noise kind."""
    limits = audited.limits.noise_budget
    uses = _uses(audited)
    budget = noise_table(audited)
    over = budget.filter(
        (pl.col("reuse") > limits.max_reuse) | (pl.col("rows_per_recording") > limits.max_rows_per_recording)
    )
    for side, place in _PLACES.items():
        kinds = over.filter(pl.col("side") == side).sort("mixed_h", descending=True)
        if kinds.is_empty():
            continue
        rows = uses.filter(pl.col("side") == side).join(kinds, on="noise_kind", how="semi")
        rows = rows.with_columns(pl.len().over("value").alias("used"))
        told = "; ".join(_told(row) for row in kinds.head(_SHOWN_KINDS).iter_rows(named=True))
        yield Finding(
            rule,
            WARNING,
            rows["id"].n_unique(),
            sort_ids(rows, "used"),
            f"the noise of {place} is spread thin: {told}",
            "record or generate more noise of these kinds, and draw its recordings evenly",
        )


def noise_table(audited: Audited) -> pl.DataFrame:
    """What was mixed and what stands behind it, one line a side and noise kind, and one for all kinds.

    Returns:
        `side, noise_kind, rows, recordings, effective` (exp(entropy) of the time each recording is heard),
        `mixed_h, unique_h` (distinct noise heard, null where neither offset nor length is known),
        `reuse` (mixed for each unique hour) and `rows_per_recording` (rows for each effective recording).
    """
    length = audited.frame.select(pl.col("id").alias("value"), pl.col("duration_s").alias("length_s"))
    kind = ("side", "noise_kind", "value")
    start, end = pl.col("noise_offset_s"), pl.col("noise_offset_s") + pl.col("duration_s")
    # What an excerpt adds to the distinct noise: what lies beyond the furthest end before it.
    heard_until = end.cum_max().shift(1).over(kind)
    added_s = (end - pl.max_horizontal(start, heard_until)).clip(lower_bound=0)
    each = (
        _uses(audited)
        .sort(*kind, "noise_offset_s", nulls_last=True)
        .with_columns(added_s.alias("added_s"))
        .group_by(kind)
        .agg(
            pl.len().alias("rows"),
            pl.col("duration_s").sum().alias("mixed_s"),
            pl.col("added_s").sum().alias("heard_s"),
            start.is_not_null().all().alias("placed"),
        )
        .join(length, on="value", how="left")
    )
    known_s = pl.when("placed").then("heard_s").otherwise(pl.min_horizontal("mixed_s", "length_s"))
    known_s = pl.when(pl.col("placed") | pl.col("length_s").is_not_null()).then(known_s)
    part = pl.col("mixed_s") / pl.col("mixed_s").sum()
    unique_h = pl.when(pl.col("unique_s").is_not_null().all()).then(pl.col("unique_s").sum() / 3600)
    return (
        each.with_columns(known_s.alias("unique_s"))
        .group_by("side", "noise_kind")
        .agg(
            pl.col("rows").sum(),
            pl.len().alias("recordings"),
            (-(part * part.log()).sum()).exp().alias("effective"),
            (pl.col("mixed_s").sum() / 3600).alias("mixed_h"),
            unique_h.alias("unique_h"),
        )
        .with_columns(
            (pl.col("mixed_h") / pl.col("unique_h")).alias("reuse"),
            (pl.col("rows") / pl.col("effective")).alias("rows_per_recording"),
        )
        .sort("side", "noise_kind")
    )


def _uses(audited: Audited) -> pl.DataFrame:
    """Every noise heard in a row, with its kind, and once more under all kinds.

    Where `noise_kind` names as many kinds as there are parents (`road+wind`), they go together in order.
    """
    rows = audited.frame.filter(pl.col("noise_parent").is_not_null())
    parents, kind = pl.col("noise_parent"), pl.col("noise_kind").fill_null("unnamed kind")
    kinds = kind.str.split("+")
    together = pl.when(kinds.list.len() == parents.list.len()).then(kinds)
    each = together.otherwise(kind.repeat_by(parents.list.len()))
    columns = ("id", "split", "side", "duration_s", "noise_offset_s")
    named = rows.select(*columns, parents.alias("value"), each.alias("noise_kind"))
    uses = audited.named(named.explode("value", "noise_kind"))
    return pl.concat([uses, uses.with_columns(pl.lit(_ALL).alias("noise_kind"))])


def _told(row: dict[str, object]) -> str:
    unique = "unknown" if row["unique_h"] is None else f"{row['unique_h']:.2f}"
    return (
        f"{row['noise_kind']} has {row['recordings']} recordings ({row['effective']:.1f} effective) behind "
        f"{row['rows']} rows, "
        f"{unique} unique h behind {row['mixed_h']:.2f} mixed h"
    )
