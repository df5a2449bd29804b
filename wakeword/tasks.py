"""What a wake-word model may learn beside its word, so that its layers keep hearing speech.

Other wake words, whether somebody speaks, and the phones: each has its own output on the encoder, which the
device does not get. A label that a cut lacks is masked: unknown is not negative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from pydantic import Field
from torch import Tensor, nn

from asr_pretrain.phonemes import PHONES, PhonemeError, phone_ids
from asr_pretrain.targets import Targets
from asr_pretrain.training.recipe import Strict
from wakeword.spans import SAMPLE_RATE_HZ, Placed, tight_span

MOST_PHONES = 64
UNKNOWN = -1
ACTIVE_DB, FLOOR_DBFS = 30.0, -55.0


class TaskConfig(Strict):
    """The weight of each further loss; 0 leaves it out."""

    words: list[str] = []
    """Other wake words, as the manifest's labels name them."""
    words_weight: float = Field(0.0, ge=0)
    voice_activity_weight: float = Field(0.0, ge=0)
    phones_weight: float = Field(0.0, ge=0)

    @property
    def any(self) -> bool:
        return max(self.words_weight, self.voice_activity_weight, self.phones_weight) > 0


class TaskTargets:
    """Targets of placed cuts, from the rows that they hold."""

    def __init__(self, frame: pl.DataFrame, config: TaskConfig):
        """Of a manifest's rows, in row order."""
        self.config = config
        fields = frame.schema["labels"]
        known = [field.name for field in fields.fields] if isinstance(fields, pl.Struct) else []
        unknown = pl.lit(UNKNOWN)
        self.labels = (
            frame.select(
                (pl.col("labels").struct.field(word).fill_null(UNKNOWN) if word in known else unknown)
                .cast(pl.Int64)
                .alias(word)
                for word in config.words
            )
            .to_numpy()
            .reshape(len(frame), len(config.words))
        )
        self.is_noise = frame["noise_kind"].is_not_null().to_numpy()
        texts = frame["text"].to_list() if config.phones_weight else [None] * len(frame)
        self.phones = [_phones(text) for text in texts]

    def of(self, cuts: Placed, waveforms: Any, frame_s: float, n_frames: int) -> dict[str, Tensor]:
        """``words_start``, ``words_end``, ``words_label`` (batch, words), ``active`` (batch, n_frames) and
        ``phones`` (batch, 64), 0 behind the last; −1 is unknown, and a row without phones is.

        Args:
            frame_s: seconds of an encoder frame.
        """
        n = len(cuts.rows)
        start, end = (np.full((n, len(self.config.words)), UNKNOWN) for _ in range(2))
        label = np.full_like(start, UNKNOWN)
        phones = np.zeros((n, MOST_PHONES), dtype=np.int64)
        active = np.full((n, n_frames), UNKNOWN)
        for i, row in enumerate(cuts.rows):
            label[i] = self.labels[row] if row >= 0 else 0
            whole = row >= 0 and cuts.whole[i] >= 0
            said = np.flatnonzero(label[i] == 1)
            if len(said) and whole:
                at = [cuts.whole[i] + t / cuts.speed[i] for t in tight_span(waveforms[int(row)])]
                start[i, said], end[i, said] = (int(t / frame_s) for t in at)
            elif len(said):
                label[i, said] = UNKNOWN  # part of the word, perhaps
            if whole:
                phones[i, : len(self.phones[row])] = self.phones[row]
            if row < 0 or not self.is_noise[row]:
                active[i] = speaking(cuts.speech[i], frame_s, n_frames)
        found = {"words_start": start, "words_end": end, "words_label": label}
        return {k: torch.from_numpy(v) for k, v in {**found, "active": active, "phones": phones}.items()}


def _phones(text: str | None) -> list[int]:
    try:
        found = phone_ids(text) if text else []
    except PhonemeError:
        return []
    return found if len(found) <= MOST_PHONES else []


def speaking(clean: np.ndarray, frame_s: float, n_frames: int) -> np.ndarray:
    """1 for each frame (n_frames,) within 30 dB of the loudest and above −55 dBFS, 0 elsewhere."""
    size = int(frame_s * SAMPLE_RATE_HZ)
    padded = np.zeros(size * n_frames)
    padded[: min(len(clean), len(padded))] = clean[: len(padded)]
    level_db = 10 * np.log10(np.square(padded.reshape(n_frames, size)).mean(1) + 1e-12)
    return (level_db > max(level_db.max() - ACTIVE_DB, FLOOR_DBFS)).astype(np.int64)


class TaskHeads(nn.Module):
    """One output a task, on the encoder's frames (batch, frames, channels); returns the summed loss."""

    def __init__(self, config: TaskConfig, channels: int):
        super().__init__()
        self.config = config
        self.words = nn.Linear(channels, max(1, len(config.words)))
        self.voice_activity = nn.Linear(channels, 1)
        self.phones = nn.Linear(channels, len(PHONES) + 1)
        if not config.words_weight:
            self.words.requires_grad_(False)
        if not config.voice_activity_weight:
            self.voice_activity.requires_grad_(False)
        if not config.phones_weight:
            self.phones.requires_grad_(False)

    def forward(
        self, encoded: Tensor, batch: dict[str, Tensor], word_loss: Any, phones: nn.Linear | None = None
    ) -> Tensor:
        """Mean losses of the tasks by their weights.

        Args:
            encoded: (batch, frames, channels).
            batch: what `TaskTargets.of` gave.
            word_loss: (logits, word_end, word_start) to a mean loss, as of the product's own word.
            phones: the output that spells them, where the device keeps one.
        """
        config, loss = self.config, encoded.new_zeros(())
        if config.words_weight:
            loss = loss + config.words_weight * self._words(encoded, batch, word_loss)
        if config.voice_activity_weight:
            loss = loss + config.voice_activity_weight * self._voice_activity(encoded, batch["active"])
        if config.phones_weight:
            loss = loss + config.phones_weight * self._phones(encoded, batch["phones"], phones or self.phones)
        return loss

    def _words(self, encoded: Tensor, batch: dict[str, Tensor], word_loss: Any) -> Tensor:
        logits, losses = self.words(encoded).float(), []
        for column in range(len(self.config.words)):
            known = batch["words_label"][:, column] != UNKNOWN
            if known.any():
                end, start = (batch[key][known, column] for key in ("words_end", "words_start"))
                losses.append(word_loss(logits[known, :, column], end, start))
        return torch.stack(losses).mean() if losses else encoded.new_zeros(())

    def _voice_activity(self, encoded: Tensor, active: Tensor) -> Tensor:
        logits = self.voice_activity(encoded)[:, :, 0].float()
        known = active[:, : logits.shape[1]] != UNKNOWN
        target = active[:, : logits.shape[1]].float()
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return (loss * known).sum() / known.sum().clamp_min(1)

    @staticmethod
    def _phones(encoded: Tensor, phones: Tensor, output: nn.Linear) -> Tensor:
        lengths = (phones > 0).sum(1)
        rows = torch.nonzero(lengths)[:, 0]
        if not len(rows):
            return encoded.new_zeros(())
        log_probabilities = output(encoded[rows]).float().log_softmax(-1)
        frames = torch.full((len(rows),), encoded.shape[1], device=encoded.device)
        return nn.functional.ctc_loss(
            log_probabilities.transpose(0, 1), phones[rows], frames, lengths[rows], zero_infinity=True
        )


def keep_phones(heads: TaskHeads, tensors: dict[str, Tensor], sidecar: dict[str, Any]) -> None:
    """Starts the phone output from the recogniser's own, where it spells phones."""
    if sidecar["kind"] == "recogniser" and Targets.of(sidecar).units == PHONES:
        heads.phones.load_state_dict({key: tensors[f"output.{key}"] for key in ("weight", "bias")})
