"""`data-splits diff`: what changed between two manifests."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

_SHOWN_IDS = 5


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "diff",
        help="what changed between two manifests",
        description="Compare two manifests by id: rows added, rows removed, rows that moved between splits, "
        "and the columns whose values changed. Exit 0 alike, 1 different, 2 unusable input.",
        epilog="example: data-splits diff plan-old.parquet plan.parquet",
    )
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object on standard output, nothing else"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Compare and print."""
    from data_splits.difference import difference
    from data_splits.manifest import read_manifest

    changes = difference(read_manifest(args.old), read_manifest(args.new))
    if args.json:
        print(json.dumps({"changes": [change.as_dict() for change in changes]}, indent=2, ensure_ascii=False))
    else:
        for change in changes:
            more = " …" if len(change.ids) > _SHOWN_IDS else ""
            print(f"{change.count:>9,}  {change.what}: {', '.join(change.ids[:_SHOWN_IDS])}{more}")
        if not changes:
            print("alike")
    return int(bool(changes))
