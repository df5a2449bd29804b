from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from data_splits.cli import main
from data_splits.difference import difference
from data_splits.manifest import write_manifest


def put(frame: pl.DataFrame, row_id: str, column: str, value: object) -> pl.DataFrame:
    new = pl.lit(value, dtype=frame.schema[column])
    return frame.with_columns(pl.when(pl.col("id") == row_id).then(new).otherwise(column).alias(column))


def test_what_moved_changed_came_and_went_is_told(honest: pl.DataFrame) -> None:
    new = put(put(honest, "dev-drive1", "split", "test"), "test-drive0", "noise_parent", ["sea"])
    new = put(new, "dev-drive0", "labels", {"smart mirror": 0}).filter(pl.col("id") != "clean7")
    new = new.with_columns(pl.lit(1).alias("further"))
    changes = {change.what: (change.count, change.ids) for change in difference(honest, new)}
    assert changes == {
        "removed from train": (1, ("clean7",)),
        "moved from dev to test": (1, ("dev-drive1",)),
        "noise_parent changed": (1, ("test-drive0",)),
        "labels changed": (1, ("dev-drive0",)),
        "column further is new": (new.height, ()),
    }
    back = {change.what: change.count for change in difference(new, honest)}
    assert back["added to train"] == 1
    assert back["column further is gone"] == new.height


def test_alike_manifests_exit_0_and_others_1(
    tmp_path: Path, honest: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(honest, tmp_path / "a.parquet")
    write_manifest(honest.reverse(), tmp_path / "b.jsonl")
    assert main(["diff", str(tmp_path / "a.parquet"), str(tmp_path / "b.jsonl")]) == 0
    assert capsys.readouterr().out == "alike\n"
    write_manifest(put(honest, "rain", "text", "drops"), tmp_path / "c.parquet")
    assert main(["diff", "--json", str(tmp_path / "a.parquet"), str(tmp_path / "c.parquet")]) == 1
    assert json.loads(capsys.readouterr().out)["changes"][0]["what"] == "text changed"
