"""Fine-tuning: the recogniser's layers under a new head, in the car.

wakeword train wakeword/recipes/smart_mirror.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor

from asr_pretrain.loading.batches import build_car
from asr_pretrain.training.brain import ResumableBrain
from asr_pretrain.training.feed import Drawn
from asr_pretrain.training.overrides import add_arguments, override
from asr_pretrain.training.recipe import TrainingRecipe, load_recipe
from asr_pretrain.training.run import open_run
from asr_pretrain.training.warm_start import encoder_shape
from wakeword.cuts import CutBatches, CutConfig
from wakeword.model import HeadConfig, TriggerModel, Unfreeze, transfer, trigger_loss


class TriggerRecipe(TrainingRecipe):
    """One fine-tuning run."""

    name: str = Field("smart_mirror", pattern="^[a-z0-9_]+$")
    phrase: str = "smart mirror"
    unfreeze: Unfreeze = "all"
    """How deep the transferred layers learn: head only, the last block, the last half, all."""
    head: HeadConfig = HeadConfig()
    cuts: CutConfig = CutConfig()
    batch_size: int = Field(64, ge=2, le=4096)
    voices: list[str] | None = None
    """Only these speakers' takes of the word (cross-validation)."""


class TriggerBrain(ResumableBrain):
    recipe: TriggerRecipe
    model: TriggerModel

    def training_mode(self) -> None:
        """Frozen batch norms must not learn."""
        self.model.train_mode(self.recipe.unfreeze)
        super().training_mode()

    def targets(self, batch: dict[str, Tensor]) -> float:
        return len(batch["features"])

    def compute_forward(self, batch: dict[str, Tensor], stage: Any) -> Tensor:
        return self.modules["model"](batch["features"].to(self.device))

    def compute_objectives(self, predictions: Tensor, batch: dict[str, Tensor], stage: Any) -> Tensor:
        frame_s = 0.04
        low, high = self.recipe.cuts.window_s
        window = (round(low / frame_s), round(high / frame_s))
        start, end = batch["word_start"].to(self.device), batch["word_end"].to(self.device)
        loss = trigger_loss(predictions[:, 0].float(), end, start, window)
        return loss * len(predictions) / self.total_targets


def train(recipe: TriggerRecipe) -> Path:
    """Trains, or goes on with, the recipe's run; returns the path of ``trigger.safetensors``.

    Raises RecipeError, CheckpointError, ManifestError, BatchError, TrainingStopped.
    """
    with open_run(recipe) as run:
        shape = encoder_shape(recipe)
        model = TriggerModel(shape, recipe.head, [recipe.phrase])
        if recipe.init is not None:
            transfer(model, recipe.init)
            model.freeze_below(recipe.unfreeze)
        batches = CutBatches(
            recipe.manifests,
            recipe.phrase,
            recipe.cuts,
            build_car(recipe.manifests, recipe.surroundings, "train"),
            recipe.perturbation,
            model.encoder.normalise,
            recipe.batch_size,
            recipe.optimisation.seed,
            voices=recipe.voices,
        )
        brain = TriggerBrain({"model": model}, run, recipe.optimisation.total_steps(None))
        brain.recipe = recipe
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        origin = "from scratch" if recipe.init is None else f"transferred, unfreeze {recipe.unfreeze}"
        run.say(
            f"{recipe.phrase!r}: {batches.describe()}; {trained / 1e3:.0f}k parameters learn ({origin}); "
            f"{brain.steps} steps of {recipe.batch_size} cuts of {recipe.cuts.duration_s} s"
        )
        brain.learn(Drawn(batches, run.accumulate))
        sidecar = {
            "kind": "trigger",
            "name": recipe.name,
            "encoder": shape.model_dump(mode="json"),
            "head": recipe.head.model_dump(mode="json"),
            "keywords": [recipe.phrase],
        }
        return run.keep("trigger.safetensors", brain.average, {**sidecar, **brain.facts()})


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "train",
        help="fine-tune a pretrained encoder on the wake word, in the car",
        epilog="example: wakeword train wakeword/recipes/smart_mirror.yaml --out runs/smart_mirror",
    )
    add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    print(train(override(load_recipe(args.recipe, TriggerRecipe), args)))
    return 0
