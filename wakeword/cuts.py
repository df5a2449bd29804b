"""Training cuts of the wake word: takes placed in context, other words, speech and bare noise.

A batch is a pure function of (seed, step, rank), so a run repeats and resumes exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from pydantic import Field

from asr_pretrain.augment.car import Car
from asr_pretrain.augment.listening import Listening, change_speed, spec_augment
from asr_pretrain.encoder import SUBSAMPLING, RunningMean
from asr_pretrain.loading.batches import read_rows
from asr_pretrain.loading.pack import pack
from asr_pretrain.training.recipe import Perturbation, RecipeError, Strict
from wakeword.spans import Placed, tight_span
from wakeword.tasks import TaskConfig, TaskTargets

SAMPLE_RATE_HZ = 16000
_FADE = 160
SETTLED_S = 1.4
"""From here on the running mean of the log-mels knows the surroundings."""


class Group(Strict):
    """A kind of cut and its share of a batch."""

    name: str
    share: float = Field(gt=0)
    label: Literal["word", "other", "half", "noise"]
    """word: the wake word; other: speech without it; half: only the first or the last part of a take;
    noise: noise rows, or nothing but the car."""
    sources: list[str] = []
    """Only rows of these sources; empty takes all."""
    domains: list[str] = ["general"]
    id_prefix: str = ""
    """Only rows whose id begins so."""
    piece_s: tuple[float, float] | None = None
    """Not the recording but a piece of it, this long, alone: as short as the word, in a real voice."""
    even_sources: bool = False
    """Whether a source weighs by the root of its hours, lest a small one be lost beside a large one."""


class CutConfig(Strict):
    """How a cut is put together."""

    duration_s: float = Field(3.2, gt=1, le=10)
    groups: list[Group] = [
        Group(name="takes", share=0.35, label="word"),
        Group(name="speech", share=0.5, label="other"),
        Group(name="halves", share=0.05, label="half"),
        Group(name="noise", share=0.1, label="noise"),
    ]
    context_share: float = Field(0.35, ge=0, le=1)
    """Share of the words that stand beside other speech."""
    early_share: float = Field(0.0, ge=0, le=1)
    """Share of the words that end sooner than 1.4 s after the stream begins, as after a reset."""
    window_s: tuple[float, float] = (-0.04, 0.24)
    """When the model should fire, from the word's end."""


class CutBatches:
    """Batches of log-mels with the word's place; ``batch(step, rank, world)`` depends on the seed alone."""

    def __init__(
        self,
        manifests: list[Path],
        phrase: str,
        config: CutConfig,
        car: Car,
        perturbation: Perturbation,
        normalise: RunningMean,
        batch_size: int,
        seed: int,
        split: str = "train",
        voices: list[str] | None = None,
        tasks: TaskConfig | None = None,
        waveform: bool = False,
    ):
        """``voices`` limits the wake-word takes with a known speaker to these (cross-validation)."""
        self.config, self.normalise, self.seed = config, normalise, seed
        self.perturbation, self.batch_size = perturbation, batch_size
        self.listening = Listening(car, perturbation)
        frame = select_rows(manifests, phrase, split, voices)
        frame = frame.filter(pl.any_horizontal(*map(member, config.groups)))  # no other row is ever placed
        self.ids = frame["id"].to_list()
        self._speakers = frame["speaker"].to_list() if "speaker" in frame.columns else [None] * len(frame)
        self.targets = TaskTargets(frame, tasks) if tasks else None
        self.waveform = waveform
        self.waveforms = pack(frame, Path("/"), label=f"decoding {split} cuts")
        self.groups = []
        for group in config.groups:
            rows, weights = _members(frame, group)
            if len(rows) == 0 and group.label == "word":
                raise RecipeError(
                    f"group {group.name!r}: no {split} row has label 1 for {phrase!r} and fits it"
                )
            if len(rows) or group.label == "noise":
                self.groups.append((group, rows, weights))
        self.speech_rows = np.flatnonzero((frame["_label"] == 0) & frame["noise_kind"].is_null())
        known = _spans(frame)
        self.spans = {
            int(row): known[int(row)] or tight_span(self.waveforms[int(row)])
            for group, rows, _ in self.groups
            if group.label in ("word", "half")
            for row in rows
        }
        shares = np.array([group.share for group, _, _ in self.groups])
        self.shares = shares / shares.sum()

    @classmethod
    def of(
        cls, manifests: list[Path], recipe: dict[str, Any], car: Car, normalise: Any, batch_size: int
    ) -> CutBatches:
        """The cuts of a finished run, from the recipe in its checkpoint."""
        return cls(
            manifests,
            recipe["phrase"],
            CutConfig.model_validate(recipe["cuts"]),
            car,
            Perturbation.model_validate(recipe["perturbation"]),
            normalise,
            batch_size,
            recipe["optimisation"]["seed"],
            voices=recipe["voices"],
        )

    def describe(self) -> str:
        """Rows and share of each group, and of the word's how many voices speak them."""
        told = []
        for (group, rows, _), share in zip(self.groups, self.shares, strict=True):
            voices = len({self._speakers[int(row)] for row in rows} - {None})
            by = f" by {voices} voices" if group.label == "word" and voices else ""
            told.append(f"{group.name} {len(rows)}{by} ({share:.0%})")
        return ", ".join(told)

    def batch(self, step: int, rank: int, world: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, 3, step * world + rank])
        placed = self.place(rng)
        speech = placed.speech
        heard = self.listening.hear(speech, np.full(len(speech), speech.shape[1]), rng)
        frame_s = heard.frame_s * SUBSAMPLING
        frames = np.where(placed.spans >= 0, np.floor(placed.spans / frame_s), -1).astype(np.int64)
        batch = {
            "features": spec_augment(self.normalise(heard.log_mel), self.perturbation, rng),
            "word_start": torch.from_numpy(frames[:, 0]),
            "word_end": torch.from_numpy(frames[:, 1]),
        }
        if self.targets is not None:
            n_frames = heard.log_mel.shape[1] // SUBSAMPLING
            batch |= self.targets.of(placed, self.waveforms, frame_s, n_frames)
        if self.waveform:  # clean, for a teacher
            batch["waveform"] = torch.from_numpy(speech)
            batch["hop"] = torch.full((len(speech),), round(heard.frame_s * SAMPLE_RATE_HZ))
            batch["n_frames"] = torch.full((len(speech),), heard.log_mel.shape[1] // SUBSAMPLING)
        return batch

    def place(self, rng: np.random.Generator) -> Placed:
        n, n_samples = self.batch_size, int(self.config.duration_s * SAMPLE_RATE_HZ)
        placed = Placed(
            speech=np.zeros((n, n_samples), dtype=np.float32),
            spans=np.full((n, 2), -1.0),
            rows=np.full(n, -1),
            whole=np.full(n, -1.0),
            speed=np.ones(n),
        )
        for i, choice in enumerate(rng.choice(len(self.groups), n, p=self.shares)):
            group, rows, weights = self.groups[choice]
            if group.label == "noise" and (not len(rows) or rng.random() < 0.5):
                continue  # nothing but the car
            row = placed.rows[i] = int(rng.choice(rows, p=weights))
            if group.label == "word":
                self._place_word(placed, i, row, rng)
            elif group.label == "half":
                self._place(placed.speech[i], self._half(row, rng), rng)
            elif group.piece_s is not None:
                self._place(placed.speech[i], self._piece(row, group.piece_s, rng), rng)
            else:
                samples, placed.speed[i], whole = self._speech(row, rng)
                start_s = self._place(placed.speech[i], samples, rng)
                placed.whole[i] = start_s if whole else -1
        return placed

    def _speech(self, row: int, rng: np.random.Generator) -> tuple[np.ndarray, float, bool]:
        """A recording, or as long a part of it as a cut can hold; its speed, and whether it is whole."""
        samples, speed = self.waveforms[row], self.listening.draw_speed(rng)
        longest = int(1.2 * speed * self.config.duration_s * SAMPLE_RATE_HZ)
        start = int(rng.integers(0, max(1, len(samples) - longest + 1)))
        return change_speed(samples[start : start + longest], speed) / 32768, speed, len(samples) <= longest

    def _piece(self, row: int, piece_s: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
        """The louder of two pieces of a recording, faded in and out."""
        take, length = self.waveforms[row], int(rng.uniform(*piece_s) * SAMPLE_RATE_HZ)
        starts = rng.integers(0, max(1, len(take) - length + 1), 2)
        pieces = [take[start : start + length].astype(np.float32) for start in starts]
        piece = max(pieces, key=lambda samples: float(np.square(samples).mean()))
        ramp = np.minimum(1.0, np.arange(1, len(piece) + 1, dtype=np.float32) / _FADE)
        return change_speed(piece * ramp * ramp[::-1], self.listening.draw_speed(rng)) / 32768

    def _half(self, row: int, rng: np.random.Generator) -> np.ndarray:
        """The first 45 % or the last 45 % of a take's word: "smart" or "mirror" alone is no wake word."""
        start, end = (int(t * SAMPLE_RATE_HZ) for t in self.spans[row])
        take, part = self.waveforms[row], int(0.45 * (end - start))
        cut = take[: start + part] if rng.random() < 0.5 else take[end - part :]
        return change_speed(cut, self.listening.draw_speed(rng)) / 32768

    @staticmethod
    def _place(target: np.ndarray, samples: np.ndarray, rng: np.random.Generator) -> float:
        """Puts ``samples`` somewhere in the cut, or a random part of them when they are longer.

        Returns their start in seconds, −1 for a part.
        """
        extra = len(samples) - len(target)
        if extra > 0:
            start = int(rng.integers(0, extra + 1))
            samples = samples[start : start + len(target)]
        start = int(rng.integers(0, len(target) - len(samples) + 1))
        target[start : start + len(samples)] += samples
        return start / SAMPLE_RATE_HZ if extra <= 0 else -1.0

    def _place_word(self, placed: Placed, i: int, row: int, rng: np.random.Generator) -> None:
        """Places a take in cut ``i`` so that its word ends between `SETTLED_S` and the end, or soon."""
        target, speed = placed.speech[i], self.listening.draw_speed(rng)
        samples = change_speed(self.waveforms[row], speed) / 32768
        word_start, word_end = (int(t / speed * SAMPLE_RATE_HZ) for t in self.spans[row])
        n = len(target)
        room = int(self.config.window_s[1] * SAMPLE_RATE_HZ) + 1600
        settled = min(int(SETTLED_S * SAMPLE_RATE_HZ), n - room - 1)
        if self.config.early_share and rng.random() < self.config.early_share:
            end = int(rng.integers(min(word_end - word_start, settled), settled + 1))
        else:
            end = int(rng.integers(settled, n - room))
        offset = end - word_end
        alone = rng.random() >= self.config.context_share or not len(self.speech_rows)
        if alone:
            low, high = 0, len(samples)
        else:  # cut the take close to the word and let somebody speak before or after it
            low = max(0, word_start - int(rng.uniform(0.02, 0.1) * SAMPLE_RATE_HZ))
            high = min(len(samples), word_end + int(rng.uniform(0.02, 0.1) * SAMPLE_RATE_HZ))
        low, high = max(low, -offset), min(high, n - offset)
        target[offset + low : offset + high] = samples[low:high]
        if not alone:
            other = self._speech(int(rng.choice(self.speech_rows)), rng)[0]
            level = np.sqrt(
                np.square(samples[word_start:word_end]).mean() / max(np.square(other).mean(), 1e-9)
            )
            other = other * min(level, 30.0) * rng.uniform(0.5, 1.2)
            gap = int(rng.uniform(0.03, 0.6) * SAMPLE_RATE_HZ)
            before, after = offset + low - gap, offset + high + gap
            if rng.random() < 0.6 and before > 0:
                piece = other[-before:]
                target[before - len(piece) : before] += piece
            elif after < n:
                piece = other[: n - after]
                target[after : after + len(piece)] += piece
        placed.speed[i] = speed
        placed.spans[i] = (offset + word_start) / SAMPLE_RATE_HZ, (offset + word_end) / SAMPLE_RATE_HZ
        placed.whole[i] = offset / SAMPLE_RATE_HZ if alone and low == 0 and high == len(samples) else -1


def _spans(frame: pl.DataFrame) -> list[tuple[float, float] | None]:
    """Start and end of the word in each row that knows them, as `wakeword align` writes them."""
    columns = [
        pl.col(c) if c in frame.columns else pl.lit(None).alias(c) for c in ("word_start_s", "word_end_s")
    ]
    return [
        None if start is None or end is None else (start, end)
        for start, end in frame.select(columns).iter_rows()
    ]


def select_rows(manifests: list[Path], phrase: str, split: str, voices: list[str] | None) -> pl.DataFrame:
    """General rows of ``split`` with a known label for ``phrase`` in ``_label``, and noise rows."""

    def keep(frame: pl.DataFrame) -> pl.DataFrame:
        fields = frame.schema["labels"]
        known = isinstance(fields, pl.Struct) and phrase in [f.name for f in fields.fields]
        label = pl.col("labels").struct.field(phrase) if known else pl.lit(None, dtype=pl.Int64)
        frame = frame.with_columns(label.cast(pl.Int64).alias("_label"))
        usable = (pl.col("split") == split) & (
            pl.col("_label").is_not_null() | pl.col("noise_kind").is_not_null()
        )
        if voices is not None:
            usable &= pl.col("_label").ne_missing(1) | pl.col("speaker").is_in(voices)
        return frame.filter(usable)

    return read_rows(manifests, keep)


def member(group: Group) -> pl.Expr:
    """Which rows of `select_rows` belong to a group."""
    bare_noise = pl.col("noise_kind").is_not_null() & pl.col("noise_parent").is_null()
    holds = {
        "word": pl.col("_label") == 1,
        "half": pl.col("_label") == 1,
        "other": (pl.col("_label") == 0) & ~bare_noise,
        "noise": bare_noise,
    }[group.label] & pl.col("domain").is_in(group.domains)
    if group.sources:
        holds &= pl.col("source").is_in(group.sources)
    if group.id_prefix:
        holds &= pl.col("id").str.starts_with(group.id_prefix)
    return holds.fill_null(value=False)


def _members(frame: pl.DataFrame, group: Group) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of a group and their weights: a voice weighs by the root of its number of takes."""
    chosen = frame.with_row_index("_row").filter(member(group))
    rows = chosen["_row"].to_numpy().astype(np.int64)
    if group.label in ("word", "half") and len(rows):
        voice = pl.coalesce("speaker", "id")
        weights = chosen.select(1 / pl.len().over(voice).sqrt()).to_series().to_numpy()
    else:
        weight = pl.col("duration_s").clip(0.5, 10)
        if group.even_sources:
            weight /= weight.sum().over("source").sqrt()
        weights = chosen.select(weight).to_series().to_numpy()
    return rows, weights / weights.sum() if len(rows) else weights
