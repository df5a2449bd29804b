"""Takes of the wake word in voices that nobody recorded: real articulation, another body.

wakeword voices recordings.parquet --phrase "smart mirror" --per-take 40 --readers 40 --out voices

Each take is parted by WORLD and said again in drawn voices (`voices.py`), and in those of the manifest's
readers (`readers.py`). A new take keeps its parent's speaker and split: what is held out stays held out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2s
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from asr_pretrain.loading.transcripts import read_rows
from asr_pretrain.train import KEPT_ENCODER
from asr_pretrain.training.recipe import RecipeError
from data_splits.audio import pcm_sha256, read_audio
from data_splits.manifest import write_manifest
from wakeword.readers import Ear, Reader, Spoken, change_towards
from wakeword.spans import tight_span
from wakeword.voices import VoiceChange, draw_voice, speak
from wakeword.world import SAMPLE_RATE_HZ, Analysed, analyse

TRANSFORMED, READERS = "transformed", "readers"
"""Sources of the new rows."""
MARGIN_S = 0.25
"""Kept before and after the word."""
_KEPT = ("text", "domain", "speaker", "labels", "split", "licence")


@dataclass(frozen=True)
class Lenders:
    """Who lends a voice, and to how many versions of a take."""

    ear: Ear
    readers: list[Reader]
    per_take: int


def takes_of(manifest: Path, phrase: str, splits: list[str]) -> pl.DataFrame:
    """General rows that say ``phrase``. Raises RecipeError when there is none, ManifestError."""
    label = pl.col("labels").struct.field(phrase)
    said = pl.col("split").is_in(splits) & (pl.col("domain") == "general") & (label == 1)
    takes = read_rows([manifest], lambda frame: frame.filter(said))
    if not len(takes):
        raise RecipeError(f"{manifest}: no {' or '.join(splits)} row has label 1 for {phrase!r}")
    return takes


def readers_of(manifest: Path, phrase: str, ear: Ear) -> Iterator[Reader]:
    """Everybody of the train part who says something else, and enough of it."""
    wanted = (pl.col("split") == "train") & (pl.col("domain") == "general") & pl.col("speaker").is_not_null()
    wanted &= pl.col("labels").struct.field(phrase).ne_missing(1) & pl.col("noise_kind").is_null()
    rows = read_rows([manifest], lambda frame: frame.filter(wanted)).sort("speaker", "id")
    for (name,), mine in rows.group_by("speaker", maintain_order=True):
        reader = ear.reader(str(name), (Path(audio) for audio in mine["audio"]))
        if reader is not None:
            yield reader


def make(
    takes: pl.DataFrame, out: Path, seed: int, per_take: int, lenders: Lenders | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of the new takes; writes their FLAC files into ``out``. Raises AudioError."""
    out.mkdir(parents=True, exist_ok=True)
    for row in takes.iter_rows(named=True):
        samples = _around_the_word(read_audio(row["audio"], Path("/")))
        take = analyse(samples)
        rng = np.random.default_rng([seed, *row["id"].encode()])
        for number in range(per_take):
            voice = draw_voice(rng, take.mean_pitch_hz)
            yield _kept(row, out, TRANSFORMED, number, str(voice.seed), voice, partial(speak, take, voice))
        if lenders is None:
            continue
        heard = lenders.ear.hear(samples)
        for number in range(lenders.per_take):
            reader = lenders.readers[int(rng.integers(len(lenders.readers)))]
            voice = _as_reader(take, reader, rng)
            say = partial(_speak_as, reader, heard, take, voice)
            yield _kept(row, out, READERS, number, reader.name, voice, say)


def _as_reader(take: Analysed, reader: Reader, rng: np.random.Generator) -> VoiceChange:
    """Pace, liveliness and a little of everything else are drawn; pitch and spectrum are the reader's."""
    drawn = draw_voice(rng, take.mean_pitch_hz)
    return replace(
        drawn,
        pitch_ratio=float(np.clip(reader.pitch_hz / take.mean_pitch_hz, 0.5, 2.2)),
        warp_low=float(np.exp(rng.normal(0, 0.02))),
        warp_high=float(np.exp(rng.normal(0, 0.02))),
        vowel_drift=drawn.vowel_drift / 2,
        tilt_db_per_octave=0.0,
        equaliser_db=(0.0,) * len(drawn.equaliser_db),
    )


def _speak_as(reader: Reader, heard: Spoken, take: Analysed, voice: VoiceChange) -> np.ndarray:
    return speak(take, voice, change_towards(reader, heard, take))


def _kept(
    row: dict[str, Any],
    out: Path,
    source: str,
    number: int,
    speaker: str,
    voice: VoiceChange,
    say: Callable[[], np.ndarray],
) -> dict[str, Any]:
    """One take's row; says it and writes it, unless an earlier run did: its name tells the voice."""
    import soundfile

    drawn = blake2s(f"{speaker} {voice}".encode(), digest_size=4).hexdigest()
    name = f"{source}-{row['id'].replace('/', '_')}-{number:03d}-{drawn}.flac"
    if not (out / name).exists():
        soundfile.write(out / f"{name}.part", say(), SAMPLE_RATE_HZ, format="FLAC")
        (out / f"{name}.part").replace(out / name)
    samples = read_audio(name, out)
    return {
        **{key: row.get(key) for key in _KEPT},
        "id": f"{source}/{row['id']}/{number:03d}",
        "audio": name,
        "duration_s": len(samples) / SAMPLE_RATE_HZ,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "source": source,
        "clean_parent": row["id"],
        "pcm_sha256": pcm_sha256(samples),
        "voice": speaker,
    }


def _around_the_word(samples: np.ndarray) -> np.ndarray:
    start, end = (int(t * SAMPLE_RATE_HZ) for t in tight_span(samples))
    margin = int(MARGIN_S * SAMPLE_RATE_HZ)
    return samples[max(0, start - margin) : end + margin]


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "voices",
        help="takes of the wake word in voices that nobody recorded",
        description=__doc__,
        epilog="example: wakeword voices recordings.parquet --readers 40 --out voices",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", type=Path, help="recordings; their train takes are said again")
    parser.add_argument("--phrase", default="smart mirror", help="default: %(default)s")
    parser.add_argument("--per-take", type=int, default=40, help="drawn voices a take (default: %(default)s)")
    parser.add_argument("--readers", type=int, default=0, help="readers a take (default: none)")
    parser.add_argument(
        "--encoder", type=Path, default=KEPT_ENCODER, help="by which readers are compared (default: the kept)"
    )
    parser.add_argument(
        "--split", action="append", choices=("train", "train_dev", "dev"),
        help="repeatable (default: train). Other splits only for folds, whose models never ship",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="a folder for takes and recordings.parquet")
    parser.add_argument("--seed", type=int, default=0, help="of the voices")


def run(args: argparse.Namespace) -> int:
    """Make the takes and their manifest."""
    from rich.progress import track

    for name, count in (("--per-take", args.per_take), ("--readers", args.readers)):
        if not 0 <= count <= 10_000:
            raise RecipeError(f"{name} {count}: between 0 and 10,000")
    if args.per_take + args.readers == 0:
        raise RecipeError("--per-take 0 and --readers 0: nothing to make")
    hidden = not sys.stderr.isatty()
    takes = takes_of(args.manifest, args.phrase, args.split or ["train"])
    lenders = None
    if args.readers:
        ear = Ear(args.encoder)
        heard = readers_of(args.manifest, args.phrase, ear)
        lenders = Lenders(
            ear, list(track(heard, "hearing readers", total=None, disable=hidden)), args.readers
        )
        if not lenders.readers:
            raise RecipeError(f"{args.manifest}: no train speaker says enough; use --readers 0")
        print(f"{len(lenders.readers)} readers", flush=True)
    total = len(takes) * (args.per_take + args.readers)
    rows = make(takes, args.out, args.seed, args.per_take, lenders)
    made = list(track(rows, "speaking", total=total, disable=hidden))
    write_manifest(pl.DataFrame(made, infer_schema_length=None), args.out / "recordings.parquet")
    print(f"{len(made)} takes: {args.out / 'recordings.parquet'}")
    return 0
