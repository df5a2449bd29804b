import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from asr_pretrain.training.norm import SharedBatchNorm1d, convert, freeze_statistics


def test_two_processes_normalise_as_one_with_the_whole_batch(tmp_path: Path) -> None:
    program = Path(__file__).with_name("norm_pair.py")
    command = [sys.executable, str(program), str(tmp_path / "meeting")]
    processes = [
        subprocess.Popen(
            command, env={**os.environ, "RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for rank in (0, 1)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    cases = json.loads(outputs[0][0])
    coarse = cases.pop("bfloat16")
    assert len(cases) == 3
    for name, differences in cases.items():
        assert max(differences.values()) < 2e-5, (name, differences)
    assert max(coarse.values()) < 0.02, coarse


def test_alone_it_is_torchs_own_and_its_state_is_interchangeable() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 6, 1), nn.BatchNorm1d(6), nn.Sequential(nn.BatchNorm1d(6)))
    weights = list(model.parameters())
    x = torch.randn(3, 4, 9)
    expected, state = model(x), model.state_dict()
    model[1].reset_running_stats()
    model[2][0].reset_running_stats()
    converted = convert(model)
    assert converted is model
    assert isinstance(model[1], SharedBatchNorm1d) and isinstance(model[2][0], SharedBatchNorm1d)
    assert all(a is b for a, b in zip(model.parameters(), weights, strict=True))
    assert torch.equal(model(x), expected)
    assert list(model.state_dict()) == list(state)
    nn.Sequential(nn.Conv1d(4, 6, 1), nn.BatchNorm1d(6), nn.Sequential(nn.BatchNorm1d(6))).load_state_dict(
        model.state_dict()
    )


def test_frozen_statistics_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 4), convert(nn.BatchNorm1d(4))).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    freeze_statistics(model)
    model(torch.randn(8, 4) + 5)
    assert model[0].training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
