"""The mean of runs from one start, and the refusal of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.training.checkpoint import file_sha256, save_checkpoint
from wakeword.cli import main
from wakeword.model import HeadConfig, TriggerModel, load_trigger

SHAPE = EncoderConfig(channels=16, dilations=[1, 2])


def saved(path: Path, seed: int, **changes: Any) -> Path:
    torch.manual_seed(seed)
    model = TriggerModel(SHAPE, HeadConfig(hidden=8), ["smart mirror"])
    sidecar = {
        "kind": "trigger", "encoder": SHAPE.model_dump(mode="json"), "keywords": ["smart mirror"],
        "head": HeadConfig(hidden=8).model_dump(mode="json"), "init_sha256": "a" * 64,
        "recipe": {"optimisation": {"seed": seed}},
    }  # fmt: skip
    save_checkpoint(path, dict(model.state_dict()), {**sidecar, **changes})
    return path


def test_the_mean_is_the_mean(tmp_path: Path):
    paths = [saved(tmp_path / f"{n}.safetensors", n) for n in range(3)]
    assert main(["average", *map(str, paths), "--out", str(tmp_path / "mean.safetensors")]) == 0
    mean, sidecar = load_trigger(tmp_path / "mean.safetensors")
    assert sidecar["averaged_seeds"] == [0, 1, 2]
    each = [dict(load_trigger(path)[0].state_dict()) for path in paths]
    for key, value in mean.state_dict().items():
        assert torch.allclose(value.double(), torch.stack([e[key].double() for e in each]).mean(0), atol=1e-6)


def test_a_share_of_the_start_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    start = saved(tmp_path / "start.safetensors", 7)
    begun = {"init_sha256": file_sha256(start), "training_s": 3.0}
    paths = [saved(tmp_path / f"{n}.safetensors", n, **begun) for n in range(2)]
    out = tmp_path / "mean.safetensors"
    given = ["average", *map(str, paths), "--out", str(out), "--start-share", "0.4"]
    assert main([*given, "--start", str(start)]) == 0
    mean, sidecar = load_trigger(out)
    assert sidecar["training_s"] == 6.0 and sidecar["start_share"] == 0.4
    weights = zip(
        (0.4, 0.3, 0.3), (load_trigger(path)[0].state_dict() for path in (start, *paths)), strict=True
    )
    parts = [{key: weight * value for key, value in state.items()} for weight, state in weights]
    for key, value in mean.state_dict().items():
        assert torch.allclose(value.double(), sum(part[key].double() for part in parts), atol=1e-5)
    assert main([*given, "--start", str(paths[0])]) == 2
    assert "not what" in capsys.readouterr().err
    assert main([*given[:-1], "1"]) == 2
    assert "--start-share 1.0" in capsys.readouterr().err


def test_heads_begin_alike_whatever_the_seed():
    heads = []
    for seed in range(2):
        torch.manual_seed(seed)
        heads.append(TriggerModel(SHAPE, HeadConfig(hidden=8), ["smart mirror"]).head.state_dict())
    assert all(torch.equal(value, heads[1][key]) for key, value in heads[0].items())


@pytest.mark.parametrize(
    ("change", "said"), [({"init_sha256": "b" * 64}, "init_sha256"), ({"keywords": ["x"]}, "x")]
)
def test_other_starts_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
):
    a, b = saved(tmp_path / "a.safetensors", 0), saved(tmp_path / "b.safetensors", 1, **change)
    assert main(["average", str(a), str(b), "--out", str(tmp_path / "m.safetensors")]) == 2
    assert said in capsys.readouterr().err
    scratch = saved(tmp_path / "c.safetensors", 2, init_sha256=None)
    assert main(["average", str(scratch), "--out", str(tmp_path / "m.safetensors")]) == 2
