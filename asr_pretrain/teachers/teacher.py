"""A teacher: somebody's larger model, on disk, whose features our encoder learns to predict while it trains.

    teacher:
      kind: torchaudio
      path: ~/.cache/torch/hub/checkpoints/hubert_fairseq_base_ls960.pth
      licence: MIT
      layer: 9

The teacher hears the clean speech while the student hears the car. A linear projection of the encoder's
output is compared with one layer of the teacher, as in DistilHuBERT (Chang et al., ICASSP 2022, eq. 1): the
mean absolute difference minus the logarithm of the sigmoid of the cosine. The projection is thrown away.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from asr_pretrain.teachers import TeacherError, load_frozen
from asr_pretrain.training.recipe import HomePath, Strict

__all__ = ["Teacher", "TeacherConfig", "TeacherError"]


class TeacherConfig(Strict):
    """A recipe's `teacher:`."""

    kind: Literal["torchaudio", "speechbrain", "speech-embedding"]
    path: HomePath
    """The weights (safetensors, or a state_dict saved by torch), or a folder that holds one such file; a JSON
    beside it says what model it is (`docs/corpora.md`), unless torchaudio knows the file."""
    licence: str = Field(min_length=1)
    """Under which the teacher may be used, as its makers write it; it goes into the model's card."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Expected hash of the weights; null records the one found."""
    layer: int | None = Field(None, ge=1)
    """Transformer layer to learn from, counted from 1; null is the last one."""
    weight: float = Field(1.0, gt=0, le=100)
    """Of this loss beside the CTC loss."""
    trust: bool = False
    """Run the Python that a SpeechBrain `hyperparams.yaml` names. Only for a file that you wrote yourself."""

    @field_validator("licence")
    @classmethod
    def _named(cls, licence: str) -> str:
        if not licence.strip():
            raise ValueError("name the licence under which the teacher may be used")
        return licence


class Teacher(nn.Module):
    """The frozen model and the projection onto its features.

    Parameters and state hold the projection alone: the frozen model is no submodule, so that it is neither
    trained nor saved, and stays in evaluation mode whatever the training does.

    Args:
        config: of the recipe.
        channels: width of the encoder's output.

    Raises:
        TeacherError: the weights are missing, have another hash, are pickled objects, or do not fit.
    """

    def __init__(self, config: TeacherConfig, channels: int):
        super().__init__()
        self.config = config
        model, self.sha256 = load_frozen(config)
        self._frozen = (model,)  # inside a tuple, where nn.Module does not look
        self.projection = nn.Linear(channels, model.width)

    @torch.no_grad()
    def features(self, waveform: Tensor) -> Tensor:
        """What is to be predicted: (batch, teacher frames, width), of (batch, samples) in [-1, 1]."""
        (model,) = self._frozen
        return model.to(waveform.device).features(waveform.float()).float()

    def loss(
        self,
        encoder_output: Tensor,
        waveform: Tensor,
        *,
        frame_samples: Tensor | None = None,
        n_frames: Tensor | None = None,
        frames_total: float | None = None,
    ) -> Tensor:
        """The distance to the teacher, times the recipe's weight.

        Args:
            encoder_output: (batch, frames, channels).
            waveform: (batch, samples) in [-1, 1] at 16 kHz, the clean speech.
            frame_samples: (batch,) samples of the waveform under one encoder frame, which a change of tempo
                alters; None: the frames span the waveform.
            n_frames: (batch,) frames that hold speech; the rest is padding. None: all of them.
            frames_total: what to divide by: the frames of all batches of a step, for a loss that does not
                depend on how they are spread over processes. None: this batch's own.
        """
        batch, frames, _ = encoder_output.shape
        if frame_samples is None:
            span = waveform.shape[1] / max(1, frames)
            frame_samples = torch.full((batch,), span, device=waveform.device)
        wanted = aligned(self.features(waveform), waveform.shape[1], frames, frame_samples)
        predicted = self.projection(encoder_output.float())
        wanted = wanted.to(predicted.device)
        cosine = nn.functional.cosine_similarity(predicted, wanted, dim=-1)
        distance = (predicted - wanted).abs().mean(-1) - nn.functional.logsigmoid(cosine)
        if n_frames is not None:
            spoken = torch.arange(frames, device=distance.device) < n_frames.to(distance.device)[:, None]
            distance = distance * spoken
            own = float(n_frames.clamp(max=frames).sum())
        else:
            own = float(batch * frames)
        return self.config.weight * distance.sum() / max(1.0, frames_total or own)

    # Under DistributedDataParallel only what forward does has its gradients averaged.
    forward = loss

    def card(self) -> dict[str, Any]:
        """For the sidecar and the model's card: whose features were learnt, and under which licence."""
        (model,) = self._frozen
        return {
            "kind": self.config.kind,
            "weights": self.config.path.name,
            "sha256": self.sha256,
            "licence": self.config.licence,
            "layer": self.config.layer,
            "weight": self.config.weight,
            "width": model.width,
            "parameters": sum(p.numel() for p in model.parameters()),
            "trusted_code": self.config.trust,
        }


def aligned(features: Tensor, n_samples: int, frames: int, frame_samples: Tensor) -> Tensor:
    """The teacher's features at the middle of each encoder frame, interpolated linearly.

    Args:
        features: (batch, teacher frames, width), evenly spread over the waveform.
        n_samples: of the waveform.
        frames: encoder frames wanted.
        frame_samples: (batch,) samples under one encoder frame.

    Returns:
        (batch, frames, width).
    """
    count = features.shape[1]
    middle = torch.arange(frames, device=features.device) + 0.5
    position = middle * frame_samples.to(features)[:, None] * (count / n_samples) - 0.5
    position = position.clamp(0, count - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=count - 1)
    share = (position - low)[..., None]
    rows = torch.arange(len(features), device=features.device)[:, None]
    return features[rows, low] * (1 - share) + features[rows, high] * share
