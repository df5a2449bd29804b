"""What is trained on is audited first, and the checkpoint says so."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from asr_pretrain.cli import main
from asr_pretrain.train import PretrainRecipe, train
from asr_pretrain.training.audited import REPORT
from asr_pretrain.training.checkpoint import file_sha256, load_checkpoint
from asr_pretrain.training.recipe import AuditConfig, RecipeError
from data_splits.audit.gate import AuditRefused
from data_splits.manifest import read_manifest, rooted, write_manifest


@pytest.fixture
def leaking(tiny_corpus: Path, tmp_path: Path) -> Path:
    """The corpus with a speaker of dev in train."""
    frame = rooted(read_manifest(tiny_corpus), tiny_corpus)
    someone = frame.filter(pl.col("split") == "dev")["speaker"].drop_nulls()[0]
    first = pl.col("id") == frame.filter(pl.col("split") == "train")["id"][0]
    speaker = pl.when(first).then(pl.lit(someone)).otherwise("speaker")
    write_manifest(frame.with_columns(speaker.alias("speaker")), tmp_path / "leaking.parquet")
    return tmp_path / "leaking.parquet"


def waiver(folder: Path, expires: str = "2999-01-01") -> Path:
    path = folder / "rules.yaml"
    path.write_text(f"waivers: [{{rule: speaker-overlap, reason: a twin, expires: {expires}}}]")
    return path


def test_the_checkpoint_names_report_manifests_and_what_it_began_from(tiny_recipe: PretrainRecipe) -> None:
    path = train(tiny_recipe)
    sidecar = load_checkpoint(path)[1]
    record, report = sidecar["audit"], (tiny_recipe.out / REPORT).read_bytes()
    assert record["scope"] == "training"
    assert record["manifest_sha256"] == sidecar["manifest_sha256"] == [file_sha256(tiny_recipe.manifests[0])]
    assert record["report_sha256"] == hashlib.sha256(report).hexdigest()
    assert (record["rules_sha256"], record["waived"], sidecar["lineage"]) == (None, [], [])
    second = tiny_recipe.model_copy(update={"out": tiny_recipe.out / "second", "init": path})
    lineage = load_checkpoint(train(second))[1]["lineage"]
    assert [(item["sha256"], item["audit"]) for item in lineage] == [(file_sha256(path), record)]


def test_training_refuses_a_leak_and_leaves_no_checkpoint(
    tiny_recipe: PretrainRecipe, leaking: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe.model_copy(update={"manifests": [leaking]})
    with pytest.raises(AuditRefused, match=r"leaking.parquet: .*speaker-overlap.*--rules"):
        train(recipe)
    expired = AuditConfig(rules=waiver(tmp_path, "2020-01-01"))
    with pytest.raises(AuditRefused):
        train(recipe.model_copy(update={"audit": expired}))
    assert not list(recipe.out.glob("*.safetensors"))


def test_a_leak_between_two_manifests_is_seen(
    tiny_recipe: PretrainRecipe, leaking: Path, tmp_path: Path
) -> None:
    frame = read_manifest(leaking)
    parts = []
    for split in ("train", "dev"):
        parts.append(tmp_path / f"{split}.parquet")
        write_manifest(frame.filter(pl.col("split") == split), parts[-1])
    with pytest.raises(AuditRefused, match="speaker-overlap"):
        train(tiny_recipe.model_copy(update={"manifests": parts}))


def test_a_waiver_is_written_into_the_checkpoint(
    tiny_recipe: PretrainRecipe, leaking: Path, tmp_path: Path
) -> None:
    rules = waiver(tmp_path)
    recipe = tiny_recipe.model_copy(update={"manifests": [leaking], "audit": AuditConfig(rules=rules)})
    record = load_checkpoint(train(recipe))[1]["audit"]
    assert record["waived"] == ["speaker-overlap: a twin"]
    assert record["rules_sha256"] == file_sha256(rules)


def test_an_audit_that_is_off_leaves_its_reason(tiny_recipe: PretrainRecipe, leaking: Path) -> None:
    off = AuditConfig(off="a fold of a cross-validation")
    recipe = tiny_recipe.model_copy(update={"manifests": [leaking], "audit": off})
    assert load_checkpoint(train(recipe))[1]["audit"] == {"off": "a fold of a cross-validation"}
    both = AuditConfig(off="x", rules=Path("rules.yaml"))
    with pytest.raises(RecipeError, match="audit: both"):
        train(recipe.model_copy(update={"audit": both}))


def test_a_resumed_run_keeps_its_record(
    tiny_recipe: PretrainRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny_recipe)
    assert "audit: no errors" in capsys.readouterr().out
    longer = tiny_recipe.model_copy(update={"out": tiny_recipe.out})
    train(longer)
    assert "audit: no errors" not in capsys.readouterr().out


def test_the_command_line_refuses_in_one_sentence(
    tiny_recipe: PretrainRecipe, leaking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"manifests: [{leaking}]\nout: {tmp_path / 'run'}\n")
    assert main(["train", str(recipe)]) == 2
    assert "refused by the audit: speaker-overlap" in capsys.readouterr().err
