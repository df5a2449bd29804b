"""What dev and test are large enough to prove."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from data_splits.audit.finding import WARNING, Audited, Finding, label, recording, sort_ids
from data_splits.audit.limits import Power

_LEVEL: Final = 0.05
_POWER: Final = 0.8


def power(audited: Audited, rule: str) -> Iterator[Finding]:
    """Dev and test can prove the false-accept rate and the rise of the miss rate that are asked for."""
    limits = audited.limits.power
    for row in power_table(audited).iter_rows(named=True):
        proven, rise = row["fa_per_h"], row["frr_difference"]
        if proven is None or proven > limits.fa_per_h:
            told = "nothing" if proven is None else f"only FA/h < {proven:.2g}"
            message = (
                f"no false accept in {row['hours']:.2f} h of negatives proves {told} at 95 %; "
                f"{limits.fa_per_h:g} FA/h wants {_hours_for(limits.fa_per_h):.1f} h"
            )
            yield _weak(audited, rule, row, 0, message)
        if rise is None or rise > limits.frr_difference:
            told = "no rise of the FRR" if rise is None else f"only rises of the FRR by {rise:.1%}"
            message = (
                f"{row['positives']} positive recordings show {told} over {limits.frr:.0%} (at 95 %, four "
                f"times in five); {limits.frr_difference:.0%} is asked for"
            )
            yield _weak(audited, rule, row, 1, message)


def _weak(audited: Audited, rule: str, row: dict[str, Any], value: int, message: str) -> Finding:
    counted = (pl.col("split") == row["split"]) & (label(row["task"]) == value)
    rows = audited.frame.filter(counted)
    remedy = "record more, or claim no more than this proves"
    told = f"{row['split']} and {row['task']!r}: {message}"
    return Finding(rule, WARNING, rows.height, sort_ids(rows), told, remedy)


def power_table(audited: Audited) -> pl.DataFrame:
    """The smallest FA/h and FRR difference that dev and test can prove, one line a split and phrase.

    Returns:
        `split, task, positives` (distinct recordings), `hours` (of negatives), `fa_per_h` (what no false
        accept at all proves) and `frr_difference` (null where not even a miss rate of 1 would show).
    """
    lines: list[dict[str, Any]] = []
    for task in audited.phrases:
        said = label(task)
        for split in ("dev", "test"):
            rows = audited.frame.filter(pl.col("split") == split)
            if rows.is_empty():
                continue
            n, hours = rows.select(
                recording().filter(said == 1).n_unique(), pl.col("duration_s").filter(said == 0).sum() / 3600
            ).row(0)
            lines.append(
                {
                    "split": split,
                    "task": task,
                    "positives": n,
                    "hours": hours,
                    "fa_per_h": _hours_for(1) / hours if hours else None,
                    "frr_difference": smallest_rise(n, audited.limits.power),
                }
            )
    schema = {
        "split": pl.String,
        "task": pl.String,
        "positives": pl.Int64,
        "hours": pl.Float64,
        "fa_per_h": pl.Float64,
        "frr_difference": pl.Float64,
    }
    return pl.DataFrame(lines, schema=schema)


def _hours_for(fa_per_h: float) -> float:
    """Hours without a false accept that prove fewer than `fa_per_h` at 95 %: Poisson, -ln(0.05) / rate."""
    return -math.log(_LEVEL) / fa_per_h


def smallest_rise(n: int, limits: Power) -> float | None:
    """The smallest rise of the miss rate over `limits.frr` that n utterances show.

    One-sided exact binomial test at 5 %, whose power at that rise is 80 %. Null where n is too small for any.
    """
    from scipy.special import bdtrc, bdtri

    # The fewest misses that a miss rate of `frr` gives less often than once in 20 times.
    misses = next((k for k in range(1, n + 1) if bdtrc(k - 1, n, limits.frr) < _LEVEL), None)
    if misses is None:
        return None
    # The rate at which that many or more come with the wanted power: P(X <= misses - 1) = 1 - power.
    return float(bdtri(misses - 1, n, 1 - _POWER)) - limits.frr
