"""Rules on what was heard: one recording twice, and recordings that something is wrong with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from data_splits.audit.finding import ERROR, INFO, WARNING, Audited, Finding, sort_ids

_LIMITS: Final = (
    (
        pl.col("clipped_share") > 0.01,
        "clipped: over 1 % of their samples at the limit",
        "record at less gain",
    ),
    (pl.col("dc_offset").abs() > 0.02, "with a DC offset over 2 % of full scale", "couple the input by AC"),
    (pl.col("silence_share") > 0.9, "silent: over 90 % of them below -60 dBFS", "cut or drop them"),
    (pl.col("level_dbfs") < -55, "whose speech is below -55 dBFS", "record again, or drop them"),
    (pl.col("bandwidth_hz") < 3000, "with nothing above 3 kHz", "find the stage that took it away"),
)


def near_duplicate(audited: Audited, rule: str) -> Iterator[Finding]:
    """No recording is heard in two splits, whatever was done to one of the two."""
    if audited.measured is None or "twins" not in audited.measured.columns:
        return
    twins = audited.measured.select("id", "twins").drop_nulls().explode("twins")
    twins = twins.select("id", pl.col("twins").struct.unnest().name.suffix("_twin"))
    splits = audited.frame.select("id", "split")
    pairs = twins.join(splits, on="id").join(splits, left_on="id_twin", right_on="id", suffix="_twin")
    across = pl.col("split") != pl.col("split_twin")
    for found, severity, where, remedy in (
        (pairs.filter(across), ERROR, "in two splits", "keep the two in one split, or drop one of them"),
        (pairs.filter(~across), INFO, "twice in one split", "count them as one wherever takes are counted"),
    ):
        if found.is_empty():
            continue
        # Dev and test first in the message too, and each pair once.
        late = pl.col("split").is_in(["train", "train_dev"])
        top = found.sort(late, "coherence_twin", "id", descending=[False, True, False]).row(0, named=True)
        yield Finding(
            rule,
            severity,
            found["id"].n_unique(),
            sort_ids(found, "coherence_twin"),
            f"{found.height // 2} pairs of recordings are one, {where}: {top['id']} ({top['split']}) and "
            f"{top['id_twin']} ({top['split_twin']}) agree by {top['coherence_twin']:.2f} over "
            f"{top['overlap_s_twin']:.1f} s at speed {top['speed_twin']:.3f}",
            remedy,
        )


def sound_quality(audited: Audited, rule: str) -> Iterator[Finding]:
    """Recordings that something went wrong with: clipping, DC, silence, no treble."""
    if audited.measured is None:
        return
    for wrong, what, remedy in _LIMITS:
        rows = audited.heard.filter(wrong.fill_null(False))
        if rows.height:
            yield Finding(
                rule, WARNING, rows.height, sort_ids(rows), f"{rows.height} recordings {what}", remedy
            )
