"""A corpus that somebody else made, as a manifest and shards to pretrain on.

    asr-pretrain prepare librispeech LibriSpeech --out prepared/librispeech

Resumes where it was stopped. The readers are in `data_splits.corpora`, one module a kind of corpus.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_splits.corpora import CORPORA, Prepared, Wish, prepare
from data_splits.corpora.prepare import Advance
from data_splits.corpora.sound import DEFAULT_MAX_S
from data_splits.schema import SPLITS

_NAMED = 5


def add_parser(subparsers: Any) -> None:
    """Add `prepare` to the command line."""
    kinds = "; ".join(f"{name}: {corpus.summary}" for name, corpus in CORPORA.items())
    parser = subparsers.add_parser(
        "prepare",
        help="another's corpus as a manifest and shards",
        description=f"Make recordings.parquet and shards of a corpus that is on disk. {kinds}. Official dev "
        "and test sets are left out unless --subset names them. A run that was stopped goes on when it is "
        "repeated. What cannot be used is counted, and listed in skipped.jsonl.",
        epilog="example: asr-pretrain prepare librispeech LibriSpeech --out prepared/librispeech "
        "--subset train-clean-100",
    )
    parser.add_argument("kind", choices=list(CORPORA), metavar="KIND", help=", ".join(CORPORA))
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the corpus lies")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="a new folder")
    parser.add_argument(
        "--subset",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="only these (default: all but dev and test)",
    )
    parser.add_argument("--split", choices=SPLITS, default="train", help="of all rows (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N utterances, for a try")
    parser.add_argument(
        "--no-shards", action="store_true", help="write the manifest alone, pointing at the corpus' files"
    )
    parser.add_argument(
        "--per-shard", type=int, default=1000, metavar="N", help="utterances a shard (default: %(default)s)"
    )
    parser.add_argument(
        "--max-s", type=float, default=DEFAULT_MAX_S, help="leave longer ones out (default: %(default)s)"
    )
    parser.add_argument("--licence", help="written into every row (default: the corpus' own, where known)")
    parser.add_argument("--name", help="prefix of ids for a corpus without a name (default: DIR's own)")
    parser.add_argument(
        "--audio-root",
        type=Path,
        metavar="DIR",
        help="the recordings, where a manifest's paths start elsewhere",
    )
    parser.add_argument(
        "--skip-missing", action="store_true", help="leave out transcripts whose audio is not there"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes that decode (default: one a core, 8 at most)"
    )


def run(args: argparse.Namespace) -> int:
    """Prepare, and print the manifest's path; what was left out goes to standard error."""
    wish = Wish(
        subsets=tuple(args.subset) if args.subset else None,
        split=args.split,
        limit=args.limit,
        shards=not args.no_shards,
        per_shard=args.per_shard,
        max_s=args.max_s,
        licence=args.licence,
        name=args.name,
        audio_root=args.audio_root,
        skip_missing=args.skip_missing,
        jobs=min(8, len(os.sched_getaffinity(0))) if args.jobs is None else args.jobs,
    )
    with _progress(sys.stderr.isatty()) as advance:
        prepared = prepare(CORPORA[args.kind], args.folder, args.out, wish, advance)
    _report(prepared)
    print(prepared.manifest)
    return 0


def _report(prepared: Prepared) -> None:
    lines = [
        f"{prepared.utterances} utterances, {prepared.hours:.2f} h, {prepared.speakers} speakers "
        f"of {', '.join(prepared.subsets)}"
    ]
    if prepared.left_out:
        lines.append(f"held out and not read: {', '.join(prepared.left_out)}; --subset names them")
    for reason, ids in sorted(prepared.skipped.items()):
        more = " …" if len(ids) > _NAMED else ""
        lines.append(f"warning: {len(ids)} skipped, {reason}: {', '.join(ids[:_NAMED])}{more}")
    print("\n".join(lines), file=sys.stderr)


@contextmanager
def _progress(shown: bool) -> Iterator[Advance]:
    """A bar a stage; the last one counts utterances, a shard at a time."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    stages: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:

        def advance(doing: str, done: int, total: int | None) -> None:
            if doing not in stages:
                stages[doing] = progress.add_task(doing, total=total)
            progress.advance(stages[doing], done)

        yield advance
