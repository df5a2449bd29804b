"""`wakeword transfer`: what pretraining buys, by cross-validation over voices.

Every encoder × how deep it learns × how many voices it learns from, each trained once a fold and scored on
the voices of that fold; one threshold over the folds, at the same false accepts an hour.

wakeword transfer wakeword/recipes/transfer.yaml --jobs 2
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from asr_pretrain.loading.transcripts import read_rows
from asr_pretrain.screen import cpu_seconds, merged
from asr_pretrain.training.checkpoint import file_sha256
from asr_pretrain.training.recipe import HomePath, RecipeError, Strict, load_recipe, validated
from data_splits.manifest import write_manifest
from wakeword.evaluate import Heard
from wakeword.folds import hold_out, some_voices, takes_by_voice, voice_folds
from wakeword.model import Unfreeze, load_trigger
from wakeword.rendered import Rendered, keep, listen, listen_device, listen_untrained
from wakeword.score import noise_rows
from wakeword.streams import Generator, Playlist, SimulatedCar, parse_conditions
from wakeword.train import TriggerRecipe, train
from wakeword.transfer_table import by_voice, markdown, plot, pooled

SCRATCH = "scratch"
RESULT, SCORES, INT8_SCORES = "result.json", "scores.npz", "scores_int8.npz"


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
    conditions: list[str] = ["10", "5", "0"]
    fa_per_hour: float = Field(1.0, gt=0)
    generator: Generator = "seen"
    """Whose cabins and noises judge: of training's kind, or of the kind that training never hears."""
    int8: bool = False
    """Whether each model is also quantized and heard as the device's file."""
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
        """All voices' takes in every condition, and the negatives but what these voices say.

        Cabins and noise are those of the dev part.
        """
        mine = pl.col("speaker").is_in(list(self.takes))
        label = pl.col("labels").struct.field(self.base.phrase)
        parts = pl.col("split").is_in(self.grid.parts)
        takes = self.frame.filter(mine & parts & (label == 1))
        others = self.frame.filter(pl.col("split").is_in(["dev", "test"]) & parts & ~mine.fill_null(False))
        frame = pl.concat([takes, others]).with_columns(pl.lit("dev").alias("split"))
        playlist = Playlist(frame, Path("/"), "dev", self.base.phrase)
        kept = []
        for name in [*parse_conditions(",".join(self.grid.conditions)), "negatives"]:

            def made(name: str = name) -> Any:
                noises = noise_rows(self.frame, "dev")
                car = SimulatedCar(noises, Path("/"), "dev", 0, generator=self.grid.generator)
                yield from (
                    playlist.negatives(car) if name == "negatives" else playlist.positives(name, 1, car)
                )

            kept += keep(made(), self.grid.out / "streams" / name)
        return kept

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

    def run(self, cell: Cell, streams: Sequence[Rendered]) -> None:
        """Trains and scores a cell, unless it is done."""
        recipe = self.recipe(cell)
        if (recipe.out / RESULT).exists():
            return
        began, cpu = time.monotonic(), cpu_seconds()
        checkpoint = train(recipe)
        _keep(listen(load_trigger(checkpoint)[0], streams), recipe.out / SCORES)
        if self.grid.int8:
            from wakeword.quantize import quantize

            device = quantize(checkpoint, recipe.manifests, recipe.out / "int8.onnx")
            _keep(listen_device(device, streams), recipe.out / INT8_SCORES)
        if cell.unfreeze != "all":
            shutil.rmtree(recipe.out / cell.unfreeze, ignore_errors=True)  # activations: 100 MB
        spent = {"cpu_h": (cpu_seconds() - cpu) / 3600, "wall_s": time.monotonic() - began}
        (recipe.out / RESULT).write_text(json.dumps(spent) + "\n", encoding="utf-8")

    def heard(self, cell: Cell, streams: Sequence[Rendered], kept: str = SCORES) -> list[Heard]:
        """What a finished cell made of the streams; of the takes, only those of its fold's voices count."""
        scores = np.load(self.folder(cell) / kept)
        voices = set(self.folds[cell.fold])
        return [
            Heard(
                stream.name,
                stream.condition,
                stream.seconds,
                tuple(word for word in stream.words if word.voice in voices),
                stream.pieces,
                scores[stream.name],
            )
            for stream in streams
        ]


def untrained(bench: Bench, streams: Sequence[Rendered]) -> list[dict[str, Any]]:
    """One row for each encoder as it is; every voice is new to it, so there are no folds."""
    rows = []
    for name, path in bench.grid.encoders.items():
        kept = bench.grid.out / "untrained" / f"{name}-{file_sha256(path)[:12]}.npz"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            _keep(listen_untrained(path, bench.base.phrase, streams), kept)
        scores = np.load(kept)
        heard = [replace(_bare(stream), scores=scores[stream.name]) for stream in streams]
        row = {"encoder": name, "unfreeze": "none", "voices": 0, "variant": "", "seed": 0, "cpu_h": 0.0}
        rows.append({**row, **pooled(heard, bench.grid.fa_per_hour)})
    return rows


def _bare(stream: Rendered) -> Heard:
    nothing = np.zeros(0, np.float32)
    return Heard(stream.name, stream.condition, stream.seconds, stream.words, stream.pieces, nothing)


def _keep(heard: Sequence[Heard], path: Path) -> None:
    arrays: dict[str, Any] = {item.name: item.scores for item in heard}
    np.savez_compressed(path, **arrays)


def table(bench: Bench, streams: Sequence[Rendered]) -> list[dict[str, Any]]:
    """One row for each encoder, depth, number of voices and seed of which every fold is done."""
    grid = bench.grid
    seeds = {int(path.parent.name.rpartition("seed")[2]) for path in grid.out.glob(f"cells/*/{RESULT}")}
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells(grid, sorted(seeds)):
        if (bench.folder(cell) / RESULT).exists():
            key = (cell.encoder, cell.unfreeze, cell.voices, cell.variant, cell.seed)
            groups.setdefault(key, []).append(cell)
    rows = []
    for key, members in groups.items():
        if len(members) < grid.folds:
            continue
        spent = [json.loads((bench.folder(cell) / RESULT).read_text(encoding="utf-8")) for cell in members]
        names = dict(zip(("encoder", "unfreeze", "voices", "variant", "seed"), key, strict=True))
        cpu_h = round(sum(item["cpu_h"] for item in spent), 3)
        for kept, precision in ((SCORES, ""), (INT8_SCORES, "int8")):
            if not all((bench.folder(cell) / kept).exists() for cell in members):
                continue
            heard = [item for cell in members for item in bench.heard(cell, streams, kept)]
            row = {**names, "precision": precision, "cpu_h": cpu_h}
            rows.append({**row, **pooled(heard, grid.fa_per_hour)})
    return rows


def add_parser(sub: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "transfer",
        help="what pretraining buys, cross-validated over voices",
        description=__doc__,
        epilog="example: wakeword transfer wakeword/recipes/transfer.yaml --jobs 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("grid", type=Path, help="YAML: base recipe, encoders, depths, voices")
    parser.add_argument("--seed", type=int, action="append", help="repeatable (default: the file's)")
    parser.add_argument("--encoder", action="append", help=f"only this one (repeatable); {SCRATCH} is one")
    parser.add_argument("--only", action="append", help="only cells whose name holds this (repeatable)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--share", default="0/1", help=argparse.SUPPRESS)
    parser.add_argument("--dry-run", action="store_true", help="list the cells and stop")


def run(args: argparse.Namespace) -> int:
    """Train and score what is missing, print the table, write `transfer.json`."""
    grid = load_recipe(args.grid, Grid)
    for name, path in grid.encoders.items():
        if name == SCRATCH or not path.exists():
            raise RecipeError(f"{args.grid}: encoder {name!r}: {path} is not there, or the name is taken")
    bench = Bench(grid, load_recipe(args.grid.parent / grid.base, TriggerRecipe))
    wanted = [
        cell
        for cell in cells(grid, args.seed or grid.seeds)
        if (not args.encoder or cell.encoder in args.encoder)
        and (not args.only or any(text in cell.name for text in args.only))
    ]
    missing = [cell for cell in wanted if not (bench.folder(cell) / RESULT).exists()]
    print(f"{len(missing)} of {len(wanted)} cells to do", flush=True)
    if args.dry_run:
        print("\n".join(cell.name for cell in missing))
        return 0
    streams = bench.streams()
    for fold in range(grid.folds):
        bench.manifest(fold)
    if args.jobs > 1:
        again = [sys.executable, "-m", "wakeword.cli", "transfer", str(args.grid)]
        again += [word for seed in args.seed or [] for word in ("--seed", str(seed))]
        again += [word for name in args.encoder or [] for word in ("--encoder", name)]
        again += [word for text in args.only or [] for word in ("--only", text)]
        running = [
            subprocess.Popen([*again, "--share", f"{n}/{args.jobs}"], stdout=sys.stderr)
            for n in range(args.jobs)
        ]
        if sum(process.wait() != 0 for process in running):
            raise RecipeError(f"{args.grid}: a process failed; its own message says why")
    else:
        number, of = (int(part) for part in args.share.split("/"))
        mine = set(sorted({cell.cuts for cell in wanted})[number::of])  # cells that share cuts stay together
        for cell in missing:
            if cell.cuts in mine:
                bench.run(cell, streams)
    if args.share == "0/1":
        rows = [*(untrained(bench, streams) if grid.untrained else []), *table(bench, streams)]
        (grid.out / "transfer.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        if rows:
            plot(rows, grid.out / "transfer.svg")
        print(markdown(rows))
        print(f"\n{by_voice(rows)}")
    return 0
