"""What each split may hold: mirror audio in dev and test, a training-dev split that nobody trained on."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from data_splits.audit.finding import ERROR, WARNING, Audited, Finding, crossing, report, sort_ids
from data_splits.audit.identity import identities

_IN_TRAIN = pl.col("split") == "train"
_IN_TRAIN_DEV = pl.col("split") == "train_dev"


def non_mirror_eval(audited: Audited, rule: str) -> Iterator[Finding]:
    """Dev and test hold mirror audio only."""
    rows = audited.frame.filter((pl.col("side") != "train") & (pl.col("domain") != "mirror"))
    if rows.height:
        yield Finding(
            rule,
            ERROR,
            rows.height,
            sort_ids(rows),
            f"{rows.height} rows of dev or test are not mirror audio",
            "leave them out of this manifest (data-splits plan does); they live on as parents of mirror rows",
        )


def train_dev_missing(audited: Audited, rule: str) -> Iterator[Finding]:
    """There is a training-dev split; without it variance and data mismatch cannot be told apart."""
    if audited.frame.filter(_IN_TRAIN_DEV).is_empty():
        yield Finding(
            rule, ERROR, 0, (), "no row is in train_dev", "cut some speakers from train: data-splits plan"
        )


def split_missing(audited: Audited, rule: str) -> Iterator[Finding]:
    """Train, dev and test hold something."""
    present = set(audited.frame["split"].unique())
    missing = [name for name in ("train", "dev", "test") if name not in present]
    if missing:
        yield Finding(
            rule,
            WARNING,
            0,
            (),
            f"no row is in {', '.join(missing)}",
            "add rows, or plan again with all sources",
        )


def train_dev_leak(audited: Audited, rule: str) -> Iterator[Finding]:
    """Train-dev is untouched: no utterance of it, and no other rendering of one, is trained on."""
    spoken = audited.uses.filter(pl.col("role").is_in(["id", "clean_parent"])).drop("role")
    copies = [rows.select(spoken.columns) for rows, _ in identities(audited)]
    same = pl.concat([spoken, *copies])
    remedy = "move every rendering of a recording to one of the two; data-splits plan does"
    yield from report(
        crossing(same, _IN_TRAIN, _IN_TRAIN_DEV),
        rule,
        ERROR,
        "recordings both in train and in train_dev",
        remedy,
        count_eval_only=False,
    )
    # Noise is drawn alike for both, so that only an utterance of train_dev speaking behind train counts.
    utterances = audited.frame.filter(_IN_TRAIN_DEV).select(pl.coalesce("clean_parent", "id").alias("value"))
    behind = audited.values("interferer_parent").filter(_IN_TRAIN)
    heard = behind.join(utterances.unique(), on="value", how="semi")
    yield from report(
        heard.with_columns(pl.len().over("value").alias("shared")),
        rule,
        WARNING,
        "utterances of train_dev that speak behind rows of train",
        "draw interferers of train from its own rows",
        count_eval_only=False,
    )


def train_dev_speaker(audited: Audited, rule: str) -> Iterator[Finding]:
    """A speaker in both train and train_dev makes variance look smaller than it is."""
    yield from report(
        crossing(audited.values("speaker"), _IN_TRAIN, _IN_TRAIN_DEV),
        rule,
        WARNING,
        "speakers both in train and in train_dev",
        "cut train_dev by speaker: data-splits plan",
        count_eval_only=False,
    )


def unproven_speaker(audited: Audited, rule: str) -> Iterator[Finding]:
    """Dev and test rows that name neither speaker nor session: nothing proves them disjoint from train."""
    unnamed = pl.col("speaker").is_null() & pl.col("session").is_null()
    rows = audited.frame.filter((pl.col("side") != "train") & unnamed)
    if rows.height:
        yield Finding(
            rule,
            WARNING,
            rows.height,
            sort_ids(rows),
            f"{rows.height} rows of dev or test name neither speaker nor session",
            "name them, if only as one group a source; until then their split is not proven",
        )
