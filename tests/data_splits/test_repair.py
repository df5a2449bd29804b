"""What `data-splits fix` repairs, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_splits.audit import audit
from data_splits.cli import main
from data_splits.errors import PlanError
from data_splits.generate import generate
from data_splits.manifest import manifest_sha256, read_manifest, write_manifest
from data_splits.recipe import PlanRecipe
from data_splits.repair import repair

RECIPE = PlanRecipe(sources=["-"])


def errors(frame: pl.DataFrame) -> set[str]:
    return {finding.rule for finding in audit(frame) if finding.severity == "error"}


def changed(frame: pl.DataFrame, row_id: str, **values: object) -> pl.DataFrame:
    this = pl.col("id") == row_id
    return frame.with_columns(
        pl.when(this).then(pl.lit(value, dtype=frame.schema[name])).otherwise(name).alias(name)
        for name, value in values.items()
    )


@pytest.fixture(scope="module")
def drives() -> pl.DataFrame:
    """A generated manifest without errors."""
    frame = generate(1200, 600, seed=3)
    assert not errors(frame)
    return frame


def one(frame: pl.DataFrame, split: str, domain: str = "mirror") -> dict[str, object]:
    rows = frame.filter((pl.col("split") == split) & (pl.col("domain") == domain))
    return rows.filter(pl.col("clean_parent").is_not_null() | (pl.lit(domain) == "general")).row(
        0, named=True
    )


def test_an_honest_manifest_is_left_as_it_is(drives: pl.DataFrame) -> None:
    repaired = repair(drives, RECIPE)
    assert repaired.done == ()
    assert repaired.frame.equals(drives)


@pytest.mark.parametrize("column", ["speaker", "session", "vehicle", "rir_parent"])
def test_a_row_of_train_that_reaches_into_dev_leaves(drives: pl.DataFrame, column: str) -> None:
    row = str(one(drives, "train")["id"])
    broken = changed(drives, row, **{column: one(drives, "dev")[column]})
    assert errors(broken)
    repaired = repair(broken, RECIPE)
    assert not errors(repaired.frame)
    assert set(broken["id"]) - set(repaired.frame["id"]) == {row}


def test_a_small_group_goes_whole_to_train(make: Callable[..., pl.DataFrame], honest: pl.DataFrame) -> None:
    strays = make(
        *({"id": f"a{i}", "domain": "mirror", "split": "train", "speaker": "x"} for i in range(5)),
        *({"id": f"b{i}", "domain": "mirror", "split": "test", "speaker": "x"} for i in range(2)),
    )
    repaired = repair(pl.concat([honest, strays], how="diagonal_relaxed"), RECIPE)
    assert repaired.done == ("2 rows of 1 groups moved to train",)
    assert set(repaired.frame.filter(pl.col("speaker") == "x")["split"]) == {"train"}


def test_a_clean_recording_of_dev_and_test_goes_to_dev(drives: pl.DataFrame) -> None:
    row = str(one(drives, "test")["id"])
    broken = changed(drives, row, clean_parent=one(drives, "dev")["clean_parent"])
    repaired = repair(broken, RECIPE)
    assert not errors(repaired.frame)
    assert repaired.frame.filter(pl.col("id") == row)["split"].item() == "dev"


def test_a_copy_in_train_of_a_held_out_recording_is_dropped(drives: pl.DataFrame) -> None:
    row = one(drives, "train")["id"]
    broken = changed(drives, str(row), pcm_sha256=one(drives, "test")["pcm_sha256"])
    repaired = repair(broken, RECIPE)
    assert not errors(repaired.frame)
    assert set(broken["id"]) - set(repaired.frame["id"]) == {row}


def test_general_rows_leave_dev_and_test(make: Callable[..., pl.DataFrame], drives: pl.DataFrame) -> None:
    stray = one(drives, "train", "general")["id"]
    parents = pl.col("clean_parent") == stray
    lonely = drives.filter(~parents.fill_null(False))
    broken = changed(lonely, str(stray), split="dev")
    assert "non-mirror-eval" in errors(broken)
    assert not errors(repair(broken, RECIPE).frame)


def test_a_missing_train_dev_is_cut_by_speaker(drives: pl.DataFrame) -> None:
    split = pl.col("split").replace({"train_dev": "train"})
    repaired = repair(drives.with_columns(split), RECIPE)
    assert not errors(repaired.frame)
    assert repaired.frame.filter(pl.col("split") == "train_dev").height > 10


def test_a_dev_that_would_melt_away_is_no_repair(drives: pl.DataFrame) -> None:
    trained = drives.filter(pl.col("split") == "train").head(200)
    one_car = pl.col("id").is_in(trained["id"].to_list()) | (pl.col("split") == "dev")
    broken = drives.with_columns(pl.when(one_car).then(pl.lit("v")).otherwise("speaker").alias("speaker"))
    with pytest.raises(PlanError, match=r"dev would keep 0 of its \d+ mirror rows.*data-splits plan"):
        repair(broken, RECIPE)


def test_the_command_writes_beside_and_never_in_place(
    tmp_path: Path, drives: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.parquet"
    write_manifest(
        changed(drives, str(one(drives, "train")["id"]), speaker=one(drives, "dev")["speaker"]), path
    )
    before = manifest_sha256(path)
    assert main(["fix", str(path), "--out", str(path)]) == 2
    assert main(["fix", str(path)]) == 0
    assert manifest_sha256(path) == before
    assert not errors(read_manifest(tmp_path / "m-fixed.parquet"))
    assert "clean: " in capsys.readouterr().out
    assert main(["fix", str(path)]) == 2
    assert "m-fixed.parquet: is there already" in capsys.readouterr().err
