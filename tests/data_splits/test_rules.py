"""What single rules compute, against other implementations and by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from data_splits.audit import RULES, Audited, Limits
from data_splits.audit.limits import Power
from data_splits.audit.noise import noise_table
from data_splits.audit.power import power_table, smallest_rise
from data_splits.audit.two_sample import auc, auc_interval, chance, cramers_v, deals, ks_distance

Make = Callable[..., pl.DataFrame]


def severities(frame: pl.DataFrame, rule: str, limits: dict[str, Any] | None = None) -> list[str]:
    audited = Audited(frame, limits=Limits.model_validate(limits or {}))
    return [finding.severity for finding in RULES[rule](audited, rule)]


def mirror_rows(make: Make, n: int = 40, **values: Callable[[str, int], Any]) -> pl.DataFrame:
    """n mirror rows a split, each value computed from the split and the row's number."""
    return make(
        *(
            {"id": f"{split}{i}", "split": split, "domain": "mirror"}
            | {name: value(split, i) for name, value in values.items()}
            for split in ("train", "train_dev", "dev", "test")
            for i in range(n)
        )
    )


def test_effects_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    values, second = np.round(rng.normal(size=500), 1), rng.random(500) < 0.3
    dealt = second.astype(np.float32)[:, None]
    expected = stats.ks_2samp(values[second], values[~second]).statistic
    assert ks_distance(values, dealt)[0] == pytest.approx(expected, abs=1e-6)
    codes = rng.integers(4, size=500)
    table = np.stack([np.bincount(codes[side], minlength=4) for side in (second, ~second)])
    assert cramers_v(codes, dealt)[0] == pytest.approx(stats.contingency.association(table), rel=1e-5)
    area = stats.mannwhitneyu(values[second], values[~second]).statistic / (second.sum() * (~second).sum())
    assert auc(values[:, None], dealt)[0] == pytest.approx(area)


def test_the_interval_of_an_auc_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    labels = np.repeat([1.0, 0.0], 60)[:, None]
    held = 0
    for _ in range(300):
        scores = (rng.normal(size=120) + labels[:, 0])[:, None]
        low, high = auc_interval(float(auc(scores, labels)[0]), 60, 60)
        held += low <= truth <= high
    assert held / 300 == pytest.approx(0.95, abs=0.04)


def test_few_speakers_of_their_own_length_are_no_drift_and_many_are() -> None:
    rng = np.random.default_rng(2)
    for n_speakers, shift, is_drift in ((24, 0.0, False), (24, 3.0, True)):
        speaker = np.repeat(np.arange(n_speakers), 50)
        second = speaker >= n_speakers // 2
        values = rng.normal(size=n_speakers)[speaker] + 0.2 * rng.normal(size=len(speaker)) + shift * second
        dealt = deals(second, speaker, rng)
        # Over rows, chance would be ruled out in both.
        assert stats.ks_2samp(values[second], values[~second]).pvalue < 1e-6
        assert (chance(ks_distance(values, dealt)) <= 0.01) == is_drift


@pytest.mark.parametrize("n", [20, 100, 435, 2000])
def test_the_smallest_rise_is_seen_four_times_in_five_and_no_smaller_one(n: int) -> None:
    rise = smallest_rise(n, Power())
    assert rise is not None
    critical = next(k for k in range(n) if stats.binom.sf(k - 1, n, 0.05) < 0.05)
    assert stats.binom.sf(critical - 1, n, 0.05 + rise) == pytest.approx(0.8, abs=1e-6)


def test_nothing_is_proved_by_a_set_too_small() -> None:
    assert smallest_rise(0, Power()) is None
    assert smallest_rise(1, Power()) is None


def test_power_counts_renderings_of_one_take_once(make: Make) -> None:
    frame = mirror_rows(
        make,
        labels=lambda split, i: {"smart mirror": i % 2},
        clean_parent=lambda split, i: f"{split}{i % 10}",
        duration_s=lambda split, i: 360.0,
    )
    table = power_table(Audited(frame))
    assert table["positives"].to_list() == [5, 5]
    assert table["hours"].to_list() == [2.0, 2.0]
    assert table["fa_per_h"][0] == pytest.approx(1.498, abs=1e-3)


def test_distinct_noise_is_what_was_heard_of_it(make: Make) -> None:
    offsets = [0.0, 5.0, 100.0, 102.0]
    rows = [
        {"id": f"a{i}", "split": "train", "domain": "mirror", "duration_s": 10.0, "noise_offset_s": offset,
         "noise_parent": ["x", "y"], "noise_kind": "rain+wind"}
        for i, offset in enumerate(offsets)
    ]  # fmt: skip
    table = noise_table(Audited(make(*rows)))
    lines = {row["noise_kind"]: row for row in table.iter_rows(named=True)}
    assert set(lines) == {"rain", "wind", "all kinds"}
    assert lines["rain"]["unique_h"] == pytest.approx((15 + 12) / 3600)
    assert lines["rain"]["mixed_h"] == pytest.approx(40 / 3600)
    assert lines["all kinds"]["effective"] == pytest.approx(2)


def test_noise_of_unknown_place_and_length_is_judged_by_its_recordings_alone(make: Make) -> None:
    frame = mirror_rows(make, n=300, noise_parent=lambda split, i: ["hour"], noise_kind=lambda split, i: None)
    assert noise_table(Audited(frame))["unique_h"].null_count() == 6
    assert severities(frame, "noise-budget") == ["warning"] * 3


@pytest.mark.parametrize(
    ("rule", "values", "limits", "expected"),
    [
        ("device-overlap", {"device": lambda split, i: "sim-mirror"}, {}, []),
        ("device-overlap", {"device": lambda split, i: "prototype"}, {}, ["error", "warning"]),
        ("device-overlap", {"device": lambda split, i: f"{split}{i % 4}"}, {}, []),
        ("device-overlap", {"device": lambda split, i: "m1"}, {"device-overlap": {"models": ["m1"]}}, []),
        ("microphone-overlap", {"microphone": lambda split, i: "mems"}, {}, ["info"]),
        ("microphone-overlap", {"microphone": lambda split, i: f"{i % 4}"}, {}, ["error", "warning"]),
        (
            "microphone-overlap",
            {"microphone": lambda split, i: "mems"},
            {"microphone-overlap": {"models": ["mems"]}},
            [],
        ),
        (
            "day-overlap",
            {"recorded_at": lambda split, i: datetime(2025, 3, 1, i % 24, tzinfo=UTC)},
            {},
            ["error"],
        ),
        (
            "day-overlap",
            {
                "recorded_at": lambda split, i: datetime(2025, 3, 1, tzinfo=UTC),
                "device": lambda split, i: "sim-mirror",
            },
            {},
            [],
        ),
        ("missing-labels", {"labels": lambda split, i: {"smart mirror": None, "alexa": 0}}, {}, ["info"]),
    ],
)
def test_names_of_units_and_of_models(
    make: Make, rule: str, values: dict[str, Any], limits: dict[str, Any], expected: list[str]
) -> None:
    assert severities(mirror_rows(make, **values), rule, limits) == expected


def test_a_part_of_a_positive_may_be_a_negative_of_its_own(make: Make) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": text,
            "split": "train",
            "clean_parent": "take",
            "text": text,
            "labels": {"smart mirror": label},
        }
        for text, label in (("smart mirror", 1), ("smart", 0))
    ]
    assert severities(make(*rows), "label-conflict") == []
    rows[1]["text"] = None
    assert severities(make(*rows), "label-conflict") == ["error"]
