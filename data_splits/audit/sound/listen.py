"""Everything that the audit hears: measurements of every recording, and which of them are one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from data_splits.audit.measure import measure_audio
from data_splits.audit.sound.twins import find_twins

Progress = Callable[[str, int, int], object]
"""Called with what is done, how many are, and of how many."""

TWIN = pl.Struct({"id": pl.String, "coherence": pl.Float64, "speed": pl.Float64, "overlap_s": pl.Float64})


def listen(
    frame: pl.DataFrame,
    root: Path,
    *,
    cache: Path | None = None,
    jobs: int = 1,
    ray: str | None = None,
    advance: Progress = lambda what, done, total: None,
) -> pl.DataFrame:
    """Measure all recordings and look for near duplicates among them.

    Args:
        frame: manifest rows.
        root: the manifest's folder.
        cache: folder of kept measurements; None keeps none.
        jobs: processes on this machine.
        ray: address of a Ray cluster that works instead.
        advance: for a progress bar.

    Returns:
        What `measure_audio` returns, with `twins`: a list of the other recordings that are this one, null
        where there are none. Rows whose samples are equal are no twins: `exact-duplicate` has them.
    """
    done = 0

    def decoded(rows: int) -> None:
        nonlocal done
        done += rows
        advance("decoding", done, frame.height)

    measured = measure_audio(frame, root, cache=cache, jobs=jobs, ray=ray, advance=decoded)
    # One of each: rows that share a recording would be pairs of it with itself.
    distinct = measured.with_columns(frame["audio"]).unique(
        "decoded_sha256", keep="first", maintain_order=True
    )
    distinct = distinct.drop_nulls("sketch")
    pairs = find_twins(
        distinct["audio"].to_list(),
        distinct["sketch"].to_list(),
        distinct["marks"].to_list(),
        root,
        jobs=jobs,
        ray=ray,
        advance=lambda pairs, total: advance("comparing", pairs, total),
    )
    return measured.join(_by_row(pairs, distinct, measured), on="id", how="left", maintain_order="left")


def _by_row(pairs: pl.DataFrame, distinct: pl.DataFrame, measured: pl.DataFrame) -> pl.DataFrame:
    """Columns `id` and `twins`, each pair at both its rows and at all that hold the same samples."""
    hashes = distinct["decoded_sha256"]
    one = pairs.select(
        hashes.gather(pairs["first"]).alias("one"),
        hashes.gather(pairs["second"]).alias("other"),
        "coherence",
        "speed",
        "overlap_s",
    )
    turned = one.with_columns(
        pl.col("other").alias("one"), pl.col("one").alias("other"), (1 / pl.col("speed")).alias("speed")
    )
    owners = measured.select("id", "decoded_sha256")
    both = pl.concat([one, turned]).join(owners, left_on="one", right_on="decoded_sha256")
    both = both.join(owners, left_on="other", right_on="decoded_sha256", suffix="_other")
    twin = pl.struct(pl.col("id_other").alias("id"), "coherence", "speed", "overlap_s").alias("twins")
    found = both.sort("coherence", "id_other", descending=[True, False]).select("id", twin)
    return found.group_by("id", maintain_order=True).agg("twins").cast({"twins": pl.List(TWIN)})
