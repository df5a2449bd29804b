"""Recordings heard through the simulated car: the mirror utterances, until real drives are recorded.

    asr-pretrain render asr_pretrain/recipes/drives.yaml --recordings recordings.parquet --out .

Writes ``drives/PART/*.flac`` and ``drives.parquet`` into the folder. Every row is a function of the seed, its
part and its number alone, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import soundfile
import torch
from pydantic import Field

from asr_pretrain.augment.cabin import CABIN_VERSION, cabin_bank, part_seed
from asr_pretrain.augment.car import Car, CarRecipe
from asr_pretrain.augment.level import SAMPLE_RATE_HZ, word_span
from asr_pretrain.augment.noise import BANK_VERSION, NoiseBank
from asr_pretrain.augment.procedural import PROCEDURAL_VERSION
from asr_pretrain.augment.progress import RenderLog, refuse_change
from asr_pretrain.loading.pack import cache_folder
from asr_pretrain.training.recipe import HomePath, RecipeError, Strict, load_recipe
from data_splits.audio import pcm_sha256, read_audio
from data_splits.manifest import manifest_sha256, read_manifest, write_manifest

PARTS = ("train", "dev", "test")
MANIFEST = "drives.parquet"
_KEPT = (
    "text",
    "speaker",
    "session",
    "labels",
    "licence",
)  # what a drive takes over from its clean recording


class PerPart(Strict):
    """A count for each part."""

    train: int = Field(ge=0)
    dev: int = Field(ge=0)
    test: int = Field(ge=0)


class RenderRecipe(Strict):
    """How many drives are rendered from what."""

    recordings: HomePath = Path("recordings.parquet")
    """The recordings manifest; each part's rows are rendered for that part."""
    out: HomePath = Path()
    """Folder of `drives.parquet` and `drives/`."""
    seed: int = 0
    phrase: str = "smart mirror"
    """The wake word whose takes are repeated."""
    utterances: PerPart = PerPart(train=10000, dev=5000, test=5000)
    positive_share: float = Field(default=0.3, ge=0, le=1)
    """Share of the drives that hold the wake word; its few takes are each heard many times."""
    cabins: PerPart = PerPart(train=200, dev=100, test=100)
    procedural_noises: PerPart = PerPart(train=200, dev=100, test=100)
    longest_s: float = Field(default=12.0, gt=0)
    """Longer recordings are left out."""
    lead_s: tuple[float, float] = (0.2, 1.0)
    """Car noise before the recording begins; drawn evenly."""
    tail_s: tuple[float, float] = (0.3, 1.0)
    """Car noise after it ends."""
    car: CarRecipe = CarRecipe()


@dataclass(frozen=True)
class _Job:
    """One drive to make: `number` within its part, and the clean row it is made from."""

    id: str
    part: str
    number: int
    clean: dict[str, Any]


def _jobs(frame: pl.DataFrame, recipe: RenderRecipe, part: str) -> Iterator[_Job]:
    """The drives of a part: positives spread evenly; each clean row once before any is taken again."""
    count = getattr(recipe.utterances, part)
    side = pl.coalesce("part", "split") if "part" in frame.columns else pl.col("split")
    clean = frame.filter(
        (side == part) & (pl.col("domain") == "general") & pl.col("noise_kind").is_null()
        & (pl.col("duration_s") <= recipe.longest_s)
    ).sort("id")  # fmt: skip
    tasks = [field.name for field in clean.schema["labels"].fields]  # type: ignore[attr-defined]
    label = pl.col("labels").struct.field(recipe.phrase) if recipe.phrase in tasks else pl.lit(None)
    said = (label == 1).fill_null(value=False)
    pools = {True: clean.filter(said).to_dicts(), False: clean.filter(~said).to_dicts()}
    share = recipe.positive_share
    for positive, needed in ((True, share > 0), (False, share < 1)):
        if count and needed and not pools[positive]:
            what = f"take of {recipe.phrase!r}" if positive else "recording without it"
            raise RecipeError(
                f"{recipe.recordings}: part {part!r} holds no {what} up to {recipe.longest_s:g} s; "
                f"set utterances.{part} to 0 or change positive_share"
            )
    taken = {True: 0, False: 0}
    for number in range(count):
        positive = int((number + 1) * share) > int(number * share)
        pool, rank = pools[positive], taken[positive]
        taken[positive] += 1
        lap = part_seed(part, recipe.seed, rank // len(pool), f"render-order-{positive}")
        order = np.random.default_rng(lap).permutation(len(pool))
        yield _Job(f"drive-{part}-{number:06d}", part, number, pool[int(order[rank % len(pool)])])


def _hear(job: _Job, recipe: RenderRecipe, car: Car, root: Path, folder: Path) -> dict[str, Any]:
    """Render one drive, write its file, and return its manifest row."""
    rng = np.random.default_rng(part_seed(job.part, recipe.seed, job.number, "render"))
    clean = read_audio(job.clean["audio"], root)
    lead, tail = (int(rng.uniform(*bounds) * SAMPLE_RATE_HZ) for bounds in (recipe.lead_s, recipe.tail_s))
    speech = np.zeros(lead + clean.size + tail, dtype=np.float32)
    speech[lead : lead + clean.size] = clean / np.float32(32768)
    drive = car.draw_one(int(rng.integers(2**62)), speech.size, cabin=True)
    heard = car.apply(torch.from_numpy(speech[None]), [drive])[0].numpy()
    pcm = np.rint(heard * 32768).astype(np.int16)

    name = f"drives/{job.part}/{job.id}.flac"
    path = folder / name
    temporary = path.with_suffix(".tmp")
    soundfile.write(temporary, pcm, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    temporary.replace(path)

    row: dict[str, Any] = {key: job.clean.get(key) for key in _KEPT}
    row |= {
        "id": job.id, "audio": name, "duration_s": pcm.size / SAMPLE_RATE_HZ,
        "sample_rate_hz": SAMPLE_RATE_HZ, "domain": "mirror", "source": "simulated-car",
        "clean_source": job.clean.get("source"),
        "vehicle": drive.rir_id, "device": "sim-mirror", "clean_parent": job.clean["id"],
        "part": job.part, "split": job.part, "gain_db": drive.gain_db, "pcm_sha256": pcm_sha256(pcm),
    }  # fmt: skip
    row |= drive.parents()
    if (job.clean["labels"] or {}).get(recipe.phrase) == 1:
        start_s, end_s = _span(job.clean, clean)
        row |= {"word_start_s": start_s + lead / SAMPLE_RATE_HZ, "word_end_s": end_s + lead / SAMPLE_RATE_HZ}
    return row


def _span(row: dict[str, Any], samples: np.ndarray) -> tuple[float, float]:
    if row.get("word_start_s") is not None and row.get("word_end_s") is not None:
        return row["word_start_s"], row["word_end_s"]
    try:
        return word_span(samples)
    except ValueError as error:
        raise RecipeError(f"{row['audio']}: {error}") from error


def render(recipe: RenderRecipe) -> Path:
    """Render every drive that is not there yet; return the manifest's path.

    Raises RecipeError when the folder holds drives of another recipe or a part lacks recordings, and
    ManifestError or AudioError naming what cannot be read.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    frame = read_manifest(recipe.recordings)
    root, folder = recipe.recordings.resolve().parent, recipe.out
    refuse_change(
        folder / "drives.json",
        {
            "recipe": recipe.model_dump(mode="json", exclude={"recordings", "out"}),
            "recordings_sha256": manifest_sha256(recipe.recordings),
            "simulation": f"cabin {CABIN_VERSION}, noise {PROCEDURAL_VERSION}, bank {BANK_VERSION}",
        },
    )
    jobs = [job for part in PARTS for job in _jobs(frame, recipe, part)]
    if not jobs:
        raise RecipeError("utterances: every part is 0, so there is nothing to render")
    log = RenderLog(folder, MANIFEST)
    todo = [job for job in jobs if job.id not in log.rows]
    manifest = folder / MANIFEST
    if todo or not manifest.exists():
        columns = (
            TextColumn("rendering {task.fields[part]}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
        )  # fmt: skip
        with log, Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=len(todo), part="", rate="")
            car, part = None, ""
            for job in todo:
                if car is None or job.part != part:
                    part = job.part
                    progress.update(task, part=part)
                    (folder / "drives" / part).mkdir(parents=True, exist_ok=True)
                    car = _car(frame, root, recipe, part)
                log.add(_hear(job, recipe, car, root, folder))
                speed = progress.tasks[0].speed
                progress.update(task, advance=1, rate=f"{speed:.0f} utterances/s" if speed else "")
        # A recipe's order, whatever was rendered in which run.
        rows = [log.rows[job.id] for job in jobs]
        write_manifest(pl.DataFrame(rows, infer_schema_length=None), manifest)
        log.finish()
    return manifest


def _car(frame: pl.DataFrame, root: Path, recipe: RenderRecipe, part: str) -> Car:
    cache = cache_folder()
    noises = getattr(recipe.procedural_noises, part)
    bank = NoiseBank.build(frame, root, part=part, procedural=noises, seed=recipe.seed, cache=cache)
    return Car(recipe.car, cabin_bank(part, getattr(recipe.cabins, part), recipe.seed, cache), bank)


def add_parser(sub: Any) -> None:
    """Declare the subcommand's arguments."""
    parser = sub.add_parser(
        "render",
        help="hear recordings through the simulated car: mirror rows",
        epilog="example: asr-pretrain render asr_pretrain/recipes/drives.yaml --out .",
    )
    parser.add_argument("recipe", type=Path, help="a YAML recipe such as asr_pretrain/recipes/drives.yaml")
    parser.add_argument(
        "--recordings", "--manifest", type=Path, help="the recordings manifest (default: the recipe's)"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of drives.parquet and drives/ (default: the recipe's)"
    )
    parser.add_argument(
        "--utterances", type=int, nargs=3, metavar=("TRAIN", "DEV", "TEST"), help="drives of each part"
    )


def run(args: argparse.Namespace) -> int:
    """Render; 0 when every drive is there."""
    recipe = load_recipe(args.recipe, RenderRecipe)
    utterances = args.utterances and PerPart(**dict(zip(PARTS, args.utterances, strict=True)))
    given = {"recordings": args.recordings, "out": args.out, "utterances": utterances}
    recipe = recipe.model_copy(update={key: value for key, value in given.items() if value is not None})
    if os.environ.get("OMP_NUM_THREADS") is None:
        torch.set_num_threads(1)  # a cut is too short to share among threads
    manifest = render(recipe)
    counts = read_manifest(manifest).group_by("part").len().sort("part").rows()
    summary = {"manifest": str(manifest), "utterances": dict(counts)}
    print(json.dumps(summary), file=sys.stdout)
    return 0
