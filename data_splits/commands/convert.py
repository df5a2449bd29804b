"""`data-splits convert`: a manifest as other tools read it, or a CSV or a folder tree as a manifest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "convert",
        help="a manifest as CSV, for SpeechBrain, Lhotse or as folders; or a CSV or folders as a manifest",
        description="Write a manifest as one CSV (labels.PHRASE columns), as SpeechBrain's CSV or JSON or "
        "Lhotse's cuts, a file a split, or as folders that --tree names; or read such a CSV (FROM ends in "
        ".csv) or such folders (FROM is one) into a Parquet manifest. Paths to audio become absolute. "
        "Corpora of SpeechBrain and Lhotse come by asr-pretrain prepare.",
        epilog="examples: data-splits convert plan.parquet --to lhotse --out cuts; "
        "data-splits convert takes/ --tree '{label}/{speaker}_{*}' --set domain=mirror --to parquet "
        "--out takes.parquet",
    )
    parser.add_argument("source", type=Path, metavar="FROM")
    kinds = ("csv", "speechbrain", "speechbrain-json", "lhotse", "tree", "parquet")
    parser.add_argument("--to", choices=kinds, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a file for csv and parquet, else a folder")
    parser.add_argument(
        "--tree",
        metavar="PATTERN",
        help="what the path of a recording says, without its suffix: '{split}/{label}/{speaker}/{id}'; "
        "{*} is anything",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="of folders: a column that is the same for all (repeatable)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Convert and name what was written."""
    from data_splits import interchange, tree
    from data_splits.manifest import normalise, read_manifest, rooted, write_manifest
    from data_splits.schema import ManifestError

    if (args.source.is_dir() or args.to == "tree") and args.tree is None:
        raise ManifestError(f"{args.source}: folders need --tree, such as '{{label}}/{{speaker}}/{{id}}'")
    if args.source.is_dir():
        pairs = [word.partition("=") for word in args.set]
        if any(not value for _, _, value in pairs):
            raise ManifestError(f"--set {' '.join(args.set)}: give COLUMN=VALUE")
        constants = {name: value for name, _, value in pairs}
        frame, left_out = tree.read_tree(args.source, args.tree, constants)
        for path, reason in left_out:
            print(f"left out: {path}: {reason}", file=sys.stderr)
        frame = normalise(frame, str(args.source), require_split=False)
    elif args.source.suffix == ".csv":
        frame = normalise(interchange.read_csv(args.source), str(args.source))
    else:
        frame = read_manifest(args.source)
    frame = rooted(frame, args.source)
    if args.to == "parquet":
        write_manifest(frame, args.out, require_split=not args.source.is_dir())
        written = [args.out]
    elif args.to == "tree":
        written = tree.write_tree(frame, Path("/"), args.out, args.tree)
    else:
        write = {
            "csv": interchange.write_csv,
            "speechbrain": interchange.write_speechbrain,
            "speechbrain-json": interchange.write_speechbrain_json,
            "lhotse": interchange.write_lhotse,
        }[args.to]
        written = write(frame, args.out)
    print("\n".join(map(str, written)))
    return 0
