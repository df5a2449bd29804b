"""Numbers that tell the label without listening: what a model would learn instead of the word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from data_splits.audit.finding import WARNING, Audited, Finding, label, sort_ids
from data_splits.audit.two_sample import auc, auc_interval

_HEARD: Final = ("level_dbfs", "noise_floor_dbfs", "dc_offset", "silence_share", "bandwidth_hz")
_CUES: Final = ("duration_s", "snr_db", "sample_rate_hz", *_HEARD)
_MIN_ROWS: Final = 10
_PARTS: Final = {"train": "train", "dev": "dev and test", "test": "dev and test"}


def spurious_cue(audited: Audited, rule: str) -> Iterator[Finding]:
    """Among mirror rows, no one number predicts the label: duration, SNR, level, noise floor, bandwidth."""
    limits = audited.limits.spurious_cue
    mirror = audited.heard.filter((pl.col("domain") == "mirror") & pl.col("split").is_in(list(_PARTS)))
    mirror = mirror.with_columns(pl.col("split").replace_strict(_PARTS).alias("_part"))
    for task in audited.tasks:
        for part in ("train", "dev and test"):
            rows = mirror.filter((pl.col("_part") == part) & label(task).is_not_null())
            for cue in (*_CUES, *limits.columns):
                if cue in rows.columns:
                    yield from _cue(rows, task, part, cue, limits.max_auc, rule)


def _cue(rows: pl.DataFrame, task: str, part: str, cue: str, max_auc: float, rule: str) -> Iterator[Finding]:
    known = rows.select("id", "split", label(task).alias("label"), pl.col(cue).alias("cue")).drop_nulls()
    n_positive = int(known["label"].sum())
    n_negative = known.height - n_positive
    if min(n_positive, n_negative) < _MIN_ROWS:
        return
    area = float(auc(known["cue"].to_numpy()[:, None], known["label"].to_numpy()[:, None])[0])
    more, area = area >= 0.5, max(area, 1 - area)
    low, high = auc_interval(area, n_positive, n_negative)
    if low <= max_auc:
        return
    # Evidence: the rows that the cue gives away most clearly, each class at its own end.
    rank = (pl.col("cue").rank() / pl.len() - 0.5) * (1 if more else -1)
    told = known.with_columns((rank * (2 * pl.col("label").cast(pl.Int64) - 1)).alias("clear"))
    given_away = told.filter(pl.col("clear") > 0)
    yield Finding(
        rule,
        WARNING,
        given_away.height,
        sort_ids(given_away, "clear"),
        f"{cue} alone tells {task!r} in the mirror rows of {part}: AUC {area:.2f} ({low:.2f} to {high:.2f}), "
        f"positives have {'more' if more else 'less'} of it",
        f"draw positives and negatives with like {cue}, or cut both alike before training and scoring",
    )
