"""The recogniser's spans of takes, and takes that are none."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from data_splits.manifest import read_manifest
from tests.wakeword.test_inspect import manifest  # noqa: F401
from wakeword.align import aligned
from wakeword.cli import main
from wakeword.cuts import _spans
from wakeword.finder import Found


def test_spans_are_found_and_no_takes_are_unknown(manifest: Path, tmp_path: Path):  # noqa: F811
    out = tmp_path / "aligned.parquet"
    assert main(["align", str(manifest), "--out", str(out)]) == 0
    made = read_manifest(out).sort("id")
    before = read_manifest(manifest).sort("id")
    assert made["id"].to_list() == before["id"].to_list()
    label = made["labels"].struct.field("smart mirror")
    rows = dict(zip(made["id"], label, strict=True))
    assert rows["take"] == 1 and rows["not a take"] is None and rows["speech"] == 0
    take = made.row(by_predicate=pl.col("id") == "take", named=True)
    assert take["word_start_s"] == pytest.approx(0.25, abs=0.12)
    assert take["word_end_s"] == pytest.approx(take["duration_s"] - 0.25, abs=0.2)
    spans = dict(zip(made["id"], _spans(made), strict=True))
    assert spans["take"] is not None and spans["speech"] is None


def test_a_drive_keeps_its_span():
    rows = {"id": ["drive", "take"], "word_start_s": [1.5, None], "word_end_s": [2.5, None]}
    labels = [{"smart mirror": 1}, {"smart mirror": 1}]
    frame = pl.DataFrame({**rows, "labels": labels})
    made = aligned(frame, "smart mirror", {"take": Found(9.0, 0.1, 0.9)}, 2.9)
    assert made["word_start_s"].to_list() == [1.5, 0.1] and made["word_cost"].to_list() == [None, 9.0]
    assert made["labels"].struct.field("smart mirror").to_list() == [1, None]


def test_a_manifest_without_takes_is_refused(
    manifest: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    assert main(["align", str(manifest), "--phrase", "hello", "--out", str(tmp_path / "x.parquet")]) == 2
    assert "labels no 'hello'" in capsys.readouterr().err
