"""Teachers of SpeechBrain.

A JSON beside the weights, `NAME.json` or `config.json`, names one of the builders here and its sizes; the
statistics of a `global` normalisation are in `normalizer.ckpt` beside them, as SpeechBrain saves them:

    {"model": "transformer", "n_mels": 80, "normalize": "global", "front_end": {…}, "arguments": {…}}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from asr_pretrain.teachers.files import TeacherError, description, fit, load_plain, load_tensors
from asr_pretrain.teachers.frozen import Frozen, Plain, Wav2Vec2, make
from asr_pretrain.training.recipe import Strict


class SpeechbrainShape(Strict):
    """The JSON beside weights of SpeechBrain."""

    model: Literal["wav2vec2", "transformer", "crdnn"]
    """`wav2vec2`: its wrapper of wav2vec 2.0 or HuBERT, sized by torchaudio's arguments; `transformer`: a
    convolutional front end and the encoder of TransformerASR, conformers among them; `crdnn`: CRDNN."""
    arguments: dict[str, Plain]
    front_end: dict[str, Plain] = {}
    prefixes: tuple[str, str] | None = None
    """What the names of front end and encoder begin with in the weights; null: as the recipes save them."""
    n_mels: int = 80
    n_fft: int = 400
    normalize: Literal["none", "sentence", "global"] = "global"
    normalize_waveform: bool = False


class FilterbankEncoder(Frozen):
    """A SpeechBrain encoder on SpeechBrain's own filterbank features."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: SpeechbrainShape, front_end: nn.Module | None, encoder: Any):
        super().__init__()
        from speechbrain.lobes.features import Fbank

        self.filterbank = Fbank(n_mels=shape.n_mels, n_fft=shape.n_fft)
        self.normalize = shape.normalize
        self.front_end = front_end
        self.encoder: Any = encoder
        self.register_buffer("mean", torch.zeros(shape.n_mels))
        self.register_buffer("std", torch.ones(shape.n_mels))

    def features(self, waveform: Tensor) -> Tensor:
        mels = self.filterbank(waveform)
        if self.normalize == "sentence":
            mels = (mels - mels.mean(1, keepdim=True)) / mels.std(1, keepdim=True).clamp_min(1e-10)
        else:
            mels = (mels - self.mean) / self.std
        if self.front_end is None:
            return self.encoder(mels)
        return self.encoder.encode(self.front_end(mels))


class Interface(Frozen):
    """A `WaveformEncoder` of SpeechBrain, built by the Python that its own YAML names."""

    def __init__(self, encoder: Any):
        super().__init__()
        self.encoder = encoder

    def features(self, waveform: Tensor) -> Tensor:
        self.encoder.device = waveform.device
        found = self.encoder.encode_batch(waveform, torch.ones(len(waveform), device=waveform.device))
        found = found["embeddings"] if isinstance(found, dict) else found
        return found[0] if isinstance(found, tuple) else found


def build(weights: Path, layer: int | None) -> Frozen:
    """The model of a file of weights. Raises TeacherError."""
    shape = description(weights, SpeechbrainShape)
    if shape is None:
        raise TeacherError(
            f"{weights}: neither {weights.stem}.json nor config.json beside it says what model it is; "
            "see docs/corpora.md for its keys"
        )
    tensors = load_tensors(weights)
    if shape.model == "wav2vec2":
        return _wav2vec2(shape, tensors, weights, layer)
    if layer is not None:
        raise TeacherError(f"{weights}: layer {layer}: only the last one of a {shape.model}; leave layer out")
    from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
    from speechbrain.lobes.models.CRDNN import CRDNN
    from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR

    input_shape = [8, 10, shape.n_mels]
    front_end: nn.Module | None = None
    if shape.model == "crdnn":
        _, second = shape.prefixes or ("", "")
        encoder = make(CRDNN, {"input_shape": input_shape, **shape.arguments}, weights)
    else:
        # LibriSpeech recipes save ModuleList [front end, transformer, …].
        first, second = shape.prefixes or ("0.", "1.")
        front_end = make(ConvolutionFrontEnd, {"input_shape": input_shape, **shape.front_end}, weights)
        fit(front_end, _below(tensors, first), weights)
        sizes = {"tgt_vocab": 1, "num_decoder_layers": 0, **shape.arguments}
        encoder = make(TransformerASR, sizes, weights)
    fit(encoder, _below(tensors, second), weights, ignored=("decoder.", "custom_tgt_module."))
    built = FilterbankEncoder(shape, front_end, encoder)
    if shape.normalize == "global":
        _statistics(built, weights.parent / "normalizer.ckpt")
    return built


def _wav2vec2(
    shape: SpeechbrainShape, tensors: dict[str, Tensor], weights: Path, layer: int | None
) -> Frozen:
    """SpeechBrain wraps the model of transformers, whose layers are torchaudio's under other names."""
    from torchaudio.models import wav2vec2_model

    renamed = {}
    for name, value in tensors.items():
        inner = name.removeprefix("model.").removeprefix("wav2vec2.")
        if inner.startswith("feature_projection."):
            inner = f"encoder.{inner}"
        elif inner.startswith("encoder."):
            inner = f"encoder.transformer.{inner.removeprefix('encoder.')}"
        renamed[inner] = value
    built = make(wav2vec2_model, {**shape.arguments, "aux_num_out": None}, weights)
    fit(built, renamed, weights, ignored=("masked_spec_embed", "lm_head.", "quantizer.", "project_"))
    return Wav2Vec2(built, layer, shape.normalize_waveform, weights)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _statistics(built: FilterbankEncoder, path: Path) -> None:
    """Mean and deviation of SpeechBrain's `InputNormalization`."""
    if not path.is_file():
        raise TeacherError(
            f'{path}: no such file; copy it beside the weights, or set "normalize" to "sentence"'
        )
    state = load_plain(path)
    for ours, theirs in (("mean", "glob_mean"), ("std", "glob_std")):
        value = state.get(theirs) if isinstance(state, dict) else None
        if not isinstance(value, Tensor) or value.shape != built.mean.shape:
            raise TeacherError(f"{path}: no {theirs} of {len(built.mean)} bands; copy the teacher's own file")
        getattr(built, ours).copy_(value)


def from_hyperparams(folder: Path, layer: int | None) -> Frozen:
    """What a `hyperparams.yaml` builds, which may be anything: only for files that are trusted."""
    if layer is not None:
        raise TeacherError(f"{folder}: layer {layer}: what its YAML builds has one output; leave layer out")
    from speechbrain.inference.encoders import WaveformEncoder
    from speechbrain.utils.fetching import FetchConfig

    encoder = WaveformEncoder.from_hparams(
        source=str(folder), savedir=str(folder), fetch_config=FetchConfig(allow_network=False)
    )
    if encoder is None:
        raise TeacherError(f"{folder}: its hyperparams.yaml builds no encoder; it needs `modules: encoder:`")
    return Interface(encoder)
