"""`wakeword align`: where in each take the word is, by the general recogniser.

wakeword align recordings.parquet --phrase "smart mirror" --out aligned.parquet

Training wants the model to fire at the word's end, to a tenth of a second. The span of a take's energy is
wrong where somebody breathes, hesitates or goes on speaking; the recogniser's alignment is not. A take in
which it does not find the phrase gets label null: unknown, so it teaches nothing. Scoring goes by the energy,
as the rules have it, so this manifest is for training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import polars as pl

from asr_pretrain.loading.transcripts import read_rows
from asr_pretrain.train import KEPT_ENCODER
from asr_pretrain.training.recipe import RecipeError
from data_splits.audio import read_audio
from data_splits.manifest import write_manifest
from wakeword.finder import ABSENT_COST, Finder, Found


def aligned(frame: pl.DataFrame, phrase: str, found: dict[str, Found], most_cost: float) -> pl.DataFrame:
    """``frame`` with ``word_start_s``, ``word_end_s`` and ``word_cost`` of the takes in ``found`` (by id)."""
    rows = [(name, f.start_s, f.end_s, f.cost) for name, f in found.items()]
    columns = {"id": pl.String, "word_start_s": pl.Float64, "word_end_s": pl.Float64, "word_cost": pl.Float64}
    spans = pl.DataFrame(rows, schema=columns, orient="row")
    absent = [name for name in columns if name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in absent)
    frame = frame.update(spans, on="id", how="left")  # drives keep the spans that they have
    unsure = pl.col("word_cost") > most_cost
    label = pl.when(~unsure.fill_null(value=False)).then(pl.col("labels").struct.field(phrase))
    return frame.with_columns(pl.col("labels").struct.with_fields(label.alias(phrase)))


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "align",
        help="where in each take the word is, by the general recogniser",
        description=__doc__,
        epilog="example: wakeword align recordings.parquet --out aligned.parquet",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", type=Path, help="recordings with takes of the phrase")
    parser.add_argument("--phrase", default="smart mirror", help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="the manifest for training")
    parser.add_argument(
        "--encoder", type=Path, default=KEPT_ENCODER, help="recogniser (default: the kept one)"
    )
    parser.add_argument(
        "--most-cost",
        type=float,
        default=ABSENT_COST,
        help="nats a phone above which a take is none (%(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the manifest. Raises RecipeError when no row says the phrase, ManifestError, AudioError."""
    from rich.progress import track

    frame = read_rows([args.manifest], lambda f: f)
    fields = frame.schema["labels"]
    if not isinstance(fields, pl.Struct) or args.phrase not in [field.name for field in fields.fields]:
        raise RecipeError(f"{args.manifest}: labels no {args.phrase!r}; name the phrase with --phrase")
    said = (pl.col("labels").struct.field(args.phrase) == 1) & (pl.col("domain") == "general")
    takes = frame.filter(said & (pl.col("split") != "test"))  # what is trained on, at most in a fold
    if takes.is_empty():
        raise RecipeError(f"{args.manifest}: no general row has label 1 for {args.phrase!r}")
    finder = Finder(args.phrase, args.encoder)
    rows = takes.select("id", "audio").iter_rows()
    walk = track(rows, "listening", total=len(takes), disable=not sys.stderr.isatty())
    found = {name: finder.find(read_audio(audio, Path("/"))) for name, audio in walk}
    write_manifest(aligned(frame, args.phrase, found, args.most_cost), args.out)
    lost = sorted(((f.cost, name) for name, f in found.items() if f.cost > args.most_cost), reverse=True)
    told = f": {', '.join(name for _, name in lost[:5])}{' …' if len(lost) > 5 else ''}" if lost else ""
    print(f"{len(found)} takes, not found in {len(lost)}{told}")
    print(args.out)
    return 0
