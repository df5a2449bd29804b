"""CTC pretraining of the encoder on phonemes.

asr-pretrain train general.yaml
torchrun --standalone --nproc_per_node=2 -m asr_pretrain.cli train general.yaml
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from asr_pretrain.encoder import Encoder, EncoderConfig
from asr_pretrain.loading.batches import SpeechBatches, build_car, measure_loader, transcribed
from asr_pretrain.phonemes import PHONES
from asr_pretrain.targets import MAX_SUBWORDS, Kind, Targets
from asr_pretrain.teachers.teacher import Teacher, add_teacher_loss
from asr_pretrain.training.brain import ResumableBrain
from asr_pretrain.training.checkpoint import CheckpointError, load_checkpoint
from asr_pretrain.training.overrides import add_arguments, override
from asr_pretrain.training.recipe import TrainingRecipe, load_recipe
from asr_pretrain.training.run import open_run
from asr_pretrain.training.warm_start import encoder_shape, load_encoder
from mirror_device.logmel import frontend_constants


class PretrainRecipe(TrainingRecipe):
    """One pretraining run; ``train`` rows with a text are learnt from."""

    batch_seconds: float = Field(200.0, gt=1)
    max_utterance_s: float = Field(10.0, gt=0.5, le=60)
    source_weights: dict[str, float] = {}
    """Times a source is seen per epoch, 1 where not named: real recordings weigh more than synthetic."""
    targets: Kind = "phones"
    """What is spelled."""
    subwords: int = Field(200, ge=40, le=MAX_SUBWORDS)
    """How many, where they are the targets."""
    intermediate_weight: float = Field(0.0, ge=0, lt=1)
    """Share of the loss borne by the middle block through the same output layer (Lee & Watanabe, 2021)."""
    silent_share: float = Field(0.0, ge=0, lt=1)
    """Utterances left unspoken, nothing but the car, to be spelled as nothing: a recogniser that has always
    heard somebody speak hears phones in an empty car. 0 where every utterance is to be heard."""
    shards: int | None = Field(None, ge=0)
    """Only the first shards of each manifest, for learning curves; loose files all stay."""
    chapter_shards: int = Field(25, ge=1, le=10000)
    """Shards whose rows are shuffled and sorted by length together, and read while they are."""


# A bias before a batch norm is subtracted again. Its gradient is rounding noise, which Adam would blow up to
# whole steps, so that two processes would drift from one.
IDLE_BIASES = ("conv.bias", "pointwise.bias")


class Recogniser(nn.Module):
    """Encoder and CTC output layer: log-mels in, log-probabilities (batch, frames / 4, units + 1) out."""

    def __init__(self, config: EncoderConfig, units: int = len(PHONES)):
        super().__init__()
        self.encoder = Encoder(config)
        self.output = nn.Linear(config.channels, units + 1)
        for name, parameter in self.encoder.named_parameters():
            if name.endswith(IDLE_BIASES):
                parameter.requires_grad_(False)

    def forward(self, normalised: Tensor, intermediate: bool = False) -> tuple[Tensor, list[Tensor]]:
        """From normalised log-mels, as the batches hold them.

        Returns:
            The encoder's output, and the log-probabilities from it; with ``intermediate`` also those from the
            block in the middle.
        """
        layers = self.encoder.layers(normalised)
        read = [layers[-1], layers[len(layers) // 2]] if intermediate else layers[-1:]
        return layers[-1], [self.output(layer).log_softmax(-1) for layer in read]

    def recognise(self, log_mel: Tensor) -> Tensor:
        return self.forward(self.encoder.normalise(log_mel))[1][0]


def ctc_loss(log_probabilities: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Summed over the batch, in nats (Graves et al., 2006)."""
    device = log_probabilities.device
    return nn.functional.ctc_loss(
        log_probabilities.float().transpose(0, 1),
        batch["targets"].to(device),
        batch["n_frames"].to(device),
        batch["target_lengths"].to(device),
        reduction="sum",
        zero_infinity=True,
    )


class CtcBrain(ResumableBrain):
    """CTC, and a teacher's features where ``modules["teacher"]`` is one."""

    intermediate_weight = 0.0

    def targets(self, batch: dict[str, Tensor]) -> float:
        return float(batch["target_lengths"].sum())

    def compute_forward(self, batch: dict[str, Tensor], stage: Any) -> tuple[Tensor, list[Tensor]]:
        features = batch["features"].to(self.device, non_blocking=True)
        return self.modules["model"](features, self.intermediate_weight > 0)

    def compute_objectives(
        self, predictions: tuple[Tensor, list[Tensor]], batch: dict[str, Tensor], stage: Any
    ) -> Tensor:
        """CTC in nats per unit, and the teacher's loss per frame."""
        encoded, heads = predictions
        weights = [1 - self.intermediate_weight, self.intermediate_weight][: len(heads)]
        losses = [weight * ctc_loss(head, batch) for weight, head in zip(weights, heads, strict=True)]
        loss = torch.stack(losses).sum() / self.total_targets
        return add_teacher_loss(loss, self.modules, encoded, batch, self.total_frames)


def build(recipe: PretrainRecipe, world: int, accumulate: int) -> tuple[Recogniser, SpeechBatches]:
    """The model at its start and the batches it learns from, ``world`` × ``accumulate`` of them a step.

    Raises RecipeError, CheckpointError, ManifestError.
    """
    data = transcribed(
        recipe.manifests,
        "train",
        recipe.max_utterance_s,
        recipe.source_weights,
        recipe.targets,
        recipe.subwords,
        recipe.shards,
    )
    model = Recogniser(encoder_shape(recipe), len(data.targets.units))
    if recipe.init is not None:
        tensors, sidecar = load_encoder(model.encoder, recipe.init)
        if sidecar["kind"] == "recogniser" and Targets.of(sidecar).units == data.targets.units:
            model.load_state_dict(tensors)
    batches = SpeechBatches(
        data,
        build_car(recipe.manifests, recipe.surroundings, "train"),
        recipe.perturbation,
        model.encoder.normalise,
        recipe.batch_seconds,
        world,
        recipe.optimisation.seed,
        accumulate=accumulate,
        chapter_shards=recipe.chapter_shards,
        silent_share=recipe.silent_share,
        waveform=recipe.teacher is not None,
    )
    return model, batches


def train(recipe: PretrainRecipe) -> Path:
    """Trains, or goes on with, the recipe's run; returns the path of ``encoder.safetensors``.

    Raises RecipeError, CheckpointError, TeacherError, ManifestError, BatchError, TrainingStopped.
    """
    with open_run(recipe) as run:
        model, batches = build(recipe, run.processes.world, run.accumulate)
        shape, utterances = model.encoder.config, len(batches.data.spoken)
        hours = round(batches.data.hours, 3)
        modules: dict[str, nn.Module] = {"model": model}
        sidecar = {
            "kind": "recogniser",
            "encoder": shape.model_dump(mode="json"),
            **batches.data.targets.card(),
            "front_end": frontend_constants(),
            "utterances": utterances,
            "hours": hours,
        }
        if recipe.teacher is not None:
            teacher = Teacher(recipe.teacher, shape.channels)
            run.bind("teacher_sha256", teacher.sha256)
            modules["teacher"], sidecar["teacher"] = teacher, teacher.card()
        brain = CtcBrain(modules, run, recipe.optimisation.total_steps(batches.steps_in))
        brain.intermediate_weight = recipe.intermediate_weight
        parameters = sum(p.numel() for p in model.parameters())
        run.say(
            f"{utterances} utterances, {hours:.1f} h; {parameters / 1e3:.0f}k parameters, "
            f"{shape.macs_per_second() / 1e6:.1f} M multiply-accumulates/s; {brain.steps} steps of "
            f"{run.accumulate} × {recipe.batch_seconds:.0f} s on {run.processes.world} process(es)"
        )
        brain.learn(batches)
        return run.keep("encoder.safetensors", brain.average, {**sidecar, **brain.facts()})


KEPT_ENCODER = Path(__file__).resolve().parent / "models" / "encoder.safetensors"
"""The recogniser that the shipped wake word was built on."""


def load_recogniser(path: Path) -> tuple[Recogniser, dict[str, Any]]:
    """A trained recogniser in evaluation mode, and its sidecar. Raises CheckpointError."""
    tensors, sidecar = load_checkpoint(path)
    if sidecar.get("kind") != "recogniser":
        raise CheckpointError(f"{path}: holds a {sidecar.get('kind', 'training state')!r}, not a recogniser")
    units = len(Targets.of(sidecar).units)
    model = Recogniser(EncoderConfig.model_validate(sidecar["encoder"]), units)
    model.load_state_dict(tensors)
    return model.eval(), sidecar


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "train",
        help="pretrain the encoder by CTC on phonemes",
        epilog="example: asr-pretrain train asr_pretrain/recipes/general.yaml --out runs/general",
    )
    add_arguments(parser)
    parser.add_argument(
        "--bench-loader", type=float, metavar="SECONDS", help="only measure how fast batches are made"
    )


def run(args: argparse.Namespace) -> int:
    recipe = override(load_recipe(args.recipe, PretrainRecipe), args)
    if args.bench_loader is None:
        print(train(recipe))
        return 0
    batches = build(recipe, 1, recipe.optimisation.accumulate)[1]
    print(json.dumps(measure_loader(batches, args.bench_loader)))
    return 0
