"""Groups that a split may not cut: connected components over shared speakers, cabins, parents and audio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

# Columns whose values name recordings. They and `id` share one namespace: the noise recording of one row
# may stand as a row of its own, or speak behind a third row.
RECORDING_COLUMNS: Final = ("clean_parent", "noise_parent", "interferer_parent")
# The same audio is the same recording whatever its ids say.
_IDENTITY_COLUMNS: Final = ("audio", "pcm_sha256")


def links(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """What joins the rows of a manifest.

    Args:
        frame: manifest rows.
        columns: the columns never cut; nulls join nothing.

    Returns:
        Columns `row` (UInt32, position in `frame`), `column`, `value` and `key` (column and value, where
        recordings share one namespace), one line for each value of each row.
    """
    parts = []
    identity = [name for name in _IDENTITY_COLUMNS if name in frame.columns]
    recordings = [name for name in columns if name in RECORDING_COLUMNS]
    indexed = frame.with_row_index("row")
    for name in [*columns, *identity, *(["id"] if recordings else [])]:
        part = indexed.select("row", pl.lit(name).alias("column"), pl.col(name).alias("value"))
        if isinstance(frame.schema[name], pl.List):
            part = part.explode("value")
        space = "recording" if name in RECORDING_COLUMNS or name == "id" else name
        parts.append(
            part.drop_nulls("value").select(
                "row",
                "column",
                pl.col("value").cast(pl.String),
                (pl.lit(f"{space}:") + pl.col("value").cast(pl.String)).alias("key"),
            )
        )
    return pl.concat(parts)


def components(n_rows: int, joined: pl.DataFrame) -> np.ndarray:
    """The group of each row, shape (n_rows,), from the lines that `links` gives. Two rows are of one group
    when a chain of shared keys leads from one to the other."""
    # A key of one line joins nothing, and most ids, files and hashes are such.
    joined = joined.filter(pl.col("key").is_duplicated())
    keys = joined["key"].rank("dense").to_numpy().astype(np.int64) - 1
    n_keys = int(keys.max(initial=-1)) + 1
    rows = joined["row"].to_numpy().astype(np.int64)
    size = n_rows + n_keys
    ones = np.ones(len(rows), dtype=np.int8)
    graph = coo_matrix((ones, (rows, n_rows + keys)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return labels[:n_rows]


def shuffled(groups: pl.DataFrame, seed: int) -> pl.DataFrame:
    """`groups` in an order drawn from `seed`; it depends on the groups' `first_id`, not on the row order."""
    ordered = groups.sort("first_id")
    return ordered[np.random.default_rng(seed).permutation(ordered.height)]
