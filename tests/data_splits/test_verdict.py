"""Rules files, waivers, and the forms that a verdict takes."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from data_splits.audit.finding import Audited
from data_splits.audit.known import read_known_hashes
from data_splits.audit.rules_file import Rules, load_rules
from data_splits.audit.verdict import Verdict, judge
from data_splits.cli import main
from data_splits.manifest import write_manifest
from data_splits.recipe import RecipeError

TODAY = date(2026, 3, 1)


@pytest.fixture
def leaking(honest: pl.DataFrame) -> pl.DataFrame:
    """Two speakers of train speak in dev and test."""
    speaker = pl.col("speaker").replace({"dev-s0": "s3", "test-s1": "s4"})
    return honest.with_columns(speaker)


def verdict(frame: pl.DataFrame, content: dict) -> Verdict:
    rules = Rules.model_validate(content)
    return judge(Audited(frame, limits=rules.limits), rules, TODAY)


def overlap(found: Verdict) -> tuple[str, ...]:
    return next((finding.ids for finding in found.findings if finding.rule == "speaker-overlap"), ())


@pytest.mark.parametrize(
    ("waived", "left"),
    [
        ({}, set()),
        ({"values": ["s3"]}, {"test-drive1", "test-drive3"}),
        ({"values": ["s?"]}, set()),
        ({"ids": ["dev-*"]}, {"test-drive1", "test-drive3"}),
        ({"ids": ["dev-drive0", "test-drive*"]}, {"dev-drive2"}),
        ({"values": ["nobody"]}, {"dev-drive0", "dev-drive2", "test-drive1", "test-drive3"}),
    ],
)
def test_a_waiver_hides_its_rows_or_values_from_its_rule_alone(
    leaking: pl.DataFrame, waived: dict, left: set[str]
) -> None:
    waiver = {"rule": "speaker-overlap", "reason": "agreed", "expires": TODAY} | waived
    found = verdict(leaking, {"waivers": [waiver]})
    assert {row_id for row_id in overlap(found) if "drive" in row_id and "train" not in row_id} == left
    assert found.waived[0].status == ("unused" if len(left) == 4 else "applied")
    assert {finding.rule for finding in found.findings} >= {"power", "class-balance"}


def test_an_expired_waiver_waives_nothing_and_is_told(leaking: pl.DataFrame) -> None:
    waiver = {"rule": "speaker-overlap", "reason": "agreed", "expires": date(2026, 2, 28)}
    found = verdict(leaking, {"waivers": [waiver]})
    assert len(overlap(found)) > 4
    assert [finding.severity for finding in found.findings if finding.rule == "waiver-expired"] == ["warning"]


def test_limits_and_severities_of_a_rules_file_bind(honest: pl.DataFrame) -> None:
    assert "noise-budget" not in {finding.rule for finding in verdict(honest, {}).findings}
    tight = {"limits": {"noise-budget": {"max_rows_per_recording": 2}}}
    assert "noise-budget" in {finding.rule for finding in verdict(honest, tight).findings}
    strict = verdict(honest, {"severity": {"power": "error"}})
    assert {finding.severity for finding in strict.findings if finding.rule == "power"} == {"error"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limits: {noise-budget: {max_reuses: 1}}", ["limits.noise-budget.max_reuses"]),
        ("severity: {speaker-overlap: warning}", ["speaker-overlap", "waiver"]),
        ("severity: {speakers: warning}", ["no such rule 'speakers'"]),
        ("waivers: [{rule: power, expires: 2026-01-01}]", ["reason"]),
        ("waivers: [{rule: power, reason: x}]", ["expires"]),
        ("- a", ["valid dictionary"]),
        ("a: [", ["not YAML"]),
        ("!!python/object:os.system x", ["not YAML"]),
    ],
)
def test_a_bad_rules_file_names_file_and_key(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_rules(tmp_path / "rules.yaml")
    for word in [*words, "rules.yaml"]:
        assert word in str(caught.value)


def test_the_exit_status_follows_fail_on(tmp_path: Path, honest: pl.DataFrame) -> None:
    path = str(tmp_path / "m.parquet")
    write_manifest(honest, path)
    assert main(["audit", path]) == 0
    assert main(["audit", path, "--fail-on", "warning"]) == 1


def test_json_holds_what_was_waived_and_what_the_sets_prove(
    tmp_path: Path, leaking: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(leaking, tmp_path / "m.parquet")
    (tmp_path / "rules.yaml").write_text(
        "waivers: [{rule: speaker-overlap, reason: agreed, expires: 2999-01-01}]"
    )
    arguments = ["--json", "--rules", str(tmp_path / "rules.yaml"), "--junit", str(tmp_path / "r" / "j.xml")]
    assert main(["audit", str(tmp_path / "m.parquet"), *arguments]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert summary["waivers"][0] | {"count": 0} == {
        "rule": "speaker-overlap",
        "ids": [],
        "values": [],
        "reason": "agreed",
        "expires": "2999-01-01",
        "status": "applied",
        "count": 0,
    }
    assert summary["power"][0]["positives"] == 4
    assert (summary["errors"], summary["failed"]) == (0, False)
    suite = ElementTree.parse(tmp_path / "r" / "j.xml").getroot()
    assert suite.attrib["failures"] == "0"
    assert len(suite.findall("testcase")) == int(suite.attrib["tests"]) == len(summary["rules"])


def test_junit_fails_a_case_for_each_violated_rule_whatever_the_names(
    tmp_path: Path, honest: pl.DataFrame
) -> None:
    odd = honest.with_columns(pl.lit("car \x00\x1b[31m<&>").alias("vehicle"))
    write_manifest(odd, tmp_path / "m.parquet")
    assert main(["audit", str(tmp_path / "m.parquet"), "--junit", str(tmp_path / "j.xml")]) == 1
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()
    failed = [case.attrib["name"] for case in suite if case.find("failure") is not None]
    assert failed == ["vehicle-overlap"]


def test_known_hashes_are_found_and_a_line_that_is_none_is_named(
    tmp_path: Path, honest: pl.DataFrame
) -> None:
    path = tmp_path / "known.txt"
    path.write_text("# public\n" + "AB" * 32 + "  set/one.wav\n\n" + "cd" * 32 + "\n")
    known = read_known_hashes(path)
    assert known.rows() == [("ab" * 32, "set/one.wav"), ("cd" * 32, None)]
    frame = honest.with_columns(
        pl.when(pl.col("id") == "test-drive2")
        .then(pl.lit("ab" * 32))
        .otherwise("pcm_sha256")
        .alias("pcm_sha256")
    )
    found = [
        f for f in judge(Audited(frame, known=known), Rules(), TODAY).findings if f.rule == "contamination"
    ]
    assert [(f.severity, f.ids) for f in found] == [("warning", ("test-drive2",))]
    path.write_text("ab" * 32 + "\nnot a hash\n")
    with pytest.raises(ValueError, match=r"known.txt: line 2: 'not a hash'"):
        read_known_hashes(path)
