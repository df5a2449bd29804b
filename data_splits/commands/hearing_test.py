"""`data-splits hearing-test`: how well the audit hears near duplicates, and how fast it looks for them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "hearing-test",
        help="how well near duplicates are found among given recordings",
        description="Copy recordings in every way (gain, crop, offset, Opus, noise, speed), hide the copies "
        "among other takes, and look for them: recall by kind and precision. With --rate, how fast one core "
        "decodes and measures recordings instead; with --search, the processor time of the search among "
        "made-up fingerprints.",
        epilog="example: data-splits hearing-test recordings.parquet --copied 100 --beside 1000",
    )
    parser.add_argument("manifest", type=Path, nargs="?", metavar="MANIFEST")
    parser.add_argument("--copied", type=int, default=100, help="recordings to copy (default: %(default)s)")
    parser.add_argument(
        "--beside",
        type=int,
        default=1000,
        help="recordings to hide them among, other takes of the same words first (default: %(default)s)",
    )
    parser.add_argument("--rate", type=int, metavar="N", help="decode N recordings and print the rate")
    parser.add_argument("--search", type=int, nargs="+", metavar="CLIPS", help="sizes of made-up corpora")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print a table in Markdown."""
    from data_splits.audit.sound.trial import decoding_rate, search_curve, trial
    from data_splits.manifest import read_manifest

    if args.search:
        _print_rows(search_curve(args.search, args.seed))
        return 0
    if args.manifest is None:
        raise ValueError("give a MANIFEST of recordings, or --search with sizes")
    if args.rate is not None:
        if args.rate < 1:
            raise ValueError(f"--rate {args.rate}: at least 1")
        frame = read_manifest(args.manifest)
        _print_rows([decoding_rate(frame, args.manifest.parent, args.rate, args.seed)])
        return 0
    if args.copied < 1 or args.beside < 0:
        raise ValueError(f"--copied {args.copied} --beside {args.beside}: at least 1, and not below 0")
    found = trial(read_manifest(args.manifest), args.manifest.parent, args.copied, args.beside, args.seed)
    print("| copy | recall |\n|---|---|")
    for kind, recall in found["recall"].items():
        print(f"| {kind} | {recall:.3f} |")
    print(
        f"\n{found['copied']} recordings copied, {found['recordings']} in all; {found['pairs']} pairs found, "
        f"precision {found['precision']:.4f}"
    )
    for pair in found["wrong"]:
        print(f"not one: {pair['one']} and {pair['other']}, coherence {pair['coherence']:.2f}")
    return 0


def _print_rows(rows: list[dict[str, float]]) -> None:
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(f'{value:,.4g}' for value in row.values())} |")
