"""`data-splits convert`: a manifest as other tools read it, or a CSV as a manifest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "convert",
        help="a manifest as CSV, for SpeechBrain or for Lhotse, or a CSV as a manifest",
        description="Write a manifest as one CSV (labels.PHRASE columns), as SpeechBrain's CSV or Lhotse's "
        "cuts, a file a split; or read such a CSV (FROM ends in .csv) into a Parquet manifest. Paths to "
        "audio become absolute. Corpora of SpeechBrain and Lhotse come by asr-pretrain prepare.",
        epilog="example: data-splits convert plan.parquet --to lhotse --out cuts",
    )
    parser.add_argument("source", type=Path, metavar="FROM")
    parser.add_argument("--to", choices=("csv", "speechbrain", "lhotse", "parquet"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="a file; a folder for speechbrain and lhotse")
    return parser


def run(args: argparse.Namespace) -> int:
    """Convert and name what was written."""
    from data_splits import interchange
    from data_splits.manifest import normalise, read_manifest, rooted, write_manifest

    if args.source.suffix == ".csv":
        frame = normalise(interchange.read_csv(args.source), str(args.source))
    else:
        frame = read_manifest(args.source)
    frame = rooted(frame, args.source)
    if args.to == "parquet":
        write_manifest(frame, args.out)
        written = [args.out]
    else:
        write = {
            "csv": interchange.write_csv,
            "speechbrain": interchange.write_speechbrain,
            "lhotse": interchange.write_lhotse,
        }[args.to]
        written = write(frame, args.out)
    print("\n".join(map(str, written)))
    return 0
