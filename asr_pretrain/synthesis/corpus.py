"""A small synthetic corpus for a machine without recordings: wake words, near-misses, sentences, noise.

    asr-pretrain corpus --out runs/corpus

Writes FLAC files and `recordings.parquet`, a recordings manifest like the one of real recordings. Voices of
train, dev and test are disjoint, down to the synthesizer's variant. It shows that the chain works, no more:
figures measured on synthetic speech say nothing about people.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr_pretrain.synthesis.casting import Task

MANIFEST = "recordings.parquet"
SIZES = ("demo", "training", "tiny")
_STAMP = "corpus.json"
_VERSION = 2  # part of the stamp: raise it when the same seed gives other sounds


class CorpusError(ValueError):
    """The corpus cannot be made there; the message says why and what to do."""


def make_corpus(out: Path, seed: int = 0, size: str = "demo", *, quiet: bool = False) -> Path:
    """Make the corpus under `out` unless it is there already; seed and size decide every sample.

    Args:
        out: a new or empty folder, or one that an earlier call made.
        size: `demo` (2,640 recordings, 2 h), `training` (21,000, all train) or `tiny` (for tests).
        quiet: no progress bar.

    Returns:
        The manifest's path.

    Raises:
        CorpusError: an unknown size, or a folder that holds something else.
        OSError: the folder cannot be written.
    """
    if size not in SIZES:
        raise CorpusError(f"size {size!r}: one of {', '.join(SIZES)}")
    out = Path(out)
    manifest, stamp = out / MANIFEST, out / _STAMP
    wanted = {"version": _VERSION, "seed": seed, "size": size}
    if manifest.is_file() and stamp.is_file() and _read_stamp(stamp) == wanted:
        return manifest
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not stamp.is_file())):
        raise CorpusError(f"{out}: holds something else; name a new or empty folder")
    # Imported late: a finished corpus needs none of it, and it takes seconds.
    import polars as pl

    from asr_pretrain.synthesis.casting import PARTS, make, tasks
    from data_splits.manifest import write_manifest

    for part in PARTS:
        (out / part).mkdir(parents=True, exist_ok=True)
    manifest.unlink(missing_ok=True)  # written last: while it is missing, the corpus is not whole
    stamp.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
    # All texts first: going back and forth between reading and speaking would load each voice anew.
    rows = [make(task, out) for task in _progress(list(tasks(size, seed)), quiet)]
    write_manifest(pl.DataFrame(rows, infer_schema_length=None), manifest)
    return manifest


def _read_stamp(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _progress(tasks: list[Task], quiet: bool) -> Iterator[Task]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        yield from progress.track(tasks, description="synthesizing")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `corpus` to the command line."""
    parser = subparsers.add_parser(
        "corpus",
        help="synthesize a small corpus, where there are no recordings",
        description="Synthesize a small corpus: FLAC files and recordings.parquet. Skipped when done.",
        epilog="example: asr-pretrain corpus --out runs/corpus",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--size", choices=SIZES, default="demo", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Make the corpus and print its manifest's path."""
    if args.seed < 0:
        raise CorpusError(f"--seed {args.seed}: must be 0 or more")
    manifest = make_corpus(args.out, args.seed, args.size, quiet=not sys.stderr.isatty())
    print(manifest)
    return 0
