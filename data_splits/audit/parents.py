"""No recording that is heard on the train side is heard in dev or test, in whatever role.

A leak is reported under the role of either end: a clean noise recording that is a row of train and the noise
parent of a dev row is a `noise-parent-leak`.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from data_splits.audit.finding import ERROR, WARNING, Audited, Finding, crossing, report


def clean_parent_leak(audited: Audited, rule: str) -> Iterator[Finding]:
    """No utterance behind a dev or test row is trained on, nor its original."""
    return _leak(audited, rule, "clean_parent", "clean recordings", between_dev_and_test=ERROR)


def noise_parent_leak(audited: Audited, rule: str) -> Iterator[Finding]:
    """No noise recording of dev or test is heard on the train side, nor is a row of it."""
    return _leak(audited, rule, "noise_parent", "noise recordings", between_dev_and_test=WARNING)


def interferer_parent_leak(audited: Audited, rule: str) -> Iterator[Finding]:
    """No interfering talker or music of dev or test is heard on the train side."""
    return _leak(audited, rule, "interferer_parent", "interferers", between_dev_and_test=WARNING)


def _leak(
    audited: Audited, rule: str, column: str, noun: str, *, between_dev_and_test: str
) -> Iterator[Finding]:
    named = audited.uses.filter(pl.col("role") == column)
    rows = audited.uses.join(named.select("value").unique(), on="value", how="semi")
    remedy = f"drop these rows or give each recording to one side; plan again with {column} in groups"
    found = _with_role(rows, pl.col("side") == "train", pl.col("side") != "train", column)
    yield from report(found, rule, ERROR, f"{noun} heard on the train side and in dev or test", remedy)
    between = _with_role(rows, pl.col("side") == "dev", pl.col("side") == "test", column)
    yield from report(between, rule, between_dev_and_test, f"{noun} heard in dev and in test", remedy)


def _with_role(rows: pl.DataFrame, one: pl.Expr, other: pl.Expr, column: str) -> pl.DataFrame:
    """Rows that share a recording across two sides, where at least one of the two has it in `column`."""
    is_role = pl.col("role") == column
    return pl.concat(
        [crossing(rows, one & is_role, other), crossing(rows, one, other & is_role)],
    ).unique(["id", "value"])
