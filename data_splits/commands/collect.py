"""`data-splits collect`: the development recordings as a manifest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "collect",
        help="write the manifest of the development recordings",
        description="Write a manifest of the recordings in DIR: one row a file, split as their makers parted "
        "them, all of domain general. Nothing is decoded.",
        epilog="example: data-splits collect ../shared/data --out recordings.parquet",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="DIR",
        help="folder that holds manifest.jsonl (default: $REARVIEW_DATA, ./data, ../shared/data)",
    )
    parser.add_argument("--out", type=Path, default=Path("recordings.parquet"), help="default: %(default)s")
    return parser


def run(args: argparse.Namespace) -> int:
    """Collect, write, and print what was found."""
    import polars as pl

    from data_splits.manifest import write_manifest
    from data_splits.recordings import collect, find_recordings

    folder = args.folder or find_recordings()
    if folder is None:
        raise ValueError(
            "no recordings found in $REARVIEW_DATA, ./data or ../shared/data; name their folder, "
            "or let the demo make a synthetic corpus"
        )
    frame = collect(folder)
    write_manifest(frame, args.out)
    for split, n_rows, hours, n_speakers in (
        frame.group_by("split", maintain_order=True)
        .agg(pl.len(), pl.col("duration_s").sum() / 3600, pl.col("speaker").drop_nulls().n_unique())
        .sort("split")
        .iter_rows()
    ):
        print(
            f"{split:6} {n_rows:6} recordings  {hours:5.2f} h  {n_speakers:4} named speakers", file=sys.stderr
        )
    print(f"wrote {args.out}", file=sys.stderr)
    return 0
