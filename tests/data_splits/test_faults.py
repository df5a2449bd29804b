"""Every rule sees the faults that are put in for it, and blames no clean manifest."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest

from data_splits.audit import BY_EAR, RULES, audit
from data_splits.faults.fault import Fault
from data_splits.faults.table import N_GENERAL, N_MIRROR, all_faults, is_caught
from data_splits.generate import generate


@pytest.fixture(scope="module")
def clean() -> pl.DataFrame:
    return generate(N_GENERAL, N_MIRROR)


def test_a_clean_manifest_raises_nothing(clean: pl.DataFrame) -> None:
    assert audit(clean) == []


def test_every_rule_has_at_least_three_faults() -> None:
    counts = Counter(fault.rule for fault in all_faults())
    assert {rule: counts[rule] for rule in RULES if rule not in BY_EAR and counts[rule] < 3} == {}


@pytest.mark.parametrize("fault", all_faults(), ids=lambda fault: f"{fault.rule}-{fault.name}")
def test_a_fault_is_caught_with_the_right_ids(clean: pl.DataFrame, fault: Fault) -> None:
    assert is_caught(fault, clean)


def test_the_same_seed_makes_the_same_manifest() -> None:
    assert generate(300, 300, seed=4).equals(generate(300, 300, seed=4))
    assert not generate(300, 300, seed=4).equals(generate(300, 300, seed=5))
