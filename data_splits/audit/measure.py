"""Decoding a manifest's audio once, for the rules that want to know what is really in it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from data_splits.audit.sound.heard import SCHEMA, hear
from data_splits.audit.sound.spread import spread
from data_splits.audit.sound.store import Store, keys

# Some seconds of work: an interruption loses no more, and a part on disk is not too small a file.
_BATCH_S = 1800.0
# Opening a recording costs about as much as decoding this much of it.
_ROW_S = 3.0


def measure_audio(
    frame: pl.DataFrame,
    root: Path,
    *,
    cache: Path | None = None,
    jobs: int = 1,
    ray: str | None = None,
    advance: Callable[[int], object] = lambda rows: None,
) -> pl.DataFrame:
    """Decode every row whose measurements are not kept.

    Args:
        frame: manifest rows.
        root: the manifest's folder.
        cache: folder of kept measurements; None keeps none.
        jobs: processes on this machine.
        ray: address of a Ray cluster that decodes instead.
        advance: called with the number of rows done, for a progress bar.

    Returns:
        Columns `id` and those of `heard.SCHEMA`, in the manifest's order.

    Raises:
        ValueError: a worker died, or Ray is not installed.
        OSError: the cache cannot be written.
    """
    store = Store(cache) if cache is not None else None
    named = frame.select("id", "audio", "duration_s", pl.Series("key", keys(frame["audio"], root)))
    parts = [store.load(named["key"]) if store else pl.DataFrame(schema={"key": pl.String(), **SCHEMA})]
    missing = named.unique("key", maintain_order=True).join(parts[0], on="key", how="anti")
    advance(named.height - missing.height)
    for batch, rows in spread(functools.partial(_hear_all, str(root)), _batches(missing), jobs, ray):
        measured = [(key, row) for (key, _), row in zip(batch, rows, strict=True)]
        if store:
            store.add(measured)
        keyed = [{"key": key, **row} for key, row in measured]
        parts.append(pl.DataFrame(keyed, schema=parts[0].schema, orient="row"))
        advance(len(rows))
    found = named.select("id", "key").join(pl.concat(parts), on="key", how="left", maintain_order="left")
    return found.drop("key")


def _batches(missing: pl.DataFrame) -> list[list[tuple[str, str]]]:
    """Keys and references, neighbours together: shards are read in their order."""
    cost_s = (pl.col("duration_s") + _ROW_S).cum_sum()
    numbered = missing.with_columns((cost_s / _BATCH_S).floor().alias("_batch"))
    parts = numbered.partition_by("_batch", maintain_order=True)
    return [list(part.select("key", "audio").iter_rows()) for part in parts]


def _hear_all(root: str, batch: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [hear(reference, Path(root)) for _, reference in batch]
