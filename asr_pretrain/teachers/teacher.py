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

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from asr_pretrain.encoder import SUBSAMPLING
from asr_pretrain.teachers import TeacherError, load_frozen
from asr_pretrain.training.recipe import TeacherConfig

__all__ = ["Teacher", "TeacherConfig", "TeacherError", "add_teacher_loss"]


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


def add_teacher_loss(
    loss: Tensor, modules: Mapping[str, Any], encoded: Tensor, batch: dict[str, Tensor], frames_total: float
) -> Tensor:
    """``loss``, and the teacher's where ``modules["teacher"]`` is one.

    Args:
        batch: with ``waveform`` (batch, samples), clean; ``hop`` (batch,), its samples under a log-mel;
            ``n_frames`` (batch,), encoder frames that count.
        frames_total: encoder frames of the whole step.
    """
    if "teacher" not in modules:
        return loss
    device = encoded.device
    return loss + modules["teacher"](
        encoded,
        batch["waveform"].to(device),
        frame_samples=batch["hop"].to(device) * SUBSAMPLING,
        n_frames=batch["n_frames"].to(device),
        frames_total=frames_total,
    )


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
