"""Fine-tuning: the recogniser's layers under a new head, in the car.

wakeword train wakeword/recipes/smart_mirror.yaml
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl
from pydantic import Field
from torch import Tensor, nn

from asr_pretrain.encoder import SUBSAMPLING
from asr_pretrain.loading.batches import build_car
from asr_pretrain.logmel import N_MELS
from asr_pretrain.teachers.teacher import Teacher, add_teacher_loss
from asr_pretrain.training.brain import ResumableBrain
from asr_pretrain.training.checkpoint import file_sha256
from asr_pretrain.training.feed import Drawn
from asr_pretrain.training.overrides import add_arguments, override
from asr_pretrain.training.recipe import HomePath, RecipeError, TrainingRecipe, load_recipe
from asr_pretrain.training.run import open_run
from asr_pretrain.training.warm_start import encoder_shape
from wakeword.advice import depth_for, doubts
from wakeword.average import average
from wakeword.cached import CachedCuts, activations, draw, speed_up
from wakeword.cuts import CutBatches, CutConfig, select_rows
from wakeword.model import HeadConfig, TriggerModel, Unfreeze, transfer, trigger_loss
from wakeword.outlook import noise_outlook
from wakeword.tasks import TaskConfig, TaskHeads, keep_phones

FRAME_S = 0.01 * SUBSAMPLING
"""An encoder frame."""


class TriggerRecipe(TrainingRecipe):
    """One fine-tuning run."""

    name: str = Field("smart_mirror", pattern="^[a-z0-9_]+$")
    phrase: str = "smart mirror"
    unfreeze: Unfreeze | Literal["auto"] = "all"
    """How deep the transferred layers learn: head only, the last block, the last half, all; or what
    `wakeword/advice.py` found best for as many voices."""
    head: HeadConfig = HeadConfig()
    cuts: CutConfig = CutConfig()
    batch_size: int = Field(64, ge=2, le=4096)
    hit_frames: int = Field(3, ge=1, le=20)
    """How many encoder frames must fire about the word's end. Three steady the score, even where the device
    compares it unsmoothed: with one the same recipe misses a point more (docs/experiments.md)."""
    runs: int = Field(1, ge=1, le=64)
    """So many fine-tunings, by one seed after the other, whose mean is the model (`wakeword/average.py`)."""
    start_share: float = Field(0.0, ge=0, lt=1)
    """How much of that mean are the weights before any fine-tuning; needs ``init``, and ``head.spot`` unless
    that is a wake-word model already."""
    voices: list[str] | None = None
    """Only these speakers' takes of the word (cross-validation)."""
    tasks: TaskConfig = TaskConfig()
    """What is learnt beside the word, and dropped from the device's model."""
    cached_batches: int = Field(0, ge=0, le=100_000)
    """Above 0: this many batches are drawn once and gone through again and again, as what the frozen layers
    make of them."""
    cache: HomePath | None = None
    """Where they are kept: `cuts` beside the run, unless runs are to share them."""

    @property
    def averaged(self) -> bool:
        """Whether the model is a mean, not what one run has learnt."""
        return self.runs > 1 or self.start_share > 0

    def each_run(self) -> list[TriggerRecipe]:
        """The recipe of each fine-tuning of which the model is the mean; this one where it is none."""
        if not self.averaged:
            return [self]
        seeds = range(self.optimisation.seed, self.optimisation.seed + self.runs)
        return [
            self.model_copy(
                update={
                    "runs": 1,
                    "start_share": 0.0,
                    "out": self.out / f"seed{seed}",
                    "cache": None if self.cache is None else self.cache / f"seed{seed}",
                    "optimisation": self.optimisation.model_copy(update={"seed": seed}),
                }
            )
            for seed in seeds
        ]


class TriggerBrain(ResumableBrain):
    recipe: TriggerRecipe
    model: TriggerModel
    depth: Unfreeze = "all"
    """What learns."""
    frozen: Unfreeze = "all"
    """Where batches hold what the layers below made."""

    def training_mode(self) -> None:
        """Frozen batch norms must not learn."""
        self.model.train_mode(self.depth)
        super().training_mode()

    def targets(self, batch: dict[str, Tensor]) -> float:
        return len(batch["features"])

    def compute_forward(self, batch: dict[str, Tensor], stage: Any) -> tuple[Tensor, Tensor]:
        return self.modules["model"](batch["features"].to(self.device), self.frozen)

    def compute_objectives(
        self, predictions: tuple[Tensor, Tensor], batch: dict[str, Tensor], stage: Any
    ) -> Tensor:
        logits, encoded = predictions
        batch = {key: value.to(self.device) for key, value in batch.items() if key != "features"}
        loss = self._word_loss(logits[:, 0].float(), batch["word_end"], batch["word_start"])
        if "tasks" in self.modules:
            spotter = self.model.spotter
            phones = None if spotter is None else spotter.phones
            loss = loss + self.modules["tasks"](encoded, batch, self._word_loss, phones)
        loss = loss * len(logits) / self.total_targets
        return add_teacher_loss(loss, self.modules, encoded, batch, self.total_frames)

    def _word_loss(self, logits: Tensor, end: Tensor, start: Tensor) -> Tensor:
        low, high = self.recipe.cuts.window_s
        window = (round(low / FRAME_S), round(high / FRAME_S))
        return trigger_loss(logits, end, start, window, self.recipe.hit_frames)


def train(recipe: TriggerRecipe) -> Path:
    """Trains, or goes on with, the recipe's runs; returns the path of ``trigger.safetensors``, their mean.

    Raises RecipeError, CheckpointError, ManifestError, BatchError, TrainingStopped.
    """
    if not recipe.averaged:
        return fine_tune(recipe)
    if recipe.init is None:
        raise RecipeError("runs, start_share: only runs from one pretrained start can be averaged; give init")
    models = [fine_tune(one) for one in recipe.each_run()]
    out = recipe.out / "trigger.safetensors"
    if int(os.environ.get("RANK", "0")) == 0:  # the others may be here before the last run's file is
        average(models, out, recipe.init, recipe.start_share)
    return out


def fine_tune(recipe: TriggerRecipe) -> Path:
    """One run of ``recipe``."""
    with open_run(recipe) as run:
        shape = encoder_shape(recipe)
        model = TriggerModel(shape, recipe.head, [recipe.phrase])
        modules: dict[str, nn.Module] = {"model": model}
        tasks = TaskHeads(recipe.tasks, shape.channels)
        depth, why = depth_of(recipe)
        if recipe.init is not None:
            tensors, theirs = transfer(model, recipe.init)
            keep_phones(tasks, tensors, theirs)
            model.freeze_below(depth)
            for doubt in doubts(theirs, hours_of(recipe)):
                run.say(f"warning: {recipe.init}: {doubt}")
        if model.spotter is not None:
            tasks.phones.requires_grad_(False)  # the spotter's own output learns to spell
        if recipe.tasks.any:
            modules["tasks"] = tasks
        card: dict[str, Any] = {}
        if recipe.teacher is not None:
            teacher = Teacher(recipe.teacher, shape.channels)
            run.bind("teacher_sha256", teacher.sha256)
            modules["teacher"], card["teacher"] = teacher, teacher.card()
        batches, describe, frozen = _batches(recipe, model, depth)
        brain = TriggerBrain(modules, run, recipe.optimisation.total_steps(None))
        brain.recipe, brain.depth, brain.frozen = recipe, depth, frozen
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        origin = "from scratch" if recipe.init is None else f"transferred, unfreeze {depth}{why}"
        run.say(
            f"{recipe.phrase!r}: {describe}; {trained / 1e3:.0f}k parameters learn ({origin}); "
            f"{brain.steps} steps of {recipe.batch_size} cuts of {recipe.cuts.duration_s} s"
        )
        if isinstance(batches, CutBatches):
            batches_heard = brain.steps * run.accumulate * run.processes.world
            heard_s = batches_heard * recipe.batch_size * recipe.cuts.duration_s
            for line in noise_outlook(batches.listening.car.noise, heard_s):
                run.say(line)
        brain.learn(Drawn(batches, run.accumulate))
        sidecar = {
            "kind": "trigger",
            "name": recipe.name,
            "encoder": shape.model_dump(mode="json"),
            "head": recipe.head.finished.model_dump(mode="json"),
            "keywords": [recipe.phrase],
        }
        head = () if recipe.head.finished.layers else ("head.",)
        weights = {key: value for key, value in brain.average.items() if not key.startswith(head)}
        return run.keep("trigger.safetensors", weights, {**sidecar, **card, **brain.facts()})


def depth_of(recipe: TriggerRecipe) -> tuple[Unfreeze, str]:
    """What learns, and why where that is left to the number of voices."""
    if recipe.init is None:
        return "all", ""
    if recipe.unfreeze != "auto":
        return recipe.unfreeze, ""
    rows = select_rows(recipe.manifests, recipe.phrase, "train", recipe.voices)
    depth, why = depth_for(rows.filter(pl.col("_label") == 1)["speaker"].drop_nulls().n_unique())
    return depth, f": {why}"


def hours_of(recipe: TriggerRecipe) -> float:
    """Hours of the recordings with a label for the phrase."""
    rows = select_rows(recipe.manifests, recipe.phrase, "train", recipe.voices)
    return float(rows.filter(pl.col("_label").is_not_null())["duration_s"].sum()) / 3600


def _batches(
    recipe: TriggerRecipe, model: TriggerModel, depth: Unfreeze
) -> tuple[CutBatches | CachedCuts, str, Unfreeze]:
    """The cuts, what is said of them, and below which layers they begin ("all": with log-mels)."""

    def cuts() -> CutBatches:
        return CutBatches(
            recipe.manifests,
            recipe.phrase,
            recipe.cuts,
            build_car(recipe.manifests, recipe.surroundings, "train", [recipe.phrase]),
            recipe.perturbation,
            model.encoder.normalise,
            recipe.batch_size,
            recipe.optimisation.seed,
            voices=recipe.voices,
            tasks=recipe.tasks if recipe.tasks.any else None,
            waveform=recipe.teacher is not None,
        )

    if not recipe.cached_batches:
        drawn = cuts()
        return drawn, drawn.describe(), "all"
    if recipe.teacher is not None:
        raise RecipeError("teacher: it hears each cut anew; leave cached_batches out")
    folder = recipe.cache or recipe.out / "cuts"
    frames = int(recipe.cuts.duration_s * 100 / recipe.perturbation.tempo[0]) // SUBSAMPLING * SUBSAMPLING
    kept = ("phrase", "cuts", "perturbation", "surroundings", "voices", "tasks")
    made_from = {
        **{key: value for key, value in recipe.model_dump(mode="json").items() if key in kept},
        "manifests": [file_sha256(path) for path in recipe.manifests],
        "seed": recipe.optimisation.seed,
    }
    shape = (recipe.batch_size, frames, N_MELS)
    draw(cuts, folder / "log-mels", recipe.cached_batches, shape, made_from)
    told = f"{recipe.cached_batches * recipe.batch_size} cuts drawn once"
    if depth == "all":
        return CachedCuts(folder / "log-mels", recipe.batch_size, recipe.optimisation.seed), told, "all"
    activations(folder / "log-mels", model, depth, recipe.out / depth)
    batches = CachedCuts(recipe.out / depth, recipe.batch_size, recipe.optimisation.seed)
    faster = speed_up(model, folder / "log-mels", batches, depth)
    return batches, f"{told}, {faster:.1f} times as fast from the frozen layers' output", depth


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "train",
        help="fine-tune a pretrained encoder on the wake word, in the car",
        epilog="example: wakeword train wakeword/recipes/smart_mirror.yaml --out runs/smart_mirror",
    )
    add_arguments(parser)
    parser.add_argument(
        "--unfreeze",
        choices=["auto", *get_args(Unfreeze)],
        help="what of the transferred layers learns; auto goes by the number of voices",
    )


def run(args: argparse.Namespace) -> int:
    recipe = override(load_recipe(args.recipe, TriggerRecipe), args)
    if args.unfreeze is not None:
        recipe = recipe.model_copy(update={"unfreeze": args.unfreeze})
    print(train(recipe))
    return 0
