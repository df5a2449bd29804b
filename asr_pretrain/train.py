"""CTC pretraining of the encoder on phonemes.

asr-pretrain train general.yaml
torchrun --standalone --nproc_per_node=2 -m asr_pretrain.cli train general.yaml
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from asr_pretrain.brain import ResumableBrain, identity
from asr_pretrain.checkpoint import file_sha256, git_revision, load_checkpoint, save_checkpoint
from asr_pretrain.data import SpeechBatches, build_car, transcribed
from asr_pretrain.encoder import Encoder, EncoderConfig
from asr_pretrain.phonemes import PHONES
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


class PretrainRecipe(Strict):
    """One pretraining run."""

    manifests: list[HomePath] = Field(min_length=1)
    """Planned manifests; ``train`` rows with a text are learnt from, its noise rows are the car."""
    out: HomePath
    encoder: EncoderConfig = EncoderConfig()
    optimisation: Optimisation = Optimisation()
    perturbation: Perturbation = Perturbation()
    surroundings: Surroundings = Surroundings()
    batch_seconds: float = Field(200.0, gt=1)
    max_utterance_s: float = Field(10.0, gt=0.5, le=60)
    source_weights: dict[str, float] = {}
    """Times a source is seen per epoch, 1 where not named: real recordings weigh more than synthetic."""


class Recogniser(nn.Module):
    """Encoder and CTC output layer: log-mels in, log-probabilities (batch, frames / 4, 40) out."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.encoder = Encoder(config)
        self.output = nn.Linear(config.channels, len(PHONES) + 1)

    def forward(self, normalised: Tensor) -> Tensor:
        """From normalised log-mels, as the batches hold them."""
        return self.output(self.encoder.encode(normalised)).log_softmax(-1)

    def recognise(self, log_mel: Tensor) -> Tensor:
        return self.forward(self.encoder.normalise(log_mel))


class CtcBrain(ResumableBrain):
    def compute_forward(self, batch: dict[str, Tensor], stage: Any) -> Tensor:
        return self.modules["model"](batch["features"].to(self.device))

    def compute_objectives(self, predictions: Tensor, batch: dict[str, Tensor], stage: Any) -> Tensor:
        """CTC loss in nats per phone (Graves et al., 2006)."""
        loss = nn.functional.ctc_loss(
            predictions.float().transpose(0, 1),
            batch["targets"].to(self.device),
            batch["n_frames"].to(self.device),
            batch["target_lengths"].to(self.device),
            reduction="sum",
            zero_infinity=True,
        )
        return loss / batch["target_lengths"].sum()


def train(recipe: PretrainRecipe) -> Path:
    """Trains, or goes on with, the recipe's run; returns the path of ``encoder.safetensors``.

    Raises RecipeError, ManifestError, TrainingStopped.
    """
    import speechbrain as sb

    if "RANK" in os.environ:
        backend = "gloo" if recipe.optimisation.device == "cpu" else "nccl"
        sb.utils.distributed.ddp_init_group({"distributed_backend": backend})
    world = int(os.environ.get("WORLD_SIZE", 1))
    for path in recipe.manifests:
        if not path.exists():
            raise RecipeError(
                f"{path}: no such manifest; run `data-splits plan` first, or correct `manifests`"
            )
    seed = recipe.optimisation.seed
    torch.manual_seed(seed)
    model = Recogniser(recipe.encoder)
    data = transcribed(recipe.manifests, "train", recipe.max_utterance_s, recipe.source_weights)
    car = build_car(recipe.manifests, recipe.surroundings, "train")
    batches = SpeechBatches(
        data,
        car,
        recipe.perturbation,
        model.encoder.normalise,
        recipe.batch_seconds,
        recipe.optimisation.steps,
        world,
        seed,
    )
    hours = data.waveforms.ends[-1] / 16000 / 3600
    parameters = sum(p.numel() for p in model.parameters())
    manifest_hashes = [file_sha256(path) for path in recipe.manifests]
    config = recipe.model_dump(mode="json", exclude={"out", "manifests"})
    run_hash = recipe_hash(
        recipe.model_copy(update={"manifests": [Path(h) for h in manifest_hashes], "out": Path()})
    )
    brain = CtcBrain(model, recipe.optimisation, recipe.out, identity(run_hash, manifest_hashes, config))
    if brain.is_main:
        print(
            f"{len(data.phones)} utterances, {hours:.1f} h; {parameters / 1e3:.0f}k parameters, "
            f"{recipe.encoder.macs_per_second() / 1e6:.1f} M multiply-accumulates/s; "
            f"{recipe.optimisation.steps} steps of {recipe.batch_seconds:.0f} s on {world} process(es)",
            flush=True,
        )
    brain.run(batches)
    path = recipe.out / "encoder.safetensors"
    if brain.is_main:
        sidecar = {
            "kind": "recogniser",
            "encoder": recipe.encoder.model_dump(mode="json"),
            "phones": list(PHONES),
            "utterances": len(data.phones),
            "hours": round(float(hours), 3),
            "manifest_sha256": manifest_hashes,
            "recipe": config,
            "git_revision": git_revision(),
            "trained_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "final_loss": brain.history[-1]["loss"],
        }
        save_checkpoint(path, brain.averaged(), sidecar)
    return path


KEPT_ENCODER = Path(__file__).resolve().parent / "models" / "encoder.safetensors"
"""The recogniser that the shipped wake word was built on."""


def load_recogniser(path: Path) -> tuple[Recogniser, dict[str, Any]]:
    """A trained recogniser in evaluation mode, and its sidecar. Raises CheckpointError."""
    from asr_pretrain.checkpoint import CheckpointError

    tensors, sidecar = load_checkpoint(path)
    if sidecar.get("kind") != "recogniser":
        raise CheckpointError(f"{path}: holds a {sidecar.get('kind', 'training state')!r}, not a recogniser")
    model = Recogniser(EncoderConfig.model_validate(sidecar["encoder"]))
    model.load_state_dict(tensors)
    return model.eval(), sidecar


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "train",
        help="pretrain the encoder by CTC on phonemes",
        epilog="example: asr-pretrain train asr_pretrain/recipes/general.yaml --out runs/general",
    )
    parser.add_argument("recipe", type=Path, help="YAML recipe")
    parser.add_argument("--manifest", type=Path, action="append", help="planned manifest (repeatable)")
    parser.add_argument("--out", type=Path, help="folder of the run; a run found there is resumed")
    parser.add_argument("--steps", type=int, help="number of steps")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 …")


def run(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe, PretrainRecipe)
    if args.manifest:
        recipe.manifests = args.manifest
    if args.out:
        recipe.out = args.out
    if args.steps:
        recipe.optimisation.steps = args.steps
    if args.device:
        recipe.optimisation.device = args.device
    print(train(recipe))
    return 0
