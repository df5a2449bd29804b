"""A page to look at and listen to: random drives beside recorded noise, each with its spectrogram.

    asr-pretrain drives recordings.parquet --out drives.html

Who wants to know whether the simulated car sounds like one should hear it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from asr_pretrain.augment.cabin import cabin_parameters
from asr_pretrain.augment.car import Drive
from asr_pretrain.augment.car_recipe import CarRecipe
from asr_pretrain.augment.level import SAMPLE_RATE_HZ
from asr_pretrain.augment.noise import procedural_parameters
from asr_pretrain.loading.batches import build_car
from asr_pretrain.training.recipe import RecipeError, Surroundings
from data_splits.audio import read_audio
from data_splits.manifest import read_manifest
from data_splits.page import block, grid, tile, write_report

SECONDS = 6.0
RECORDED_KINDS = ("road", "rain", "wind", "engine", "fan")
CAR = CarRecipe(
    snr_db=(-5, 15),
    quiet_share=0.05,
    recorded_share=0.0,
    talker_share=0.1,
    radio_share=0.1,
    music_share=0.1,
    gain_control_share=0.25,
    codec_share=0.1,
    lowpass_share=0.1,
)
"""What may be heard on the page: everything that the car can do, with procedural noise alone."""


def drives_page(manifest: Path, out: Path, part: str, count: int, seed: int) -> Path:
    """Write the page: ``count`` recordings of ``part``, each on a drive of its own, and recorded noises.

    Raises ManifestError, AudioError, and RecipeError where the part holds no speech.
    """
    frame = read_manifest(manifest)
    root = manifest.resolve().parent
    rows = frame.filter((pl.col("split") == part) & (pl.col("domain") == "general"))
    speech = rows.filter(pl.col("noise_kind").is_null() & pl.col("duration_s").is_between(0.6, SECONDS - 1))
    if speech.is_empty():
        raise RecipeError(
            f"{manifest}: part {part!r} holds no speech of 0.6 to {SECONDS - 1:g} s to drive with"
        )
    chosen = speech.sort("id").sample(min(count, len(speech)), seed=seed, shuffle=True)
    surroundings = Surroundings(car=CAR, cabins=max(20, count), procedural_noises=max(20, count), seed=seed)
    car = build_car([manifest], surroundings, part)
    rng = np.random.default_rng(seed)
    tiles = []
    for row in chosen.iter_rows(named=True):
        clean = _placed(read_audio(row["audio"], root), rng)
        drive = car.draw_one(int(rng.integers(2**62)), clean.size)
        heard = car.apply(torch.from_numpy(clean[None]), [drive])[0].numpy()
        tiles.append(tile(heard, row.get("text") or row["id"], told(drive, part, seed)))
    recorded = [
        tile(_excerpt(read_audio(row["audio"], root)), row["noise_kind"], row["source"] or row["id"])
        for kind in RECORDED_KINDS
        for row in rows.filter(pl.col("noise_kind") == kind).sort("id").head(2).iter_rows(named=True)
    ]
    blocks = [
        block("Drives", grid(tiles), "Drawn at random, noise procedural. Pictures: 0 to 8 kHz, 70 dB."),
        block("Recorded noise", grid(recorded), "What the sources above are meant to resemble."),
    ]
    return write_report(out, "Twenty drives" if count == 20 else f"{count} drives", blocks)


def told(drive: Drive, part: str, seed: int) -> str:
    """A drive in words."""
    words = []
    if drive.rir_id is not None:
        cabin = cabin_parameters(part, seed, int(drive.rir_id.rpartition("-")[2]))
        window = "" if cabin.open_window == "none" else ", a window open"
        words.append(f"{cabin.seat}, {cabin.trim}{window}, {1000 * cabin.rt60_s:.0f} ms")
    if drive.noise is not None:
        words.append(f"{drive.noise.kind} at {drive.snr_db:.0f} dB ({_sources(drive, part, seed)})")
    if drive.company is not None:
        words.append(f"{drive.company.kind} {drive.company.below_db:.0f} dB below")
    for what, there in (
        ("gain control", drive.gain_control),
        (str(drive.codec), drive.codec),
        ("clipped", drive.clip_db),
        (f"nothing above {drive.lowpass_hz or 0:.0f} Hz", drive.lowpass_hz),
    ):
        if there is not None:
            words.append(what)
    return "; ".join(words) or "as recorded"


def _sources(drive: Drive, part: str, seed: int) -> str:
    assert drive.noise is not None
    told = []
    for parent in drive.noise.parents:
        if parent.startswith("procedural"):
            p = procedural_parameters(part, seed, int(parent.rpartition("-")[2]))
            named = {
                "road": p.road_db, "engine": p.engine_db, "wind": p.wind_db, "blower": p.blower_db,
                "rain": p.rain_db, "wipers": p.wiper_period_s, "indicator": p.indicator, "horn": p.horn,
                "potholes": p.potholes, "passing": p.passing,
            }  # fmt: skip
            told.append(f"{p.speed_km_h:.0f} km/h: " + ", ".join(name for name, on in named.items() if on))
    return "; ".join(told) or ", ".join(drive.noise.parents)


def _placed(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = np.zeros(int(SECONDS * SAMPLE_RATE_HZ), dtype=np.float32)
    start = int(rng.integers(4000, max(4001, out.size - samples.size)))
    kept = samples[: out.size - start]
    out[start : start + kept.size] = kept / np.float32(32768)
    return out


def _excerpt(samples: np.ndarray) -> np.ndarray:
    part = samples[: int(SECONDS * SAMPLE_RATE_HZ)].astype(np.float32)
    return part * (0.2 / max(float(np.abs(part).max()), 1.0))


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "drives",
        help="a page of random drives to look at and listen to, beside recorded noise",
        description=__doc__,
        epilog="example: asr-pretrain drives recordings.parquet --out drives.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", type=Path, help="recordings: speech and noise")
    parser.add_argument("--out", type=Path, default=Path("drives.html"), help="default: %(default)s")
    parser.add_argument("--part", default="train", choices=("train", "dev", "test"), help="default: train")
    parser.add_argument("--count", type=int, default=20, help="drives (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of cabins, noises and choices")


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    if not 1 <= args.count <= 200:
        raise RecipeError(f"--count {args.count}: between 1 and 200 drives fit a page")
    print(drives_page(args.manifest, args.out, args.part, args.count, args.seed))
    return 0
