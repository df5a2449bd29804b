"""A device model's chain back to the data, over a real run of both trainings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import polars as pl
import pytest

from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.train import PretrainRecipe
from asr_pretrain.train import train as pretrain
from asr_pretrain.training.recipe import Optimisation, Surroundings
from data_splits.cli import main
from data_splits.manifest import read_manifest, write_manifest
from wakeword.quantize import quantize
from wakeword.train import TriggerRecipe, train

Verify = Callable[..., tuple[int, list[dict[str, str]]]]


@pytest.fixture(scope="module")
def made(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each training, and the device model of the second."""
    folder = tmp_path_factory.mktemp("chain")
    both = {
        "manifests": [tiny_corpus],
        "encoder": EncoderConfig(channels=16, dilations=(1, 2)),
        "optimisation": Optimisation(steps=2, warmup_steps=1, checkpoint_every_steps=2, workers=0),
        "surroundings": Surroundings(cabins=3, procedural_noises=3),
    }
    encoder = pretrain(PretrainRecipe(**both, out=folder / "encoder", batch_seconds=12))
    trigger = train(TriggerRecipe(**both, out=folder / "trigger", init=encoder, batch_size=6))
    (folder / "device").mkdir()
    quantize(trigger, [tiny_corpus], folder / "device" / "w.onnx", cuts=6)
    return folder


@pytest.fixture
def verify(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Exit status and links of `data-splits verify` on a copy of the model."""

    def _verify(
        *evidence: Path, model: Path = made / "device" / "w.onnx"
    ) -> tuple[int, list[dict[str, str]]]:
        shutil.copy(model, tmp_path / model.name)
        given = [word for path in evidence for word in ("--evidence", str(path))]
        capsys.readouterr()
        status = main(["verify", str(tmp_path / model.name), "--json", *given])
        return status, json.loads(capsys.readouterr().out)["links"]

    return _verify


def test_the_chain_is_walked_back_to_both_trainings(verify: Verify, made: Path, tiny_corpus: Path) -> None:
    status, links = verify(made, tiny_corpus)
    assert status == 0, links
    told = " | ".join(link["what"] for link in links)
    assert told.count("the audit, repeated now, finds no error") == 2
    assert "checkpoint and model name the same" in told and "weights it began from" in told
    assert verify(made, tiny_corpus, model=made / "trigger" / "trigger.safetensors")[0] == 0


def test_without_its_data_a_model_shows_nothing(verify: Verify) -> None:
    status, links = verify()
    assert status == 1
    assert {link["status"] for link in links} == {"ok", "missing"}


def test_a_model_that_claims_another_manifest_is_caught(
    verify: Verify, made: Path, tiny_corpus: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.parquet"
    write_manifest(read_manifest(tiny_corpus).filter(pl.col("split") == "train"), other)
    from data_splits.manifest import manifest_sha256

    proto = onnx.load(str(made / "device" / "w.onnx"))
    facts = json.loads(proto.metadata_props[0].value)
    facts["training_manifest_sha256"] = manifest_sha256(other)
    onnx.helper.set_model_props(proto, {"rearview": json.dumps(facts)})
    forged = tmp_path / "forged" / "w.onnx"
    forged.parent.mkdir()
    onnx.save(proto, str(forged))
    status, links = verify(made, tiny_corpus, other, model=forged)
    broken = [link["what"] for link in links if link["status"] == "broken"]
    assert status == 1 and len(broken) == 2, links


@pytest.mark.parametrize("name", ["a.onnx", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x08\x00\x00\x00\x00\x00\x00\x00[1,2,3,]"])
def test_what_is_no_model_is_named(
    tmp_path: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["verify", str(tmp_path / name)]) == 2
    assert f"{name}: " in capsys.readouterr().err
