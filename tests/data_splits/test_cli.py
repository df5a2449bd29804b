from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from data_splits.cli import main
from data_splits.manifest import read_manifest, write_manifest


def test_audit_exits_0_1_and_2(
    tmp_path: Path, honest: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(honest, tmp_path / "good.parquet")
    assert main(["audit", str(tmp_path / "good.parquet")]) == 0
    assert "clean: " in capsys.readouterr().out
    write_manifest(honest.filter(pl.col("split") != "train_dev"), tmp_path / "bad.parquet")
    assert main(["audit", str(tmp_path / "bad.parquet")]) == 1
    assert "train-dev-missing" in capsys.readouterr().out
    assert main(["audit", str(tmp_path / "none.parquet")]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "none.parquet" in captured.err
    assert captured.out == ""


def test_warnings_alone_exit_0(
    tmp_path: Path, honest: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(honest.filter(pl.col("split") != "dev"), tmp_path / "m.jsonl")
    assert main(["audit", str(tmp_path / "m.jsonl")]) == 0
    assert "split-missing" in capsys.readouterr().out


def test_json_is_all_there_is_on_standard_output(
    tmp_path: Path, honest: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = honest.with_columns(pl.lit("one car").alias("vehicle"))
    write_manifest(mixed, tmp_path / "m.parquet")
    assert main(["audit", "--json", "--audio", str(tmp_path / "m.parquet")]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["summary"]["rows"] == honest.height
    assert report["summary"]["errors"] == 2
    assert report["summary"]["failed"]
    by_rule = {finding["rule"]: finding for finding in report["findings"]}
    assert set(by_rule["vehicle-overlap"]) == {"rule", "severity", "count", "ids", "message", "remedy"}
    assert by_rule["integrity"]["count"] == honest.height


def test_plan_writes_a_manifest_that_passes(
    tmp_path: Path, honest: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    part = pl.col("split").replace("train_dev", "train").alias("part")
    write_manifest(honest.with_columns(part), tmp_path / "s.parquet")
    (tmp_path / "plan.yaml").write_text("sources: [s.parquet]\n")
    assert main(["plan", "plan.yaml", "--out", "plan.parquet"]) == 0
    assert "| train_dev |" in capsys.readouterr().out
    planned = read_manifest(tmp_path / "plan.parquet")
    assert set(planned["split"]) == {"train", "train_dev", "dev", "test"}
    assert main(["audit", "plan.parquet"]) == 0


def test_a_failed_plan_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.parquet").write_bytes(b"older")
    (tmp_path / "r.yaml").write_text("sources: [s.parquet]\nseeds: 1\n")
    assert main(["plan", "r.yaml"]) == 2
    assert "unknown key 'seeds'" in capsys.readouterr().err
    assert (tmp_path / "plan.parquet").read_bytes() == b"older"


def test_collect_without_recordings_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REARVIEW_DATA", raising=False)
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert main(["collect"]) == 2
    assert "../shared/data" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["collect", "plan", "audit"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"example: data-splits {command}" in " ".join(capsys.readouterr().out.split())


def test_the_command_line_loads_nothing_heavy_and_names_its_extra(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['polars'] = None; from data_splits.cli import main; "
    run = subprocess.run(
        [sys.executable, "-c", blocked + "sys.exit(main(['audit', 'x.parquet']))"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "needs the 'audit' extra: pip install 'rearview-wakeword[audit]'" in run.stderr
