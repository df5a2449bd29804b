"""Fine-tuning: the recogniser's layers under a new head, in the car.

wakeword train wakeword/recipes/smart_mirror.yaml
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from asr_pretrain.brain import ResumableBrain, identity
from asr_pretrain.checkpoint import file_sha256, git_revision, save_checkpoint
from asr_pretrain.data import build_car
from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.recipe import (
    HomePath,
    Optimisation,
    Perturbation,
    RecipeError,
    Strict,
    Surroundings,
    load_recipe,
    recipe_hash,
)
from wakeword.cuts import CutBatches, CutConfig
from wakeword.model import HeadConfig, TriggerModel, Unfreeze, transfer, trigger_loss


class TriggerRecipe(Strict):
    """One fine-tuning run."""

    name: str = Field("smart_mirror", pattern="^[a-z0-9_]+$")
    phrase: str = "smart mirror"
    manifests: list[HomePath] = Field(min_length=1)
    """Planned manifests; rows of split ``train`` are learnt from, noise rows of it are the car."""
    out: HomePath
    init: HomePath | None = None
    """A pretrained recogniser's encoder.safetensors; none trains from scratch."""
    unfreeze: Unfreeze = "all"
    """How deep the transferred layers learn: head only, the last block, the last half, all."""
    encoder: EncoderConfig | None = None
    """Only without ``init``: the pretrained shape is taken otherwise."""
    head: HeadConfig = HeadConfig()
    optimisation: Optimisation = Optimisation()
    perturbation: Perturbation = Perturbation()
    surroundings: Surroundings = Surroundings()
    cuts: CutConfig = CutConfig()
    batch_size: int = Field(64, ge=2, le=4096)
    voices: list[str] | None = None
    """Only these speakers' takes of the word (cross-validation)."""


class TriggerBrain(ResumableBrain):
    recipe: TriggerRecipe
    model: TriggerModel

    def on_stage_start(self, stage: Any, epoch: Any = None) -> None:
        """SpeechBrain has just put everything in training mode; frozen batch norms must not learn."""

    def compute_forward(self, batch: dict[str, Tensor], stage: Any) -> Tensor:
        self.model.train_mode(self.recipe.unfreeze)
        return self.modules["model"](batch["features"].to(self.device))

    def compute_objectives(self, predictions: Tensor, batch: dict[str, Tensor], stage: Any) -> Tensor:
        frame_s = 0.04
        low, high = self.recipe.cuts.window_s
        window = (round(low / frame_s), round(high / frame_s))
        start, end = batch["word_start"].to(self.device), batch["word_end"].to(self.device)
        return trigger_loss(predictions[:, 0].float(), end, start, window)


def train(recipe: TriggerRecipe) -> Path:
    """Trains, or goes on with, the recipe's run; returns the path of ``trigger.safetensors``.

    Raises RecipeError, CheckpointError, ManifestError, TrainingStopped.
    """
    for path in [*recipe.manifests, *([recipe.init] if recipe.init else [])]:
        if not path.exists():
            raise RecipeError(f"{path}: no such file; make it first, or correct the recipe")
    seed = recipe.optimisation.seed
    torch.manual_seed(seed)
    shape = recipe.encoder or EncoderConfig()
    source: dict[str, Any] | None = None
    if recipe.init is not None:
        from asr_pretrain.checkpoint import load_checkpoint

        source = load_checkpoint(recipe.init)[1]
        shape = recipe.encoder or EncoderConfig.model_validate(source["encoder"])
    model = TriggerModel(shape, recipe.head, [recipe.phrase])
    if recipe.init is not None:
        transfer(model, recipe.init)
        model.freeze_below(recipe.unfreeze)
    car = build_car(recipe.manifests, recipe.surroundings, "train")
    batches = CutBatches(
        recipe.manifests,
        recipe.phrase,
        recipe.cuts,
        car,
        recipe.perturbation,
        model.encoder.normalise,
        recipe.batch_size,
        seed,
        voices=recipe.voices,
    )
    hashes = [file_sha256(path) for path in recipe.manifests]
    init_hash = file_sha256(recipe.init) if recipe.init else None
    config = recipe.model_dump(mode="json", exclude={"out", "manifests", "init"})
    run_hash = recipe_hash(
        recipe.model_copy(
            update={"manifests": [Path(h) for h in hashes], "out": Path(), "init": Path(init_hash or "")}
        )
    )
    brain = TriggerBrain(model, recipe.optimisation, recipe.out, identity(run_hash, hashes, config))
    brain.recipe = recipe
    if brain.is_main:
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        print(
            f"{recipe.phrase!r}: {batches.describe()}; {trained / 1e3:.0f}k parameters learn "
            f"({'from scratch' if source is None else 'transferred, unfreeze ' + recipe.unfreeze}); "
            f"{recipe.optimisation.steps} steps of {recipe.batch_size} cuts of {recipe.cuts.duration_s} s",
            flush=True,
        )
    brain.run(batches)
    path = recipe.out / "trigger.safetensors"
    if brain.is_main:
        sidecar = {
            "kind": "trigger",
            "name": recipe.name,
            "encoder": shape.model_dump(mode="json"),
            "head": recipe.head.model_dump(mode="json"),
            "keywords": [recipe.phrase],
            "manifest_sha256": hashes,
            "init_sha256": init_hash,
            "recipe": config,
            "git_revision": git_revision(),
            "trained_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "final_loss": brain.history[-1]["loss"],
        }
        save_checkpoint(path, brain.averaged(), sidecar)
    return path


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "train",
        help="fine-tune a pretrained encoder on the wake word, in the car",
        epilog="example: wakeword train wakeword/recipes/smart_mirror.yaml --out runs/smart_mirror",
    )
    parser.add_argument("recipe", type=Path, help="YAML recipe")
    parser.add_argument("--manifest", type=Path, action="append", help="planned manifest (repeatable)")
    parser.add_argument("--init", type=Path, help="pretrained encoder.safetensors")
    parser.add_argument("--from-scratch", action="store_true", help="leave the recipe's `init` out")
    parser.add_argument("--out", type=Path, help="folder of the run; a run found there is resumed")
    parser.add_argument("--steps", type=int, help="number of steps")
    parser.add_argument("--seed", type=int, help="seed of weights, cuts and car")


def run(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe, TriggerRecipe)
    if args.manifest:
        recipe.manifests = args.manifest
    if args.init:
        recipe.init = args.init
    if args.from_scratch:
        recipe.init = None
    if args.out:
        recipe.out = args.out
    if args.steps:
        recipe.optimisation.steps = args.steps
    if args.seed is not None:
        recipe.optimisation.seed = args.seed
    print(train(recipe))
    return 0
