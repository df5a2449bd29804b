"""`data-splits generate`: a made-up manifest of any size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "generate",
        help="write a made-up manifest that breaks no rule, of any size",
        description="Write a manifest of made-up rows, without audio: general recordings in train; drives "
        "half in train, a quarter each in dev and test, of disjoint speakers, cars, days and noise. The "
        "default is as large as the product's. The audit and the plan are timed on it.",
        epilog="example: data-splits generate --general 500000 --mirror 20000 --out big.parquet",
    )
    parser.add_argument("--general", type=int, default=500_000, metavar="ROWS", help="default: %(default)s")
    parser.add_argument("--mirror", type=int, default=20_000, metavar="ROWS", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("generated.parquet"), help="default: %(default)s")
    return parser


def run(args: argparse.Namespace) -> int:
    """Generate and write."""
    from data_splits.generate import generate
    from data_splits.manifest import write_manifest

    frame = generate(args.general, args.mirror, args.seed)
    write_manifest(frame, args.out)
    print(f"wrote {args.out}: {frame.height} rows", file=sys.stderr)
    return 0
