"""`data-splits fix`: repair what can be repaired safely, in a new manifest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "fix",
        help="repair what can be repaired safely, in a new manifest beside the old one",
        description="Leave out general rows of dev and test and the train rows whose very audio is held out, "
        "move groups that lie on several sides to the one that has seen most (train, then dev), cut "
        "train_dev where there is none; then audit the result. Labels, transcripts and audio are never "
        "touched, and the manifest itself is not edited. Exit 0 without errors left, 1 with them, 2 unusable "
        "input.",
        epilog="example: data-splits fix plan.parquet --out plan-fixed.parquet",
    )
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="a new manifest (default: MANIFEST's name with -fixed)"
    )
    parser.add_argument(
        "--recipe",
        default="mirror",
        help="plan recipe with the groups never cut and the size of train_dev (default: %(default)s)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Repair, write, print what was done, and audit again."""
    from datetime import UTC, datetime

    from data_splits.audit.finding import ERROR, Audited
    from data_splits.audit.output import print_table
    from data_splits.audit.rules_file import Rules
    from data_splits.audit.verdict import judge
    from data_splits.errors import PlanError
    from data_splits.manifest import read_manifest, rooted, write_manifest
    from data_splits.recipe import load_recipe
    from data_splits.repair import repair

    manifest: Path = args.manifest
    out: Path = args.out or manifest.with_name(f"{manifest.stem}-fixed{manifest.suffix}")
    if out.exists():
        raise PlanError(f"{out}: is there already, and nothing is edited in place; give another --out")
    frame = read_manifest(manifest)
    if out.absolute().parent != manifest.absolute().parent:
        frame = rooted(frame, manifest)
    repaired = repair(frame, load_recipe(args.recipe))
    for sentence in repaired.done or ("nothing to repair: no manifest is written",):
        print(sentence)
    if repaired.done:
        write_manifest(repaired.frame, out)
        print(f"{out}: {repaired.frame.height} of {frame.height} rows")
    verdict = judge(Audited(repaired.frame), Rules(), datetime.now(UTC).date())
    print_table(verdict, repaired.frame.height, sys.stdout)
    return int(verdict.count(ERROR) > 0)
