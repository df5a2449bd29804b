"""Several processes on CPU: they compute what one does, and end together."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from asr_pretrain.training.checkpoint import CheckpointError, load_checkpoint
from asr_pretrain.training.history import read_history
from asr_pretrain.training.recipe import TrainingRecipe
from asr_pretrain.training.state import STATE

TOY = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="module")
def toy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("toy", TOY)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy"] = module  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., TrainingRecipe]:
    """Makes recipes of 20 steps; keywords are of ``optimisation``."""
    (tmp_path / "noise.parquet").write_bytes(b"noise")

    def make(name: str, **optimisation: object) -> TrainingRecipe:
        settings = {"steps": 20, "checkpoint_every_steps": 5, "workers": 0, **optimisation}
        made = TrainingRecipe(
            manifests=[tmp_path / "noise.parquet"],
            out=tmp_path / name,
            encoder={"channels": 16, "dilations": [1, 2]},
            optimisation=settings,
            audit={"off": "batches of noise, no manifest"},
        )
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(json.loads(made.model_dump_json())))
        return made

    return make


def torchrun(processes: int, *words: object, restarts: int = 0) -> subprocess.Popen[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [*start, f"--max-restarts={restarts}", str(TOY), "toy", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def yaml_of(recipe: TrainingRecipe) -> Path:
    return recipe.out.with_suffix(".yaml")


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 100
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.05)


def rank_of(process: subprocess.Popen[str], rank: int) -> int:
    """Process id of a rank of a running `torchrun`."""
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(f"rank {rank} does not run")


def largest_difference(one: Path, other: Path) -> float:
    ours, theirs = load_checkpoint(one)[0], load_checkpoint(other)[0]
    assert ours.keys() == theirs.keys()
    return max(float((ours[k].double() - theirs[k].double()).abs().max()) for k in ours)


def test_two_processes_equal_one_with_twice_the_batch(
    toy: ModuleType, recipe: Callable[..., TrainingRecipe]
) -> None:
    frozen, shared = recipe("frozen-two", batch_statistics="frozen"), recipe("shared-two")
    process = torchrun(2, yaml_of(frozen), yaml_of(shared))
    alone_frozen = toy.train(recipe("frozen-one", batch_statistics="frozen", accumulate=2), toy.Noise())
    alone_shared = toy.train(recipe("shared-one"), toy.Noise(join=2))
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "by rank 0:" in output and "for other ranks" in output
    assert largest_difference(frozen.out / "encoder.safetensors", alone_frozen) < 1e-5
    assert largest_difference(shared.out / "encoder.safetensors", alone_shared) < 1e-5
    for two, one in ((frozen.out, alone_frozen.parent), (shared.out, alone_shared.parent)):
        losses = [[line["loss"] for line in read_history(folder)] for folder in (two, one)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_run_goes_on_with_as_many_processes_as_share_its_batches(
    toy: ModuleType, recipe: Callable[..., TrainingRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe("run", accumulate=4, steps=6, checkpoint_every_steps=2)
    toy.train(made, toy.Noise())
    again = made.model_copy(deep=True)
    again.optimisation.accumulate = 3
    with pytest.raises(CheckpointError, match=r"optimisation.accumulate: 4 → 3"):
        toy.train(again, toy.Noise())
    from asr_pretrain.training import run as module

    state = module._found(made, module.Processes(0, 1, "cpu"))
    assert state is not None
    assert [module._share(made, state, world) for world in (1, 2, 4)] == [4, 2, 1]
    with pytest.raises(CheckpointError, match="3 processes cannot share evenly; start 1, 2, 4"):
        module._share(made, state, 3)


@pytest.mark.slow
def test_a_shard_that_one_rank_cannot_read_stops_all_and_is_named(
    recipe: Callable[..., TrainingRecipe],
) -> None:
    made = recipe("run", workers=1)
    process = torchrun(3, yaml_of(made), "--fail-at", 7, "--rank", 1)
    _, errors = process.communicate(timeout=90)
    assert process.returncode != 0
    assert "step 8: rank 1: ValueError: speech-00003.tar: truncated" in errors
    assert load_checkpoint(made.out / STATE)[1]["step"] == 7


@pytest.mark.slow
def test_a_loss_that_is_no_number_on_one_rank_stops_all_with_one_message(
    recipe: Callable[..., TrainingRecipe],
) -> None:
    made = recipe("run", batch_statistics="frozen")  # shared ones would carry it to all
    process = torchrun(3, yaml_of(made), "--nan-at", 7, "--rank", 2)
    _, errors = process.communicate(timeout=90)
    assert process.returncode != 0
    assert errors.count("the loss is nan at step 8 (rank 2)") == 1
    assert load_checkpoint(made.out / STATE)[1]["step"] == 5


@pytest.mark.slow
def test_three_processes_with_one_killed_start_again_and_finish(
    toy: ModuleType, recipe: Callable[..., TrainingRecipe]
) -> None:
    made = recipe("run", steps=40, workers=1)
    process = torchrun(3, yaml_of(made), "--slow", 0.05, restarts=2)
    wait_for(made.out / STATE, process)
    os.kill(rank_of(process, 2), signal.SIGKILL)
    output, errors = process.communicate(timeout=110)
    assert process.returncode == 0, errors
    assert "resuming" in output
    whole = toy.train(recipe("whole", steps=40, accumulate=3), toy.Noise())
    assert len(read_history(made.out)) == len(read_history(whole.parent)) == 40


@pytest.mark.slow
def test_two_processes_are_stopped_and_one_goes_on(
    toy: ModuleType, recipe: Callable[..., TrainingRecipe]
) -> None:
    made = recipe("run", batch_statistics="frozen", steps=60)
    process = torchrun(2, yaml_of(made), "--slow", 0.1)
    wait_for(made.out / STATE, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert errors.count("run the same command to go on") == 1
    path = toy.train(made, toy.Noise())
    whole = toy.train(recipe("whole", batch_statistics="frozen", steps=60, accumulate=2), toy.Noise())
    assert largest_difference(path, whole) < 1e-5
    assert torch.equal(*(torch.tensor([x["step"] for x in read_history(p.parent)]) for p in (path, whole)))


@pytest.mark.slow
def test_a_host_dies_and_the_other_goes_on_with_the_same_batches(
    toy: ModuleType, recipe: Callable[..., TrainingRecipe], tmp_path: Path
) -> None:
    made = recipe("run", batch_statistics="frozen", steps=30)
    script = TOY.parents[2] / "asr_pretrain/cluster/hosts.sh"
    ours = script.read_text().replace("-m asr_pretrain.cli train", f"{TOY} toy")
    (tmp_path / "hosts.sh").write_text(ours)
    with socket.create_server(("localhost", 0)) as free:
        port = str(free.getsockname()[1])
    setting = {**os.environ, "HEAD": "localhost", "PORT": port, "NODES": "1:2", "PYTHON": sys.executable}
    command = ["sh", str(tmp_path / "hosts.sh"), str(yaml_of(made)), "--slow", "0.2"]

    def host() -> subprocess.Popen[str]:
        return subprocess.Popen(command, env=setting, stdout=subprocess.PIPE, text=True)

    head = host()
    time.sleep(4)  # the first to come holds the meeting point
    other = host()
    wait_for(made.out / STATE, head)
    children = Path(f"/proc/{other.pid}/task/{other.pid}/children").read_text().split()
    for victim in (*map(int, children), other.pid):
        os.kill(victim, signal.SIGKILL)
    output, _ = head.communicate(timeout=200)
    other.communicate()
    assert head.returncode == 0, output
    assert "resuming" in output
    whole = toy.train(recipe("whole", batch_statistics="frozen", steps=30, accumulate=2), toy.Noise())
    assert largest_difference(made.out / "encoder.safetensors", whole) < 1e-5
