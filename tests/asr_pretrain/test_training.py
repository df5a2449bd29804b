import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from asr_pretrain.brain import TrainingStopped
from asr_pretrain.checkpoint import CheckpointError, load_checkpoint
from asr_pretrain.recipe import RecipeError, load_recipe
from asr_pretrain.score import edit_distance, greedy, score
from asr_pretrain.train import CtcBrain, PretrainRecipe, load_recogniser, train


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    tiny_recipe: PretrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_checkpoint(train(tiny_recipe))[0]
    losses = json.loads((tiny_recipe.out / "history.json").read_text())
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
    assert json.loads((again.out / "history.json").read_text()) == losses
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_a_changed_recipe_is_refused(tiny_recipe: PretrainRecipe) -> None:
    train(tiny_recipe)
    changed = tiny_recipe.model_copy(deep=True)
    changed.optimisation.learning_rate *= 2
    with pytest.raises(CheckpointError, match="another recipe"):
        train(changed)


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
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(recipe.model_dump_json())))
    command = [sys.executable, "-m", "asr_pretrain.cli", "train", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    state = recipe.out / "state.safetensors"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "run the same command" in errors
    assert load_checkpoint(state)[1]["step"] >= 2


def test_two_processes_train_together(tiny_recipe: PretrainRecipe, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(tiny_recipe.model_dump_json())))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*torchrun, "-m", "asr_pretrain.cli", "train", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 process(es)" in done.stdout
    load_recogniser(tiny_recipe.out / "encoder.safetensors")


def test_score_counts_insertions_and_reads_a_manifest(tiny_recipe: PretrainRecipe, tiny_corpus: Path) -> None:
    assert edit_distance([1, 2, 3], [1, 4, 3, 5]) == 2
    assert edit_distance([1], []) == 1
    assert greedy(torch.eye(4)[torch.tensor([0, 2, 2, 0, 2, 3])].numpy()) == [2, 2, 3]
    result = score(tiny_corpus, train(tiny_recipe), split="dev")
    assert result["per"] > 0 and result["utterances"] > 5
    noisy = score(tiny_corpus, tiny_recipe.out / "encoder.safetensors", split="dev", snr_db=0.0)
    assert noisy["utterances"] == result["utterances"]


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
