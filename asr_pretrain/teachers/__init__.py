"""Frozen teachers, built from explicit sizes by installed code, never by code that comes with weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asr_pretrain import torchaudio_standin
from asr_pretrain.teachers.files import TeacherError, check_hash, find_weights, folder_sha256
from asr_pretrain.teachers.frozen import Frozen
from asr_pretrain.training.checkpoint import file_sha256

if TYPE_CHECKING:
    from asr_pretrain.training.recipe import TeacherConfig

__all__ = ["Frozen", "TeacherError", "load_frozen"]

_HYPERPARAMS = "hyperparams.yaml"


def load_frozen(config: TeacherConfig) -> tuple[Frozen, str]:
    """The teacher and the SHA-256 of its weights (of the whole folder where its code is trusted).

    Raises:
        TeacherError: missing, another hash, pickled objects, unknown or unfitting; a YAML not trusted.
    """
    torchaudio_standin.install()
    hyperparams = config.path / _HYPERPARAMS
    if config.kind == "speechbrain" and hyperparams.is_file():
        from asr_pretrain.teachers.speechbrain import from_hyperparams

        if config.trust:
            digest = check_hash(folder_sha256(config.path), config.sha256, config.path)
            return from_hyperparams(config.path, config.layer).freeze(), digest
        if not any(config.path.glob("*.json")):
            raise TeacherError(
                f"{hyperparams}: builds whatever Python it names, and is not read; describe the model in a "
                "config.json beside its weights, or say `trust: true` if you wrote the file yourself"
            )
    if config.kind == "speech-embedding":
        from asr_pretrain.teachers import speech_embedding

        weights = config.path / speech_embedding.EMBEDDING if config.path.is_dir() else config.path
        model = speech_embedding.build(config.path)
        return model.freeze(), check_hash(file_sha256(weights), config.sha256, weights)
    weights = find_weights(config.path)
    digest = check_hash(file_sha256(weights), config.sha256, weights)
    if config.kind == "torchaudio":
        from asr_pretrain.teachers.torchaudio import build
    else:
        from asr_pretrain.teachers.speechbrain import build
    return build(weights, config.layer).freeze(), digest
