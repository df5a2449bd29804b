"""`init:`, starting from an encoder of our own: a recogniser's or a wake-word model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from asr_pretrain.encoder import Encoder, EncoderConfig
from asr_pretrain.training.checkpoint import CheckpointError, load_checkpoint
from asr_pretrain.training.recipe import TrainingRecipe


def encoder_shape(recipe: TrainingRecipe) -> EncoderConfig:
    """The recipe's, else that of its ``init``, else the default. Raises CheckpointError."""
    if recipe.encoder is not None or recipe.init is None:
        return recipe.encoder or EncoderConfig()
    return EncoderConfig.model_validate(_finished(recipe.init)[1]["encoder"])


def load_encoder(encoder: Encoder, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Copies the weights of a finished model's encoder; returns all its tensors and its sidecar.

    Raises CheckpointError when the shapes do not fit, naming both.
    """
    tensors, sidecar = _finished(path)
    theirs = EncoderConfig.model_validate(sidecar["encoder"])
    if theirs != encoder.config:
        raise CheckpointError(
            f"{path}: its encoder is {theirs}, the recipe asks for {encoder.config}; "
            "leave `encoder` out of the recipe to take the pretrained one"
        )
    prefix = "encoder."
    encoder.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    return tensors, sidecar


def _finished(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, sidecar = load_checkpoint(path)
    if sidecar.get("kind") not in ("recogniser", "trigger"):
        raise CheckpointError(f"{path}: not a finished encoder; give a run's encoder.safetensors")
    return tensors, sidecar
