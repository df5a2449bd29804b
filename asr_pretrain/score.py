"""Phoneme error rate: text through espeak-ng to 39 phones, greedy CTC decoding, silence not counted."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from asr_pretrain.augment.car import Car, CarRecipe
from asr_pretrain.loading.batches import build_car, read_rows
from asr_pretrain.logmel import LogMel
from asr_pretrain.phonemes import PhonemeError, phone_ids
from asr_pretrain.targets import Targets
from asr_pretrain.train import KEPT_ENCODER, Recogniser, load_recogniser
from asr_pretrain.training.recipe import RecipeError, Surroundings
from data_splits.audio import read_audio

MAX_CLIP_S = 60.0


def edit_distance(reference: list[int], hypothesis: list[int]) -> int:
    """Insertions + deletions + substitutions (Levenshtein)."""
    row = list(range(len(hypothesis) + 1))
    for i, r in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, h in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (r != h))
    return row[-1]


def greedy(log_probabilities: np.ndarray) -> list[int]:
    """Best class per frame, repeats merged, blanks (class 0) removed."""
    best = log_probabilities.argmax(-1)
    return [int(c) for i, c in enumerate(best) if c and (i == 0 or c != best[i - 1])]


@torch.inference_mode()
def recognise(model: Recogniser, samples: np.ndarray) -> list[int]:
    """CTC classes of int16 or float (in [-1, 1]) ``samples`` (n,) at 16 kHz."""
    wave = torch.from_numpy(np.ascontiguousarray(samples))
    wave = wave.float() / 32768 if wave.dtype == torch.int16 else wave.float()
    # 0.4 s of silence at the end lets a causal CTC peak come out.
    wave = torch.nn.functional.pad(wave, (0, 6400))
    return greedy(model.recognise(LogMel()(wave[None]))[0].numpy())


def score(
    manifest: Path,
    checkpoint: Path,
    split: str | None = None,
    snr_db: float | None = None,
    seed: int = 0,
    sources: list[str] | None = None,
) -> dict[str, Any]:
    """PER (a fraction) over the manifest's rows with a text; at ``snr_db`` they are heard in the car first.

    ``split`` and ``sources`` choose among the rows; all are scored where they are None.

    Raises RecipeError when no row can be scored, CheckpointError, ManifestError, AudioError.
    """
    from rich.progress import track

    model, sidecar = load_recogniser(checkpoint)
    targets = Targets.of(sidecar)
    wanted = pl.col("text").is_not_null()
    if split is not None:
        wanted &= pl.col("split") == split
    if sources is not None:
        wanted &= pl.col("source").is_in(sources)
    frame = read_rows([manifest], lambda f: f.filter(wanted))
    car: Car | None = None
    if snr_db is not None:
        part = split if split in ("train", "dev", "test") else "dev"
        surroundings = Surroundings(
            car=CarRecipe.for_scoring(), cabins=40, procedural_noises=40, seed=seed + 17
        )
        car = build_car([manifest], surroundings, part)
    rng = np.random.default_rng(seed)
    errors = phones = utterances = skipped = 0
    seconds = 0.0
    rows = frame.select("audio", "text", "duration_s").rows()
    for audio, text, duration_s in track(rows, "scoring", disable=len(rows) < 50):
        if duration_s > MAX_CLIP_S:
            skipped += 1
            continue
        try:
            reference = phone_ids(text)
        except PhonemeError:
            skipped += 1
            continue
        samples = read_audio(audio, Path("/")).astype(np.float32) / 32768
        if car is not None:
            drives = car.draw(rng, 1, len(samples), snr_db=snr_db, cabin=True)
            samples = car.apply(torch.from_numpy(samples[None]), drives)[0].numpy()
        errors += edit_distance(reference, targets.to_phones(recognise(model, samples)))
        phones += len(reference)
        utterances += 1
        seconds += duration_s
    if not utterances:
        raise RecipeError(f"{manifest}: no row with a text to score; `text`, `split` and `source` decide")
    return {
        "per": errors / phones,
        "utterances": utterances,
        "hours": round(seconds / 3600, 4),
        "phones": phones,
        "skipped": skipped,
        "snr_db": snr_db,
        "split": split,
        "sources": sources,
        "checkpoint": str(checkpoint),
    }


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "score",
        help="phoneme error rate over a manifest",
        epilog="example: asr-pretrain score recordings.parquet --checkpoint runs/general/encoder.safetensors "
        "--split dev --json",
    )
    parser.add_argument("manifest", type=Path, help="any manifest with texts")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=KEPT_ENCODER,
        help="a run's encoder.safetensors (default: the kept one)",
    )
    parser.add_argument("--split", choices=["train", "train_dev", "dev", "test"], help="only this split")
    parser.add_argument("--source", action="append", help="only rows of this source (repeatable)")
    parser.add_argument("--snr-db", type=float, help="hear it in the simulated car at this SNR")
    parser.add_argument("--seed", type=int, default=0, help="seed of the car")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    result = score(args.manifest, args.checkpoint, args.split, args.snr_db, args.seed, args.source)
    if args.json:
        print(json.dumps(result))
    else:
        print(
            f"PER {result['per']:.1%} over {result['utterances']} utterances, {result['hours']:.2f} h "
            f"({result['skipped']} skipped: no phones, or over {MAX_CLIP_S:.0f} s)"
        )
    return 0
