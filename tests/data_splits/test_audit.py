from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from data_splits.audit import RULES, Finding, audit
from data_splits.audit.measure import measure_audio

Set = Callable[..., pl.DataFrame]


def put(frame: pl.DataFrame, row_id: str, **values: object) -> pl.DataFrame:
    """Replace values of one row."""
    changes = [
        pl.when(pl.col("id") == row_id)
        .then(pl.lit(value, dtype=frame.schema[name]))
        .otherwise(pl.col(name))
        .alias(name)
        for name, value in values.items()
    ]
    return frame.with_columns(changes)


def found(frame: pl.DataFrame, measured: pl.DataFrame | None = None) -> dict[tuple[str, str], Finding]:
    return {(finding.rule, finding.severity): finding for finding in audit(frame, measured)}


def new(changed: pl.DataFrame, honest: pl.DataFrame) -> set[tuple[str, str]]:
    """What is found in a changed manifest and not in the honest one, too small for some rules."""
    return set(found(changed)) - set(found(honest))


def test_an_honest_manifest_is_at_most_too_small(honest: pl.DataFrame) -> None:
    assert {finding.rule for finding in audit(honest)} == {"class-balance", "power"}


@pytest.mark.parametrize(
    ("rule", "row_id", "values", "others"),
    [
        ("non-mirror-eval", "dev-drive0", {"domain": "general"}, set()),
        ("speaker-overlap", "dev-drive0", {"speaker": "s3"}, set()),
        ("speaker-overlap", "test-drive1", {"speaker": "std"}, set()),
        ("session-overlap", "test-drive0", {"session": "session-train-0"}, set()),
        ("vehicle-overlap", "dev-drive1", {"vehicle": "car-train"}, set()),
        ("rir-parent-leak", "test-drive3", {"rir_parent": "cabin-train-0001"}, set()),
        ("clean-parent-leak", "dev-drive0", {"clean_parent": "clean9"}, set()),
        ("clean-parent-leak", "dev-drive0", {"clean_parent": "td0"}, set()),
        ("clean-parent-leak", "dev-drive0", {"clean_parent": "test1"}, set()),
        ("clean-parent-leak", "train-drive0", {"clean_parent": "dev-drive0"}, set()),
        ("noise-parent-leak", "test-drive0", {"noise_parent": ["sea", "rain"]}, set()),
        ("interferer-parent-leak", "test-drive0", {"interferer_parent": ["sea", "clean13"]}, set()),
        ("interferer-parent-leak", "train-drive0", {"interferer_parent": ["test-drive3"]}, set()),
        ("exact-duplicate", "dev-drive0", {"pcm_sha256": b"test0".hex()}, set()),
        ("exact-duplicate", "dev-drive0", {"audio": "./clean3.wav"}, set()),
        ("train-dev-leak", "train-drive0", {"clean_parent": "td0"}, set()),
        ("train-dev-leak", "train-drive0", {"pcm_sha256": b"train_dev0".hex()}, {"exact-duplicate"}),
        ("integrity", "train-drive0", {"word_start_s": 1.5, "word_end_s": 1.0}, set()),
        ("integrity", "train-drive0", {"word_start_s": 1.5, "word_end_s": 3.0}, set()),
    ],
)
def test_each_rule_fires_alone(
    honest: pl.DataFrame, rule: str, row_id: str, values: dict, others: set
) -> None:
    findings = found(put(honest, row_id, **values))
    errors = {name for name, severity in findings if severity == "error"}
    assert errors == {rule} | others
    finding = findings[rule, "error"]
    assert row_id in finding.ids
    assert finding.count >= 1
    assert finding.remedy


def test_a_noise_row_of_train_may_not_be_a_parent_in_dev(honest: pl.DataFrame) -> None:
    frame = honest.with_columns(
        pl.when(pl.col("split").is_in(["train", "train_dev"]))
        .then(None)
        .otherwise("noise_parent")
        .alias("noise_parent")
    )
    findings = found(put(frame, "dev-drive2", noise_parent=["rain"]))
    assert findings["noise-parent-leak", "error"].ids == ("dev-drive2", "rain")
    assert findings["noise-parent-leak", "error"].count == 1


def test_train_dev_must_be_there(honest: pl.DataFrame) -> None:
    assert new(honest.filter(pl.col("split") != "train_dev"), honest) == {("train-dev-missing", "error")}


@pytest.mark.parametrize(
    ("row_id", "values", "rule"),
    [
        ("train-drive0", {"speaker": "std"}, "train-dev-speaker"),
        ("train-drive0", {"interferer_parent": ["td0"]}, "train-dev-leak"),
        ("dev-drive0", {"speaker": "test-s0"}, "speaker-overlap"),
        ("dev-drive0", {"noise_parent": ["test-noise"]}, "noise-parent-leak"),
        ("dev-drive0", {"speaker": None, "session": None}, "unproven-speaker"),
    ],
)
def test_what_only_weakens_a_result_is_a_warning(
    honest: pl.DataFrame, row_id: str, values: dict, rule: str
) -> None:
    assert new(put(honest, row_id, **values), honest) == {(rule, "warning")}


def test_an_empty_split_is_a_warning(honest: pl.DataFrame) -> None:
    assert new(honest.filter(pl.col("split") != "dev"), honest) == {("split-missing", "warning")}


def test_ids_are_bounded_and_start_with_dev_and_test(honest: pl.DataFrame) -> None:
    many = pl.concat([honest.with_columns((pl.col("id") + f"-{i}").alias("id")) for i in range(40)])
    many = many.with_columns(pl.lit("everybody").alias("speaker"))
    finding = found(many)["speaker-overlap", "error"]
    assert len(finding.ids) == 100
    assert all(row_id.startswith(("dev", "test")) for row_id in finding.ids)
    assert finding.count == 8 * 40
    assert "'everybody'" in finding.message


def test_decoded_audio_is_compared(tmp_path: Path, make: Callable[..., pl.DataFrame]) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (4, 32_000)).astype(np.int16)
    rows = []
    for i, split in enumerate(("train", "train_dev", "dev", "test")):
        soundfile.write(tmp_path / f"{i}.wav", noise[i], 16_000)
        domain = "mirror" if split in ("dev", "test") else "general"
        rows.append(
            {"id": f"r{i}", "audio": f"{i}.wav", "split": split, "domain": domain, "speaker": f"s{i}"}
        )
    frame = make(*rows)
    assert {finding.severity for finding in audit(frame, measure_audio(frame, tmp_path))} == {"info"}
    soundfile.write(tmp_path / "2.flac", noise[0], 16_000)
    twin = put(frame, "r2", audio="2.flac")
    assert found(twin, measure_audio(twin, tmp_path))["exact-duplicate", "error"].ids == ("r2", "r0")
    lying = put(put(frame, "r1", duration_s=3.0), "r3", pcm_sha256="00")
    (tmp_path / "0.wav").write_bytes(b"RIFF")
    findings = [
        finding for finding in audit(lying, measure_audio(lying, tmp_path)) if finding.rule == "integrity"
    ]
    assert [finding.ids for finding in findings] == [("r0",), ("r1",), ("r3",)]
    assert "0.wav" in findings[0].message


def test_half_a_million_rows_take_seconds(honest: pl.DataFrame) -> None:
    n_copies = 520_000 // honest.height
    copies = pl.int_range(n_copies, eager=True).cast(pl.String).alias("copy").to_frame()
    own = ("id", "audio", "speaker", "clean_parent", "rir_parent", "session", "pcm_sha256")
    frame = honest.join(copies, how="cross").with_columns(
        (pl.col(name) + pl.col("copy")).alias(name) for name in own
    )
    # Processor time of both cores, not the clock's: other work on the machine is no fault of the rules.
    start_s = time.process_time()
    findings = audit(frame.drop("copy"))
    assert time.process_time() - start_s < 20
    assert [finding for finding in findings if finding.severity == "error"] == []


def test_rule_ids_are_kebab_case() -> None:
    assert all(name == name.lower() and "_" not in name for name in RULES)
