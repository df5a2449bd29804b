"""The wake-word model: a pretrained encoder, its output layer dropped, new layers on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from asr_pretrain.encoder import Encoder, EncoderConfig
from asr_pretrain.layers import pointwise
from asr_pretrain.phonemes import PHONES
from asr_pretrain.targets import Targets
from asr_pretrain.training.checkpoint import CheckpointError, load_checkpoint
from asr_pretrain.training.recipe import Strict
from asr_pretrain.training.warm_start import load_encoder
from wakeword.spotter import Spotter

Unfreeze = Literal["head", "last", "half", "all"]


class HeadConfig(Strict):
    """New layers between the encoder and one sigmoid per wake word."""

    hidden: int = Field(64, ge=4, le=512)
    layers: int = Field(1, ge=0, le=4)
    """Hidden layers, 1×1 convolutions: the encoder already sees the whole word. 0 with ``spot``: none."""
    spot: bool = False
    """Beside them, follow the phrase's phones through the recogniser's output layer, which stays: the model
    begins as a detector that needed no take of the word (`wakeword/spotter.py`)."""
    drop: bool = False
    """With ``spot``, leave the hidden layers out of the finished model. In training they take upon themselves
    what is peculiar to a few voices, as the biased one of two experts does (Clark et al., EMNLP 2019);
    without them the phones learn it (docs/experiments.md)."""
    smoothing_steps: int = Field(2, ge=1, le=10)
    """Steps of 80 ms whose mean the device compares with the threshold; each costs as much latency."""

    @model_validator(mode="after")
    def _hears_something(self) -> Self:
        if not self.layers and not self.spot:
            raise ValueError("layers: 0 leaves nothing that hears the word; set spot, or layers to 1")
        if self.drop and not (self.layers and self.spot):
            raise ValueError(
                "drop: there must be hidden layers to drop, and spot to hear the word without them"
            )
        return self

    @property
    def finished(self) -> HeadConfig:
        """What the finished model has of it."""
        return self.model_copy(update={"layers": 0, "drop": False}) if self.drop else self


class TriggerModel(nn.Module):
    """An encoder and a head: one logit for each wake word and encoder frame."""

    def __init__(self, encoder: EncoderConfig, head: HeadConfig, keywords: list[str]):
        super().__init__()
        self.keywords, self.head_config = keywords, head
        self.encoder = Encoder(encoder)
        layers: list[nn.Module] = []
        width = encoder.channels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # whatever the run's seed: only runs from one start can be averaged
            for _ in range(head.layers):
                layers += [nn.Conv1d(width, head.hidden, 1), nn.ReLU()]
                width = head.hidden
            logits = nn.Conv1d(width, len(keywords), 1)
        self.spotter = Spotter(encoder.channels, keywords) if head.spot else None
        if self.spotter is not None:
            nn.init.zeros_(logits.weight)  # what the phones say is where it begins
        if logits.bias is not None:
            nn.init.constant_(logits.bias, 0.0 if head.spot else -3.0)  # the word is rare
        self.head = nn.Sequential(*layers, logits) if layers else nn.Sequential()

    def forward(self, features: Tensor, frozen: Unfreeze = "all") -> tuple[Tensor, Tensor]:
        """From normalised log-mels, as the batches hold them; or from what `frozen_part` made of them.

        Returns:
            Logits (batch, keywords, frames // 4), and the encoder's output (batch, frames // 4, channels).
        """
        if frozen == "all":
            encoded = self.encoder.encode(features)
        else:
            encoded, blocks = features, list(self.encoder.blocks)
            for block in blocks[len(blocks) - self.depth(frozen) :]:
                encoded = block(encoded)
        found = encoded
        for layer in self.head:  # channels innermost: a transposed gradient slows every block below
            found = pointwise(layer, found) if isinstance(layer, nn.Conv1d) else layer(found)
        spotted = None if self.spotter is None else self.spotter(encoded)
        if spotted is not None and not len(self.head):
            return spotted, encoded
        logits = found.transpose(1, 2)
        return (logits if spotted is None else logits + spotted), encoded

    def logits(self, log_mel: Tensor) -> Tensor:
        """(batch, keywords, frames // 4) from log-mels as the front end gives them."""
        return self.forward(self.encoder.normalise(log_mel))[0]

    def frozen_part(self, normalised: Tensor, unfreeze: Unfreeze) -> Tensor:
        """What the layers that do not learn make of normalised log-mels: (batch, frames // 4, channels)."""
        return self.encoder.layers(normalised)[-1 - self.depth(unfreeze)]

    def depth(self, unfreeze: Unfreeze) -> int:
        """Blocks that learn."""
        n_blocks = len(self.encoder.blocks)
        return {"head": 0, "last": 1, "half": n_blocks // 2, "all": n_blocks}[unfreeze]

    def trained_parts(self, unfreeze: Unfreeze) -> list[nn.Module]:
        """Modules that learn at this depth; the others keep the recogniser's weights and statistics."""
        blocks = list(self.encoder.blocks)
        ends = [self.head] if self.spotter is None else [self.head, self.spotter]
        parts = [*ends, *blocks[len(blocks) - self.depth(unfreeze) :]]
        return [*parts, self.encoder.stem, self.encoder.stem_norm] if unfreeze == "all" else parts

    def freeze_below(self, unfreeze: Unfreeze) -> None:
        self.requires_grad_(False)
        for part in self.trained_parts(unfreeze):
            part.requires_grad_(True)

    def train_mode(self, unfreeze: Unfreeze) -> None:
        """Training mode for what learns; frozen batch norms keep the recogniser's statistics."""
        self.eval()
        for part in self.trained_parts(unfreeze):
            part.train()


def transfer(model: TriggerModel, recogniser: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Copies the encoder of a pretrained recogniser, without its output layer; returns all that it holds.

    Raises CheckpointError when the shapes do not fit, naming both.
    """
    tensors, sidecar = load_encoder(model.encoder, recogniser)
    if model.spotter is not None and sidecar["kind"] == "recogniser":
        if Targets.of(sidecar).units != PHONES:
            raise CheckpointError(f"{recogniser}: spells {Targets.of(sidecar).kind}; head.spot needs phones")
        weights = {key: tensors[f"output.{key}"] for key in ("weight", "bias")}
        model.spotter.phones.load_state_dict(weights)
    if sidecar["kind"] == "trigger" and sidecar["keywords"] == model.keywords:
        kept = (
            model.state_dict().items()
        )  # a second round, as after mining; of a dropped head nothing is there
        model.load_state_dict({**{key: value for key, value in kept if key.startswith("head.")}, **tensors})
    return tensors, sidecar


def load_trigger(path: Path) -> tuple[TriggerModel, dict[str, Any]]:
    """A trained wake-word model in evaluation mode, and its sidecar. Raises CheckpointError."""
    tensors, sidecar = load_checkpoint(path)
    if sidecar.get("kind") != "trigger":
        raise CheckpointError(
            f"{path}: holds a {sidecar.get('kind', 'training state')!r}, not a wake-word model"
        )
    model = TriggerModel(
        EncoderConfig.model_validate(sidecar["encoder"]),
        HeadConfig.model_validate(sidecar["head"]),
        list(sidecar["keywords"]),
    )
    model.load_state_dict(tensors)
    return model.eval(), sidecar


def trigger_loss(
    logits: Tensor, word_end: Tensor, word_start: Tensor, window: tuple[int, int], hit_frames: int = 3
) -> Tensor:
    """Max-pooling loss for one wake word (Sun et al., 2016, with the window tied to the word's end).

    In a positive cut the best ``hit_frames`` of [end + window[0], end + window[1]] must fire, and nothing
    may fire before the last third of the word or later than a second after it; in a negative cut nothing
    may fire at all.

    Args:
        logits: (batch, frames).
        word_end: (batch,) in frames, negative where the cut holds no word; so is ``word_start``.
        window: frames from the word's end.

    Returns:
        The mean loss per cut, positives and negatives weighed as drawn.
    """
    frames = torch.arange(logits.shape[1], device=logits.device)[None, :]
    positive = word_end[:, None] >= 0
    hit = positive & (frames >= word_end[:, None] + window[0]) & (frames <= word_end[:, None] + window[1])
    early = frames < word_end[:, None] - (word_end - word_start)[:, None] // 3
    quiet = torch.where(positive, early | (frames > word_end[:, None] + 25), torch.ones_like(hit))
    low = torch.finfo(logits.dtype).min / 2
    best_hit = logits.masked_fill(~hit, low).topk(min(hit_frames, logits.shape[1]), dim=1).values
    worst = logits.masked_fill(~quiet, low).amax(1)
    # A window cut short by the end of the cut holds fewer frames: the filled ones do not count.
    held = best_hit > low
    fire = (nn.functional.softplus(-best_hit) * held).sum(1) / held.sum(1).clamp_min(1)
    false_fire = torch.where(quiet.any(1), nn.functional.softplus(worst), torch.zeros_like(worst))
    spread = (nn.functional.softplus(logits) * quiet).sum(1) / quiet.sum(1).clamp_min(1)
    return (fire + false_fire + spread).mean()
