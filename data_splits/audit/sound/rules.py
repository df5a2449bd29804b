"""Rules on what was heard: one recording twice, and recordings that something is wrong with."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from data_splits.audit.finding import ERROR, INFO, WARNING, Audited, Finding, sort_ids
from data_splits.audit.limits import SoundQuality


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
    for wrong, what, remedy in _faults(audited.limits.sound_quality):
        rows = audited.heard.filter(wrong.fill_null(False))
        if rows.height:
            yield Finding(
                rule, WARNING, rows.height, sort_ids(rows), f"{rows.height} recordings {what}", remedy
            )


def _faults(limits: SoundQuality) -> Iterator[tuple[pl.Expr, str, str]]:
    """What may be wrong with a recording: a condition, its name and the remedy."""
    yield (
        pl.col("clipped_share") > limits.max_clipped_share,
        f"clipped: over {limits.max_clipped_share:.1%} of their samples at the limit",
        "record at less gain",
    )
    yield (
        pl.col("dc_offset").abs() > limits.max_dc_offset,
        f"with a DC offset over {limits.max_dc_offset:.1%} of full scale",
        "couple the input by AC",
    )
    yield (
        pl.col("silence_share") > limits.max_silence_share,
        f"silent: over {limits.max_silence_share:.0%} of them below -60 dBFS",
        "cut or drop them",
    )
    yield (
        pl.col("level_dbfs") < limits.min_level_dbfs,
        f"whose speech is below {limits.min_level_dbfs:g} dBFS",
        "record again, or drop them",
    )
    yield (
        pl.col("bandwidth_hz") < limits.min_bandwidth_hz,
        f"with nothing above {limits.min_bandwidth_hz / 1000:g} kHz",
        "find the stage that took it away",
    )
