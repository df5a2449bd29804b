"""Speakers, sessions, vehicles and impulse responses stay on one side of the fence."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from data_splits.audit.finding import ERROR, WARNING, Audited, Finding, crossing, report


def speaker_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No speaker of the train side speaks in dev or test."""
    return _overlap(audited, rule, "speaker", "speakers")


def session_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No recording session spans the train side and dev or test."""
    return _overlap(audited, rule, "session", "sessions")


def vehicle_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No vehicle is heard on the train side and in dev or test."""
    return _overlap(audited, rule, "vehicle", "vehicles")


def rir_parent_leak(audited: Audited, rule: str) -> Iterator[Finding]:
    """No impulse response is used on the train side and in dev or test."""
    return _overlap(audited, rule, "rir_parent", "impulse responses")


def _overlap(audited: Audited, rule: str, column: str, noun: str) -> Iterator[Finding]:
    rows = audited.values(column)
    side = pl.col("side")
    found = crossing(rows, side == "train", side != "train")
    remedy = f"move all rows of a {column} to one side, or plan again with {column} in groups"
    yield from report(found, rule, ERROR, f"{noun} both on the train side and in dev or test", remedy)
    # The course asks for fresh dev and test material against train; between the two it only narrows what a
    # result says, which is why this alone does not fail a manifest.
    between = crossing(rows, side == "dev", side == "test")
    yield from report(between, rule, WARNING, f"{noun} in dev and in test", remedy)
