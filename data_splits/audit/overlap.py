"""Speakers, sessions, days, vehicles, devices, microphones and impulse responses stay on one side."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from data_splits.audit.finding import ERROR, INFO, WARNING, Audited, Finding, crossing, report
from data_splits.units import model_name, recording_day

_ONE, _OTHER = pl.col("side") == "train", pl.col("side") != "train"


def speaker_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No speaker of the train side speaks in dev or test."""
    return _overlap(audited.values("speaker"), rule, "speaker", "speakers")


def session_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No recording session spans the train side and dev or test."""
    return _overlap(audited.values("session"), rule, "session", "sessions")


def vehicle_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No vehicle is heard on the train side and in dev or test."""
    return _overlap(audited.values("vehicle"), rule, "vehicle", "vehicles")


def rir_parent_leak(audited: Audited, rule: str) -> Iterator[Finding]:
    """No impulse response is used on the train side and in dev or test."""
    return _overlap(audited.values("rir_parent"), rule, "rir_parent", "impulse responses")


def day_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No day of drives is heard on the train side and in dev or test: its weather and route are the same.

    Mirror rows alone are asked, for what was recorded elsewhere on that day shares nothing with a drive.
    Between dev and test a common day is no finding.
    """
    days = audited.named(audited.frame.select("id", "split", "side", recording_day().alias("value")))
    remedy = "move all drives of a day to one side, or plan again with day in groups"
    yield from report(
        crossing(days, _ONE, _OTHER), rule, ERROR, "days both on the train side and in dev or test", remedy
    )


def device_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No device unit records for the train side and for dev or test; a simulator (`sim-…`) is no unit."""
    models = [*audited.limits.device_overlap.models, model_name(audited.frame, "device") or ""]
    rows = audited.values("device").filter(~pl.col("value").is_in(models))
    return _overlap(rows, rule, "device", "device units")


def microphone_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No microphone unit records for the train side and for dev or test.

    The name that most mirror rows carry is taken for the type that all mirrors share by design, and only
    told; `models` in the limits names further types, or this one to end the telling.
    """
    rows = audited.values("microphone").filter(
        ~pl.col("value").is_in(list(audited.limits.microphone_overlap.models))
    )
    common = pl.col("value") == pl.lit(model_name(audited.frame, "microphone"), dtype=pl.String)
    yield from _overlap(rows.filter(~common.fill_null(False)), rule, "microphone", "microphone units")
    yield from report(
        crossing(rows.filter(common.fill_null(False)), _ONE, _OTHER),
        rule,
        INFO,
        "a microphone of most mirror rows is on the train side and in dev or test, so it is taken for a type",
        f"name units in microphone, or name the type in the limits of {rule}",
    )


def _overlap(rows: pl.DataFrame, rule: str, column: str, noun: str) -> Iterator[Finding]:
    remedy = f"move all rows of a {column} to one side, or plan again with {column} in groups"
    message = f"{noun} both on the train side and in dev or test"
    yield from report(crossing(rows, _ONE, _OTHER), rule, ERROR, message, remedy)
    # The course asks for fresh dev and test material against train; between the two it only narrows what a
    # result says, which is why this alone does not fail a manifest.
    between = crossing(rows, pl.col("side") == "dev", pl.col("side") == "test")
    yield from report(between, rule, WARNING, f"{noun} in dev and in test", remedy)
