"""The cells of a cross-validated comparison: every encoder, depth, number of voices, variant, fold and seed.

Each is an ordinary fine-tuning on the voices of the other folds, and heard once on streams that all share.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from asr_pretrain.loading.transcripts import read_rows
from asr_pretrain.screen import cpu_seconds, merged
from asr_pretrain.training.recipe import HomePath, Strict, validated
from data_splits.manifest import write_manifest
from wakeword.average import average
from wakeword.blocks import Stream, Word
from wakeword.evaluate import Heard
from wakeword.folds import hold_out, some_voices, takes_by_voice, voice_folds
from wakeword.model import Unfreeze, load_trigger
from wakeword.rendered import SMOOTHING_STEPS, Rendered, keep, listen, listen_device, smoothed
from wakeword.score import noise_rows
from wakeword.streams import Generator, Playlist, SimulatedCar, parse_conditions
from wakeword.train import TriggerRecipe, train

SCRATCH, NEGATIVES = "scratch", "negatives"
RESULT, CHECKPOINT = "result.json", "trigger.safetensors"
SCORES, INT8_SCORES = "raw_scores.npz", "raw_scores_int8.npz"


class Grid(Strict):
    """The cells of the table, and what they have in common."""

    base: Path
    """A fine-tuning recipe, beside the file of the grid; its manifests are replaced by each fold's."""
    recordings: HomePath
    training: HomePath | None = None
    """The same recordings for training, such as `wakeword align` leaves them; null for `recordings`."""
    more: list[HomePath] = []
    """Manifests with further training rows, such as takes in voices that nobody recorded."""
    out: HomePath
    encoders: dict[str, HomePath] = {}
    """Pretrained encoders by name; `scratch` is always there."""
    unfreeze: list[Unfreeze] = ["head", "last", "half", "all"]
    voices: list[int | None] = [1, 4, None]
    """Voices that are trained on; null for all of the other folds."""
    folds: int = Field(4, ge=2, le=20)
    parts: list[Literal["train", "train_dev", "dev", "test"]] = ["train", "train_dev", "dev"]
    """Whose voices are dealt to the folds; with test among them the table is for the report alone. The
    negatives are what others say in dev and test, of these."""
    seeds: list[int] = [0]
    start_shares: list[float] = []
    """Shares of the weights before fine-tuning in the mean, beside the recipe's own: a row for each."""
    conditions: list[str] = ["10", "5", "0"]
    fa_per_hour: float = Field(1.0, gt=0)
    generator: Generator = "seen"
    """Whose cabins and noises judge: of training's kind, or of the kind that training never hears."""
    int8: bool = False
    """Whether each model is also quantized and heard as the device's file."""
    smoothing_steps: list[int] = [SMOOTHING_STEPS]
    """Over how many steps of 80 ms a score is averaged: a row of the table for each."""
    untrained: bool = False
    """Whether the table has rows of the encoders as they are: the phrase's phones spotted, nothing learnt."""
    scratch: bool = True
    """Whether the table has rows from scratch."""
    variants: dict[str, dict[str, Any]] = {"": {}}
    """What is changed in the base recipe, by name: every cell is made with each."""


@dataclass(frozen=True, order=True)
class Cell:
    """One row of the table before it is averaged."""

    encoder: str
    unfreeze: Unfreeze
    voices: int | None
    variant: str
    fold: int
    seed: int

    @property
    def kind(self) -> tuple[str, Unfreeze, int | None, str]:
        """What a row of the table is, whatever its seed."""
        return self.encoder, self.unfreeze, self.voices, self.variant

    @property
    def name(self) -> str:
        kind = "-".join(filter(None, [self.encoder, self.unfreeze, str(self.voices or "all"), self.variant]))
        return f"{kind}-fold{self.fold}-seed{self.seed}"

    @property
    def cuts(self) -> str:
        """Cells with the same name here train on the same cuts."""
        names = [f"fold{self.fold}", f"voices{self.voices or 'all'}", self.variant, f"seed{self.seed}"]
        return "-".join(filter(None, names))


def cells(grid: Grid, seeds: Sequence[int]) -> list[Cell]:
    """In an order in which neighbours share their cuts."""
    kinds: list[tuple[str, Unfreeze]] = [(SCRATCH, "all")] if grid.scratch else []
    kinds += [(encoder, depth) for encoder in grid.encoders for depth in grid.unfreeze]
    return [
        Cell(encoder, depth, voices, variant, fold, seed)
        for seed in seeds
        for fold in range(grid.folds)
        for voices in grid.voices
        for variant in grid.variants
        for encoder, depth in kinds
    ]


class Bench:
    """What all cells share: folds, manifests, rendered streams."""

    def __init__(self, grid: Grid, base: TriggerRecipe):
        """Raises ManifestError, StreamError: the recordings cannot be used."""
        self.grid, self.base = grid, base
        self.frame = read_rows([grid.recordings], lambda frame: frame)
        self.more = read_rows(grid.more, lambda f: f) if grid.more else self.frame.clear()
        self.takes = takes_by_voice(self.frame, base.phrase, grid.parts)
        self.folds = voice_folds(self.takes, grid.folds)

    def manifest(self, fold: int) -> Path:
        """Of one fold: its voices in dev, the others in train."""
        path = self.grid.out / f"fold{fold}.parquet"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            mine = self.frame if self.grid.training is None else read_rows([self.grid.training], lambda f: f)
            everything = pl.concat([mine, self.more], how="diagonal_relaxed")
            write_manifest(hold_out(everything, list(self.takes), self.folds[fold]), path)
        return path

    def streams(self) -> list[Rendered]:
        """All voices' takes in every condition, and the negatives but what these voices say, as log-mels."""
        kept = []
        for name in [*parse_conditions(",".join(self.grid.conditions)), NEGATIVES]:
            kept += keep(self.played(name), self.grid.out / "streams" / name)
        return kept

    def played(self, name: str) -> Iterator[Stream]:
        """The streams of a condition, or of the negatives. Cabins and noise are those of the dev part."""
        mine = pl.col("speaker").is_in(list(self.takes))
        label = pl.col("labels").struct.field(self.base.phrase)
        parts = pl.col("split").is_in(self.grid.parts)
        takes = self.frame.filter(mine & parts & (label == 1))
        others = self.frame.filter(pl.col("split").is_in(["dev", "test"]) & parts & ~mine.fill_null(False))
        frame = pl.concat([takes, others]).with_columns(pl.lit("dev").alias("split"))
        playlist = Playlist(frame, Path("/"), "dev", self.base.phrase)
        noises = noise_rows(self.frame, "dev")
        car = SimulatedCar(noises, Path("/"), "dev", 0, generator=self.grid.generator)
        yield from playlist.negatives(car) if name == NEGATIVES else playlist.positives(name, 1, car)

    def folder(self, cell: Cell) -> Path:
        return self.grid.out / "cells" / cell.name

    def recipe(self, cell: Cell) -> TriggerRecipe:
        """The ordinary fine-tuning recipe of one cell."""
        others = [voice for n, fold in enumerate(self.folds) if n != cell.fold for voice in fold]
        chosen = None  # all that the fold's manifest has in train, synthetic ones too
        if cell.voices is not None:
            chosen = some_voices(self.takes, others, cell.voices, cell.seed * 100 + cell.fold)
        document = {
            **self.base.model_dump(mode="json", exclude_unset=True),
            "manifests": [str(self.manifest(cell.fold))],
            "out": str(self.folder(cell)),
            "voices": chosen,
            "cache": str(self.grid.out / "cuts" / cell.cuts),
            "unfreeze": cell.unfreeze,
            "init": None if cell.encoder == SCRATCH else str(self.grid.encoders[cell.encoder]),
        }
        document = merged(document, self.grid.variants[cell.variant])
        document = merged(document, {"optimisation": {"seed": cell.seed}})
        return validated(document, TriggerRecipe, cell.name)

    def done(self, cell: Cell) -> bool:
        """Whether a cell is trained and scored."""
        kept = [RESULT, *(share_scores(share) for share in self.grid.start_shares)]
        return all((self.folder(cell) / name).exists() for name in kept)

    def run(self, cell: Cell, streams: Sequence[Rendered]) -> None:
        """Trains and scores a cell, as far as it is not done."""
        recipe = self.recipe(cell)
        if not (recipe.out / RESULT).exists():
            self.learn(cell, recipe, streams)
        for share in self.grid.start_shares:
            if not (recipe.out / share_scores(share)).exists():
                runs = [one.out / CHECKPOINT for one in recipe.each_run()]
                mean = average(runs, recipe.out / f"start{share}.safetensors", recipe.init, share)
                scores = listen(load_trigger(mean)[0], streams, smoothing_steps=1)
                keep_scores(scores, recipe.out / share_scores(share))

    def learn(self, cell: Cell, recipe: TriggerRecipe, streams: Sequence[Rendered]) -> None:
        """Trains and scores a cell."""
        began, cpu = time.monotonic(), cpu_seconds()
        checkpoint = train(recipe)
        self.hear(cell, checkpoint, streams)
        if cell.unfreeze != "all":
            for one in recipe.each_run():
                shutil.rmtree(one.out / cell.unfreeze, ignore_errors=True)  # activations: 100 MB
        self.finish(cell, cpu_h=(cpu_seconds() - cpu) / 3600, wall_s=time.monotonic() - began)

    def hear(self, cell: Cell, checkpoint: Path, streams: Sequence[Rendered]) -> None:
        """Keeps what a cell's model makes of the streams, and where asked its int8 file too."""
        keep_scores(
            listen(load_trigger(checkpoint)[0], streams, smoothing_steps=1), self.folder(cell) / SCORES
        )
        if self.grid.int8:
            from wakeword.quantize import quantize

            device = quantize(checkpoint, [self.manifest(cell.fold)], self.folder(cell) / "int8.onnx")
            keep_scores(listen_device(device, streams, smoothing_steps=1), self.folder(cell) / INT8_SCORES)

    def finish(self, cell: Cell, **spent: float) -> None:
        (self.folder(cell) / RESULT).write_text(json.dumps(spent) + "\n", encoding="utf-8")

    def spent(self, cell: Cell) -> dict[str, float]:
        """``cpu_h`` and ``wall_s`` of a finished cell."""
        found: dict[str, float] = json.loads((self.folder(cell) / RESULT).read_text(encoding="utf-8"))
        return found

    def heard(
        self,
        cell: Cell,
        streams: Sequence[Rendered],
        kept: str = SCORES,
        smoothing_steps: int = SMOOTHING_STEPS,
    ) -> list[Heard]:
        """What a finished cell made of the streams; of the takes, only those of its fold's voices count."""
        scores = np.load(self.folder(cell) / kept)
        voices = set(self.folds[cell.fold])
        return [
            Heard(
                stream.name,
                stream.condition,
                stream.seconds,
                words_of(stream, voices),
                stream.pieces,
                smoothed(scores[stream.name], smoothing_steps),
            )
            for stream in streams
        ]


def words_of(stream: Rendered, voices: set[str]) -> tuple[Word, ...]:
    """The words of a stream that count where these voices judge."""
    return tuple(word for word in stream.words if word.voice in voices)


def share_scores(share: float) -> str:
    """The file of a cell's scores with this share of the start in its weights."""
    return f"raw_scores_start{share}.npz"


def keep_scores(heard: Sequence[Heard], path: Path) -> None:
    """Writes the scores of each stream, by its name."""
    arrays: dict[str, Any] = {item.name: item.scores for item in heard}
    np.savez_compressed(path, **arrays)
