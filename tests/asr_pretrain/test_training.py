import argparse
import errno
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from asr_pretrain.cli import main
from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.score import edit_distance, greedy, score
from asr_pretrain.teachers.teacher import TeacherConfig
from asr_pretrain.train import CtcBrain, PretrainRecipe, build, load_recogniser, train
from asr_pretrain.training import checkpoint
from asr_pretrain.training.checkpoint import CheckpointError, file_sha256, load_checkpoint
from asr_pretrain.training.history import read_history
from asr_pretrain.training.overrides import add_arguments, override
from asr_pretrain.training.processes import TrainingStopped
from asr_pretrain.training.recipe import Optimisation, RecipeError, load_recipe
from asr_pretrain.training.state import PREVIOUS, STATE
from data_splits.manifest import read_manifest, write_manifest


def start(recipe: PretrainRecipe, folder: Path) -> "subprocess.Popen[str]":
    """The recipe's run as a process of its own, when it has written its first state."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(recipe.model_dump_json())))
    command = [sys.executable, "-m", "asr_pretrain.cli", "train", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (recipe.out / STATE).exists():
        assert time.monotonic() < deadline and process.poll() is None, "the run wrote no state"
        time.sleep(0.05)
    return process


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    tiny_recipe: PretrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_checkpoint(train(tiny_recipe))[0]
    losses = read_history(tiny_recipe.out)
    again = tiny_recipe.model_copy(update={"out": tmp_path / "again"})
    step = CtcBrain.on_fit_batch_end

    def die(brain: CtcBrain, *args: object) -> None:
        step(brain, *args)
        if brain.done_steps == 3:  # one step after the checkpoint of step 2
            raise KeyboardInterrupt

    monkeypatch.setattr(CtcBrain, "on_fit_batch_end", die)
    with pytest.raises(KeyboardInterrupt):
        train(again)
    monkeypatch.undo()
    resumed = load_checkpoint(train(again))[0]
    assert read_history(again.out) == losses
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_kill_9_changes_nothing(tiny_recipe: PretrainRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.model_copy(deep=True)
    recipe.optimisation.steps = 14
    whole = load_checkpoint(train(recipe))[0]
    again = recipe.model_copy(deep=True, update={"out": tmp_path / "again"})
    again.optimisation.workers = 1
    process = start(again, tmp_path)
    time.sleep(random.uniform(0, 0.5))
    process.kill()
    process.communicate()
    state = load_checkpoint(again.out / STATE)[1]
    resumed = load_checkpoint(train(again))[0]
    assert 2 <= state["step"] <= 14
    assert read_history(again.out) == read_history(recipe.out)
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_a_damaged_state_falls_back_to_the_one_before(
    tiny_recipe: PretrainRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = load_checkpoint(train(tiny_recipe))[0]
    state = tiny_recipe.out / STATE
    content = bytearray(state.read_bytes())
    content[-5] ^= 1
    state.write_bytes(content)
    resumed = load_checkpoint(train(tiny_recipe))[0]
    output = capsys.readouterr().out
    assert "state.safetensors: damaged" in output and "going on from state.previous.safetensors" in output
    assert "at step 4 of 6" in output
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
    for path in (state, tiny_recipe.out / PREVIOUS):
        path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"state.safetensors: .*state.previous.safetensors: "):
        train(tiny_recipe)


def test_a_state_alone_goes_on_elsewhere_with_its_whole_curve(
    tiny_recipe: PretrainRecipe, tmp_path: Path
) -> None:
    train(tiny_recipe)
    elsewhere = tiny_recipe.model_copy(deep=True, update={"out": tmp_path / "elsewhere"})
    elsewhere.optimisation.workers = 1
    elsewhere.out.mkdir()
    shutil.copy(tiny_recipe.out / PREVIOUS, elsewhere.out / STATE)
    path = train(elsewhere)
    assert read_history(elsewhere.out) == read_history(tiny_recipe.out)
    sidecar = load_checkpoint(path)[1]
    assert (
        sidecar["heard_utterances"]
        == load_checkpoint(tiny_recipe.out / STATE)[1]["totals"]["heard_utterances"]
    )


def test_a_changed_recipe_is_refused_showing_the_difference(tiny_recipe: PretrainRecipe) -> None:
    train(tiny_recipe)
    changed = tiny_recipe.model_copy(deep=True)
    changed.optimisation.learning_rate *= 2
    changed.batch_seconds = 11
    difference = r"batch_seconds: 12.0 → 11.0; optimisation.learning_rate: 0.002 → 0.004"
    with pytest.raises(CheckpointError, match=difference):
        train(changed)


def test_a_changed_manifest_is_refused_and_named(tiny_recipe: PretrainRecipe, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_recipe.manifests[0].parent, copy)
    recipe = tiny_recipe.model_copy(update={"manifests": [copy / tiny_recipe.manifests[0].name]})
    train(recipe)
    write_manifest(read_manifest(recipe.manifests[0]).head(40), recipe.manifests[0])
    with pytest.raises(CheckpointError, match=rf"manifests.0:{recipe.manifests[0].name}: '\w+' → '\w+'"):
        train(recipe)


def test_two_runs_in_one_folder_are_refused(tiny_recipe: PretrainRecipe) -> None:
    tiny_recipe.out.mkdir()
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, 2); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(tiny_recipe.out / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(TrainingStopped, match="another run is training here"):
            train(tiny_recipe)
        other.communicate("\n")


def test_a_full_disk_stops_the_run_and_keeps_the_state(
    tiny_recipe: PretrainRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = checkpoint.write_atomically

    def full(path: Path, content: bytes, **options: Any) -> None:
        if path.name == STATE and (tiny_recipe.out / PREVIOUS).exists():
            monkeypatch.setattr(checkpoint.os, "fsync", no_space)
        written(path, content, **options)

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("asr_pretrain.training.state.write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        train(tiny_recipe)
    assert load_checkpoint(tiny_recipe.out / STATE)[1]["step"] == 4
    assert load_checkpoint(tiny_recipe.out / PREVIOUS)[1]["step"] == 2


def test_epochs_are_counted_in_steps_and_steps_win(tiny_recipe: PretrainRecipe) -> None:
    recipe = tiny_recipe.model_copy(deep=True)
    recipe.optimisation = recipe.optimisation.model_copy(update={"steps": None, "epochs": 1.5})
    batches = build(recipe, 1, 1)[1]
    assert (
        recipe.optimisation.total_steps(batches.steps_in) == batches.steps_in(1.5) > batches.steps_in(1) > 1
    )
    assert tiny_recipe.optimisation.total_steps(batches.steps_in) == 6
    assert Optimisation().total_steps(batches.steps_in) == 2000
    with pytest.raises(RecipeError, match="give optimisation.steps"):
        recipe.optimisation.total_steps(None)


def test_init_takes_encoder_and_output_layer(tiny_recipe: PretrainRecipe, tmp_path: Path) -> None:
    first = train(tiny_recipe)
    second = tiny_recipe.model_copy(update={"init": first, "encoder": None, "out": tmp_path / "second"})
    model, _ = build(second, 1, 1)
    weights = load_checkpoint(first)[0]
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert load_checkpoint(train(second))[1]["init_sha256"] == file_sha256(first)
    other = second.model_copy(update={"encoder": EncoderConfig(channels=8)})
    with pytest.raises(CheckpointError, match="the recipe asks for"):
        build(other, 1, 1)


class Loudness(torch.nn.Module):
    """A teacher's frozen model: one feature, the level of each 20 ms."""

    width = 1

    def features(self, waveform: torch.Tensor) -> torch.Tensor:
        return waveform.unfold(1, 320, 320).square().mean(-1, keepdim=True)


def test_a_teacher_is_learnt_from_and_left_behind(
    tiny_recipe: PretrainRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr_pretrain.teachers.teacher.load_frozen", lambda config: (Loudness(), "a" * 64))
    config = TeacherConfig(kind="torchaudio", path=Path("large.safetensors"), licence="MIT")
    recipe = tiny_recipe.model_copy(update={"teacher": config})
    weights, sidecar = load_checkpoint(train(recipe))
    assert not [key for key in weights if "teacher" in key]
    assert sidecar["teacher"]["licence"] == "MIT"
    learnt = load_checkpoint(recipe.out / STATE)[0]
    assert "teacher.projection.weight" in learnt
    monkeypatch.setattr("asr_pretrain.teachers.teacher.load_frozen", lambda config: (Loudness(), "b" * 64))
    with pytest.raises(CheckpointError, match="teacher_sha256: 'aaa.*' → 'bbb"):
        train(recipe)


def test_the_loader_is_measured(
    tiny_recipe: PretrainRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(tiny_recipe.model_dump_json())))
    assert main(["train", str(path), "--bench-loader", "0.5"]) == 0
    assert min(json.loads(capsys.readouterr().out.splitlines()[-1]).values()) > 0
    assert not tiny_recipe.out.exists()


def test_the_log_says_who_waited(tiny_recipe: PretrainRecipe, capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny_recipe)
    line = r"step 6 of 6: loss [\d.]+, learning rate [\d.e-]+; \d+ utterances/s, \d+ h of audio an hour; "
    assert re.search(line + r"waited for the loader \d+%, computing \d+%", capsys.readouterr().out)
    figures = [json.loads(x) for x in (tiny_recipe.out / "throughput.jsonl").read_text().splitlines()]
    assert figures[-1]["step"] == 6 and len(figures[-1]["ranks"]) == 1


def test_the_command_line_stands_above_the_recipe(tiny_recipe: PretrainRecipe) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["r.yaml", "--epochs", "2", "--out", "elsewhere", "--device", "cuda", "--seed", "0"]
    changed = override(tiny_recipe, parser.parse_args(words))
    assert changed.optimisation.steps is None and changed.optimisation.epochs == 2
    assert changed.out == Path("elsewhere") and changed.optimisation.device == "cuda"
    assert changed.encoder == tiny_recipe.encoder and changed.manifests == tiny_recipe.manifests
    with pytest.raises(RecipeError, match=r"command line: optimisation.steps: .*\(found '-1'\)"):
        override(tiny_recipe, parser.parse_args(["r.yaml", "--steps", "-1"]))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(
    tiny_recipe: PretrainRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = CtcBrain.compute_objectives

    def broken(brain: CtcBrain, *args: object) -> torch.Tensor:
        loss = objective(brain, *args)
        return loss * float("nan") if brain.done_steps == 4 else loss

    monkeypatch.setattr(CtcBrain, "compute_objectives", broken)
    with pytest.raises(TrainingStopped, match="step 5"):
        train(tiny_recipe)
    assert load_checkpoint(tiny_recipe.out / "state.safetensors")[1]["step"] == 4


def test_ctrl_c_saves_and_the_same_command_goes_on(tiny_recipe: PretrainRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.model_copy(deep=True)
    recipe.optimisation.steps = 400
    process = start(recipe, tmp_path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "run the same command" in errors
    assert load_checkpoint(recipe.out / STATE)[1]["step"] >= 2


@pytest.mark.slow
def test_two_processes_hear_what_one_hears_and_learn_the_same(
    tiny_recipe: PretrainRecipe, tmp_path: Path
) -> None:
    tiny_recipe.optimisation.batch_statistics = "frozen"
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(tiny_recipe.model_dump_json())))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*torchrun, "-m", "asr_pretrain.cli", "train", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 process(es)" in done.stdout
    two = load_recogniser(tiny_recipe.out / "encoder.safetensors")[0].state_dict()
    alone = tiny_recipe.model_copy(deep=True, update={"out": tmp_path / "alone"})
    alone.optimisation.accumulate = 2
    one = load_checkpoint(train(alone))[0]
    assert all(torch.allclose(two[key], one[key], rtol=0, atol=1e-5) for key in one)


def test_score_counts_insertions_and_reads_a_manifest(tiny_recipe: PretrainRecipe, tiny_corpus: Path) -> None:
    assert edit_distance([1, 2, 3], [1, 4, 3, 5]) == 2
    assert edit_distance([1], []) == 1
    assert greedy(torch.eye(4)[torch.tensor([0, 2, 2, 0, 2, 3])].numpy()) == [2, 2, 3]
    result = score(tiny_corpus, train(tiny_recipe), split="dev")
    assert result["per"] > 0 and result["utterances"] > 5
    noisy = score(tiny_corpus, tiny_recipe.out / "encoder.safetensors", split="dev", snr_db=0.0)
    assert noisy["utterances"] == result["utterances"]
    with pytest.raises(RecipeError, match="source"):
        score(tiny_corpus, tiny_recipe.out / "encoder.safetensors", sources=["nobody"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("manifests: [a]\nout: b\nstepz: 3\n", "stepz"),
        ("manifests: [a]\nout: b\noptimisation: {learning_rate: fast}\n", "learning_rate"),
        ("manifests: []\nout: b\n", "manifests"),
        ("- a list\n", "mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_bad_recipe_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, PretrainRecipe)


def test_a_missing_manifest_is_named(tiny_recipe: PretrainRecipe) -> None:
    with pytest.raises(RecipeError, match=r"nowhere.parquet: no such manifest"):
        train(tiny_recipe.model_copy(update={"manifests": [Path("nowhere.parquet")]}))
