"""`wakeword mine`: the training negatives that a model takes for its word, as a manifest for a second round.

wakeword mine runs/trigger/trigger.safetensors --manifest plan.parquet --out mined.parquet

Each negative of the train split is heard twice, as it is and in a drawn car. The rows that score highest are
written with the source ``mined``, so that a recipe gives them a group of their own.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from asr_pretrain.augment.car import Car
from asr_pretrain.loading.batches import build_car
from asr_pretrain.loading.pack import Pack, pack
from asr_pretrain.logmel import LogMel
from asr_pretrain.training.recipe import RecipeError, Surroundings
from data_splits.manifest import write_manifest
from wakeword.cuts import select_rows
from wakeword.model import TriggerModel, load_trigger

SAMPLE_RATE_HZ = 16000
BATCH_S = 240.0
LONGEST_S = 20.0
TAIL_S = 0.4
"""Silence after a row, in which a causal model may still fire."""


@torch.inference_mode()
def highest_scores(model: TriggerModel, waveforms: Pack, car: Car, seed: int) -> np.ndarray:
    """Highest sigmoid of each row (rows,), over both hearings; rows over 20 s are heard in part."""
    from rich.progress import track

    rng = np.random.default_rng(seed)
    lengths = np.array([len(waveforms[i]) for i in range(len(waveforms))])
    order = np.argsort(lengths, kind="stable")
    front_end, highest = LogMel(), np.zeros(len(lengths))
    batches: list[list[int]] = [[]]
    for row in order:
        seconds = min(lengths[row] / SAMPLE_RATE_HZ, LONGEST_S) + TAIL_S
        if seconds * (len(batches[-1]) + 1) > BATCH_S:
            batches.append([])
        batches[-1].append(int(row))
    for rows in track(batches, "mining"):
        longest = min(int(lengths[rows].max()), int(LONGEST_S * SAMPLE_RATE_HZ))
        speech = np.zeros((len(rows), longest + int(TAIL_S * SAMPLE_RATE_HZ)), dtype=np.float32)
        for i, row in enumerate(rows):
            speech[i, : min(lengths[row], longest)] = waveforms[row][:longest] / 32768
        clean = torch.from_numpy(speech)
        driven = car.apply(clean, car.draw(rng, len(rows), speech.shape[1]))
        for heard in (clean, driven):
            logits = model.logits(front_end(heard))[:, 0]
            scores = torch.sigmoid(logits.amax(1)).numpy()
            highest[rows] = np.maximum(highest[rows], scores)
    return highest


def mine(checkpoint: Path, manifests: list[Path], out: Path, least: float, most: int, seed: int) -> int:
    """Writes up to ``most`` rows that score at least ``least``; returns how many.

    Raises RecipeError when no negative scores so high, CheckpointError, ManifestError.
    """
    model, sidecar = load_trigger(checkpoint)
    negative = (pl.col("_label").fill_null(0) == 0) & (pl.col("domain") == "general")
    frame = select_rows(manifests, model.keywords[0], "train", None).filter(negative)
    waveforms = pack(frame, Path("/"), label="decoding negatives")
    surroundings = Surroundings.model_validate(sidecar["recipe"]["surroundings"])
    car = build_car(manifests, surroundings, "train", model.keywords)
    scores = highest_scores(model, waveforms, car, seed)
    chosen = np.flatnonzero(scores >= least)
    chosen = chosen[np.argsort(-scores[chosen])][:most]
    if not len(chosen):
        raise RecipeError(f"{checkpoint}: no negative scores {least:g} or more; nothing to mine")
    mined = (
        frame[chosen.tolist()]
        .drop("_label")
        .with_columns(
            ("mined-" + pl.col("id")).alias("id"),
            pl.lit("mined").alias("source"),
            pl.Series("mined_score", scores[chosen]),
            # Noise as a negative, not as the car: it must not be drawn twice as often by the noise bank.
            pl.lit(None, dtype=pl.String).alias("noise_kind"),
        )
    )
    write_manifest(mined, out)
    print(f"{len(chosen)} of {len(frame)} negatives score {least:g} or more; highest by source:")
    print(frame[chosen.tolist()].group_by("source").len().sort("len", descending=True).head(8))
    return len(chosen)


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "mine",
        help="the training negatives that a model takes for its word",
        description=__doc__,
        epilog="example: wakeword mine runs/trigger/trigger.safetensors --manifest plan.parquet",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="a run's trigger.safetensors")
    parser.add_argument(
        "--manifest", type=Path, action="append", required=True, help="what it was trained on"
    )
    parser.add_argument("--out", type=Path, default=Path("mined.parquet"), help="default: %(default)s")
    parser.add_argument("--least", type=float, default=0.2, help="lowest score of a hard negative")
    parser.add_argument("--most", type=int, default=3000, help="most rows to keep")
    parser.add_argument("--seed", type=int, default=0, help="of the car")


def run(args: argparse.Namespace) -> int:
    if not 0 < args.least < 1 or math.isnan(args.least):
        raise RecipeError(f"--least {args.least}: a score between 0 and 1")
    mine(args.checkpoint, args.manifest, args.out, args.least, args.most, args.seed)
    return 0
