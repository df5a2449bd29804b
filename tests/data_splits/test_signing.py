"""Signed reports, which hold for one manifest alone."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from data_splits.cli import main
from data_splits.manifest import write_manifest

minisign = pytest.importorskip("minisign")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A secret key; the public one is beside it, as `owner.pub`."""
    pair = minisign.KeyPair.generate()
    (tmp_path / "owner.key").write_bytes(bytes(pair.secret_key))
    (tmp_path / "owner.pub").write_bytes(bytes(pair.public_key))
    return tmp_path / "owner.key"


@pytest.fixture
def signed(tmp_path: Path, honest: pl.DataFrame, key: Path) -> Path:
    """A manifest whose report is signed, as `m.parquet.audit.json`."""
    write_manifest(honest, tmp_path / "m.parquet")
    assert main(["sign", str(tmp_path / "m.parquet"), "--key", str(key)]) == 0
    return tmp_path / "m.parquet.audit.json"


def verify(report: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["verify", str(report), "--key", str(report.parent / "owner.pub"), *more])
    return status, capsys.readouterr().out


def test_a_signed_report_is_verified_with_its_manifest(
    signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = verify(signed, capsys)
    assert (status, told.splitlines()[-1]) == (0, "verified")
    assert "signed: audit of" in told and "0 errors" in told


def test_a_report_of_the_command_line_can_be_signed(
    signed: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    main(["audit", str(signed.parent / "m.parquet"), "--json"])
    report = signed.parent / "mine.json"
    report.write_text(capsys.readouterr().out)
    assert main(["sign", str(report), "--key", str(key)]) == 0
    assert verify(report, capsys)[0] == 0


def test_a_signature_cannot_be_carried_to_another_set(
    signed: Path, honest: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(honest.head(30), signed.parent / "m.parquet")
    status, told = verify(signed, capsys)
    assert status == 1 and "missing  manifest" in told and "not shown" in told
    report = json.loads(signed.read_text())
    from data_splits.manifest import manifest_sha256

    report["summary"]["sha256"] = manifest_sha256(signed.parent / "m.parquet")
    signed.write_text(json.dumps(report))
    status, told = verify(signed, capsys)
    assert status == 1 and "not signed by the key" in told and told.splitlines()[-1] == "broken"


def test_another_key_and_no_key_verify_nothing(signed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(signed)]) == 1
    (signed.parent / "owner.pub").write_bytes(bytes(minisign.KeyPair.generate().public_key))
    assert verify(signed, capsys)[0] == 1


def test_a_report_with_errors_is_signed_and_never_verified(
    tmp_path: Path, honest: pl.DataFrame, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(honest.with_columns(pl.lit("one car").alias("vehicle")), tmp_path / "m.parquet")
    assert main(["sign", str(tmp_path / "m.parquet"), "--key", str(key)]) == 1
    status, told = verify(tmp_path / "m.parquet.audit.json", capsys)
    assert status == 1 and "the audit found 1 errors" in told


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"summary": 1}', '{"summary": {"sha256": "x"}}', "[" * 9999]
)
def test_what_is_no_report_is_not_signed(
    tmp_path: Path, key: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_text(content)
    assert main(["sign", str(tmp_path / "r.json"), "--key", str(key)]) == 2
    assert "r.json: not a report" in capsys.readouterr().err
    assert not (tmp_path / "r.json.minisig").exists()
