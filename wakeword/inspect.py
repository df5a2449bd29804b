"""`wakeword inspect`: what in a manifest would teach the wrong thing, before hours are spent on it.

wakeword inspect plan.parquet --phrase "smart mirror"

Positives in which the recogniser does not find the phrase, noise and negatives in which it does, recordings
that are silent or clipped, and noise so short that it would be learnt by heart.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from asr_pretrain.augment.folders import noise_rows
from asr_pretrain.loading.transcripts import read_rows
from asr_pretrain.train import KEPT_ENCODER
from asr_pretrain.training.recipe import RecipeError
from data_splits.audio import AudioError, read_audio
from wakeword.finder import ABSENT_COST, PRESENT_COST, Finder

SILENT_DBFS = -70.0
CLIPPED_SHARE = 0.005
"""Of a recording's samples at its highest value."""
FEWEST_NOISE_MINUTES = 10.0
"""A. Ng's warning: one hour of car noise over ten thousand hours of speech is learnt by heart."""


@dataclass(frozen=True)
class Doubt:
    """One recording, or all noise (``id`` empty), and what is wrong with it."""

    kind: str
    id: str
    value: float
    remedy: str


def doubts(frame: pl.DataFrame, phrase: str, finder: Finder, most: int) -> Iterator[Doubt | None]:
    """What is wrong with the rows, one by one; None for a recording that is as it should be.

    Args:
        most: negatives that are searched, a sample where there are more; takes and noise are searched all.
    """
    label = pl.col("labels").struct.field(phrase)
    takes, noise = frame.filter(label == 1), frame.filter(pl.col("noise_kind").is_not_null())
    others = frame.filter((label == 0) & pl.col("noise_kind").is_null())
    others = others.sample(min(most, len(others)), seed=0)
    yield from little_noise(noise)
    for rows, word in ((takes, True), (noise, False), (others, False)):
        for row in rows.iter_rows(named=True):
            try:
                samples = read_audio(row["audio"], Path("/"))
            except AudioError as error:
                yield Doubt("unreadable", row["id"], 0.0, str(error))
                continue
            yield from _level(row["id"], samples)
            cost = finder.find(samples).cost
            if word and cost > ABSENT_COST:
                yield Doubt(
                    "phrase not found", row["id"], cost, "listen; set its label to null if it is not said"
                )
            elif not word and cost < PRESENT_COST:
                yield Doubt("phrase found", row["id"], cost, "listen; leave it out if the phrase is said")
            else:
                yield None


def _level(name: str, samples: np.ndarray) -> Iterator[Doubt]:
    peak = int(np.abs(samples.astype(np.int32)).max(initial=0))
    level = 20 * np.log10(max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), 1e-3) / 32768)
    if level < SILENT_DBFS:
        yield Doubt("silent", name, level, "leave it out, or record it again")
    elif peak > 0 and np.mean(np.abs(samples.astype(np.int32)) >= peak) > CLIPPED_SHARE:
        share = float(np.mean(np.abs(samples.astype(np.int32)) >= peak))
        yield Doubt("clipped", name, share, "record it at a lower gain; clipping is drawn by the car")


def little_noise(noise: pl.DataFrame) -> Iterator[Doubt]:
    """Whether the noise rows are too few or too short to stand for every drive."""
    minutes = float(noise["duration_s"].sum()) / 60
    if len(noise) and (len(noise) < 10 or minutes < FEWEST_NOISE_MINUTES):
        told = (
            f"{len(noise)} recordings, {minutes:.1f} min of noise: it will be learnt by heart; add some, or "
        )
        yield Doubt("little noise", "", minutes, told + "raise surroundings.procedural_noises")


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "inspect",
        help="what in a manifest would teach the wrong thing",
        description=__doc__,
        epilog='example: wakeword inspect plan.parquet --phrase "smart mirror"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", type=Path, help="what is to be trained on")
    parser.add_argument("--phrase", default="smart mirror", help="default: %(default)s")
    parser.add_argument(
        "--split", default="train", choices=("train", "train_dev", "dev"), help="default: train"
    )
    parser.add_argument(
        "--most", type=int, default=2000, help="negatives searched (default: a sample of 2000)"
    )
    parser.add_argument(
        "--encoder", type=Path, default=KEPT_ENCODER, help="the recogniser (default: the kept one)"
    )
    parser.add_argument("--noise", type=Path, help="a folder of recorded car noise, inspected with the rest")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each doubt")


def run(args: argparse.Namespace) -> int:
    """0 where nothing is wrong, else 1."""
    from rich.progress import track

    frame = read_rows([args.manifest], lambda f: f.filter(pl.col("split") == args.split))
    if args.noise is not None:
        frame = pl.concat([frame, noise_rows(args.noise, args.split)], how="diagonal_relaxed")
    fields = frame.schema["labels"]
    if not isinstance(fields, pl.Struct) or args.phrase not in [f.name for f in fields.fields]:
        raise RecipeError(f"{args.manifest}: labels no {args.phrase!r}; name the phrase with --phrase")
    walk = doubts(frame, args.phrase, Finder(args.phrase, args.encoder), args.most)
    found = [
        d for d in track(walk, "listening", total=None, disable=not sys.stderr.isatty()) if d is not None
    ]
    _print(found, args.json)
    return 1 if found else 0


def _print(found: Sequence[Doubt], as_json: bool) -> None:
    for doubt in found:
        if as_json:
            print(json.dumps(asdict(doubt)))
        else:
            print(f"{doubt.kind:>17} {doubt.value:8.2f}  {doubt.id or 'all noise'}: {doubt.remedy}")
    if not as_json:
        print(f"{len(found)} doubt(s)")
