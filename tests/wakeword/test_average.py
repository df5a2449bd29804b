"""The mean of runs from one start, and the refusal of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.training.checkpoint import save_checkpoint
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
