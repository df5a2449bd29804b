"""Every rule sees the faults that are put in for it, and blames no clean manifest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from data_splits.audit import BY_EAR, RULES, audit
from data_splits.faults.fault import Fault
from data_splits.faults.heard import heard_faults, made_takes, recorded_takes
from data_splits.faults.table import N_GENERAL, N_MIRROR, all_faults, is_caught
from data_splits.generate import generate
from data_splits.manifest import read_manifest


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


def test_what_only_the_audio_shows_is_heard() -> None:
    table, wrong = heard_faults(made_takes())
    assert wrong == []
    assert table["faults"].min() >= 3


def test_faults_among_the_development_recordings_are_heard() -> None:
    manifest = Path("~/.cache/rearview/smart_mirror/recordings.parquet").expanduser()
    if not manifest.is_file():
        pytest.skip("the development recordings are not here")
    assert heard_faults(recorded_takes(read_manifest(manifest), manifest.parent, seed=1))[1] == []


def test_too_few_recordings_for_the_faults_are_refused(clean: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="40 named speakers"):
        list(recorded_takes(clean.head(100), Path(), seed=1))
