"""What every teacher is, and how a model is built from a description without running anything in it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr_pretrain.teachers.files import TeacherError

Plain = bool | int | float | str | None | list[Any]
"""What a description may give as an argument."""

_ACTIVATIONS = ("ReLU", "LeakyReLU", "GELU", "SiLU")


class Frozen(nn.Module):
    """A model in evaluation mode without gradients; subclasses give `features`."""

    width: int

    def features(self, waveform: Tensor) -> Tensor:
        """(batch, samples) at 16 kHz to (batch, frames, width)."""
        raise NotImplementedError

    def freeze(self) -> Frozen:
        self.eval().requires_grad_(False)
        with torch.no_grad():
            self.width = int(self.features(torch.zeros(1, 16_000)).shape[-1])
        return self


class Wav2Vec2(Frozen):
    """A wav2vec 2.0, HuBERT or WavLM of torchaudio, up to one of its layers."""

    def __init__(self, model: Any, layer: int | None, normalize_waveform: bool, path: Path):
        super().__init__()
        layers = len(model.encoder.transformer.layers)
        if layer is not None and layer > layers:
            raise TeacherError(f"{path}: layer {layer} of a model of {layers}; name a lower one")
        self.model: Any = model
        self.layer, self.normalize_waveform = layer, normalize_waveform

    def features(self, waveform: Tensor) -> Tensor:
        if self.normalize_waveform:
            waveform = nn.functional.layer_norm(waveform, waveform.shape[1:])
        return self.model.extract_features(waveform, num_layers=self.layer)[0][-1]


def make(factory: Any, arguments: dict[str, Any], weights: Path) -> Any:
    """Call a factory with plain arguments; names of activations become their classes.

    Raises:
        TeacherError: an argument that it does not have, or sizes that it refuses.
    """
    known = inspect.signature(factory).parameters
    unknown = [name for name in arguments if name not in known]
    if unknown:
        raise TeacherError(
            f"{weights}: {factory.__name__} has no argument {unknown[0]!r}; it has {', '.join(known)}"
        )
    for name, value in arguments.items():
        if name.endswith("activation") and isinstance(value, str):
            if value not in _ACTIVATIONS:
                raise TeacherError(f"{weights}: {name} {value!r}: one of {', '.join(_ACTIVATIONS)}")
            arguments = {**arguments, name: getattr(nn, value)}
    try:
        return factory(**arguments)
    except (TypeError, ValueError, AssertionError, IndexError, RuntimeError) as error:
        raise TeacherError(
            f"{weights}: {factory.__name__} refuses the sizes that are beside it: {error}"
        ) from error
