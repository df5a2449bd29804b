"""Teachers of torchaudio.

The weights of its pretrained bundles are recognised by their file names, as they lie in its download cache.
Any other file has a JSON beside it, `NAME.json` or `config.json`:

    {"model": "hubert_base", "arguments": {}, "normalize_waveform": false}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torchaudio

from asr_pretrain.teachers.files import TeacherError, description, fit, load_tensors
from asr_pretrain.teachers.frozen import Frozen, Plain, Wav2Vec2, make
from asr_pretrain.training.recipe import Strict

_FACTORIES = ("wav2vec2_", "hubert_", "wavlm_")


class TorchaudioShape(Strict):
    """The JSON beside weights of torchaudio."""

    model: str
    """A factory of `torchaudio.models`: `wav2vec2_model`, `hubert_base`, `wavlm_large`, …"""
    arguments: dict[str, Plain] = {}
    normalize_waveform: bool = False
    """As the large models want it."""


def build(weights: Path, layer: int | None) -> Frozen:
    """The model of a file of weights. Raises TeacherError."""
    shape = description(weights, TorchaudioShape)
    if shape is not None:
        model, arguments, normalize = shape.model, dict(shape.arguments), shape.normalize_waveform
    else:
        bundle = _bundle(weights.name)
        if bundle is None:
            raise TeacherError(
                f"{weights}: no bundle of torchaudio has this file name, and no {weights.stem}.json nor "
                'config.json says what it is; write {"model": "hubert_base"} or its like into one'
            )
        model = "wavlm_model" if bundle._model_type == "WavLM" else "wav2vec2_model"
        arguments, normalize = dict(bundle._params), bundle._normalize_waveform
    factory = getattr(torchaudio.models, model, None) if model.startswith(_FACTORIES) else None
    if factory is None:
        raise TeacherError(
            f"{weights}: no model {model!r} in torchaudio.models; such as wav2vec2_base, wavlm_large"
        )
    arguments["aux_num_out"] = None  # the letters that it was fine-tuned on are not learnt from
    built = make(factory, arguments, weights)
    fit(built, load_tensors(weights), weights, ignored=("aux.",))
    return Wav2Vec2(built, layer, normalize, weights)


def _bundle(name: str) -> Any:
    """torchaudio's bundle whose weights have this file name, which is the last part of their address."""
    for bundle in vars(torchaudio.pipelines).values():
        path = getattr(bundle, "_path", None)
        if isinstance(path, str) and hasattr(bundle, "_model_type") and path.rpartition("/")[2] == name:
            return bundle
    return None
