"""What the rules say of measurements: quality, drift and cues that only the audio tells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from data_splits.audit import RULES, Audited, Finding, Limits
from data_splits.audit.sound.heard import SCHEMA

PER_SPLIT = 60
GOOD = {
    "level_dbfs": -25.0,
    "noise_floor_dbfs": -60.0,
    "clipped_share": 0.0,
    "dc_offset": 0.0,
    "silence_share": 0.1,
    "bandwidth_hz": 7500.0,
}


@pytest.fixture
def drives(make: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    """Sixty drives a split of twenty speakers, every other one positive."""
    return make(
        *[
            {
                "id": f"{split}{i}",
                "split": split,
                "domain": "mirror",
                "speaker": f"{split}-s{i % 20}",
                "labels": {"smart mirror": i % 2},
            }
            for split in ("train", "dev", "test")
            for i in range(PER_SPLIT)
        ]
    )


def measured(frame: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """Measurements of a corpus without fault but for these columns; all vary a little, by chance."""
    rng = np.random.default_rng(0)
    values = {name: pl.Series(value + rng.normal(0, 0.003, frame.height)) for name, value in GOOD.items()}
    found = frame.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in SCHEMA.items())
    return found.with_columns(**values).with_columns(**columns).select("id", *SCHEMA)


def find(rule: str, frame: pl.DataFrame, limits: Limits | None = None, **columns: pl.Expr) -> list[Finding]:
    return list(RULES[rule](Audited(frame, measured(frame, **columns), limits), rule))


@pytest.mark.parametrize("rule", ["sound-quality", "drift", "spurious-cue"])
def test_a_corpus_without_fault_raises_nothing(drives: pl.DataFrame, rule: str) -> None:
    assert find(rule, drives) == []


@pytest.mark.parametrize(
    ("column", "value", "word"),
    [
        ("clipped_share", 0.03, "clipped"),
        ("dc_offset", -0.05, "DC"),
        ("silence_share", 0.99, "silent"),
        ("level_dbfs", -70.0, "dBFS"),
        ("bandwidth_hz", 2000.0, "above 3 kHz"),
    ],
)
def test_a_bad_recording_is_named(drives: pl.DataFrame, column: str, value: float, word: str) -> None:
    bad = pl.when(pl.col("id") == "dev7").then(value).otherwise(column)
    (finding,) = find("sound-quality", drives, **{column: bad})
    assert (finding.severity, finding.ids) == ("warning", ("dev7",))
    assert word in finding.message


def test_the_limits_of_quality_are_the_rules_files(drives: pl.DataFrame) -> None:
    limits = Limits.model_validate({"sound-quality": {"min_bandwidth_hz": 7900}})
    (finding,) = find("sound-quality", drives, limits)
    assert finding.count == 3 * PER_SPLIT
    assert "7.9 kHz" in finding.message


@pytest.mark.parametrize(
    ("column", "step"), [("level_dbfs", -6.0), ("noise_floor_dbfs", 5.0), ("bandwidth_hz", -2000.0)]
)
def test_a_test_part_that_sounds_otherwise_has_drifted(
    drives: pl.DataFrame, column: str, step: float
) -> None:
    other = pl.col(column) + pl.when(pl.col("split") == "test").then(step).otherwise(0.0)
    (finding,) = find("drift", drives, **{column: other})
    assert column in finding.message
    assert {row[:3] for row in finding.ids} <= {"dev", "tes"}


@pytest.mark.parametrize(
    ("column", "step"), [("level_dbfs", 4.0), ("noise_floor_dbfs", -4.0), ("silence_share", 0.2)]
)
def test_what_positives_alone_sound_like_is_a_cue(drives: pl.DataFrame, column: str, step: float) -> None:
    positive = pl.col("labels").struct.field("smart mirror") == 1
    told = pl.col(column) + pl.when(positive & (pl.col("split") == "train")).then(step).otherwise(0.0)
    (finding,) = find("spurious-cue", drives, **{column: told})
    assert finding.message.startswith(f"{column} alone tells")
    assert {row[:5] for row in finding.ids} == {"train"}
