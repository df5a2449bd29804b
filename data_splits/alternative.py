"""What the tempting alternative would have put into dev: shuffle everything, then split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl


def compare_with_shuffle(frame: pl.DataFrame, groups: Sequence[str], seed: int) -> pl.DataFrame:
    """Dev and test as planned, and as a shuffle of all rows into splits of the same sizes would make them.

    Args:
        frame: planned rows.
        groups: columns whose values should be unheard in train.
        seed: of the shuffle.

    Returns:
        Columns `rows of dev and test` (what is counted), `planned` and `shuffled`.
    """
    sides = frame["split"].replace("train_dev", "train")
    order = np.random.default_rng(seed).permutation(frame.height)
    shuffled = pl.Series("side", sides.to_numpy()[order])
    as_planned, as_shuffled = (
        _counts(frame.with_columns(side.alias("side")), groups) for side in (sides, shuffled)
    )
    return pl.DataFrame(
        {
            "rows of dev and test": list(as_planned),
            "planned": list(as_planned.values()),
            "shuffled": [as_shuffled[name] for name in as_planned],
        }
    )


def _counts(frame: pl.DataFrame, groups: Sequence[str]) -> dict[str, int]:
    held_out = pl.col("side") != "train"
    counts = {"all": frame.filter(held_out).height}
    for domain in ("mirror", "general"):
        counts[domain] = frame.filter(held_out & (pl.col("domain") == domain)).height
    heard = pl.Series("id", [], dtype=pl.String)
    for column in groups:
        if frame[column].null_count() == frame.height:
            continue
        rows = frame.select("id", "side", pl.col(column).alias("value"))
        if isinstance(rows.schema["value"], pl.List):
            rows = rows.explode("value")
        rows = rows.drop_nulls("value")
        shared = rows.filter(held_out).join(rows.filter(~held_out), on="value", how="semi")["id"].unique()
        counts[f"whose {column} is in train"] = shared.len()
        heard = pl.concat([heard, shared]).unique()
    counts["that share any of these with train"] = heard.len()
    return counts
