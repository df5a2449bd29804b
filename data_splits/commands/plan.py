"""`data-splits plan`: sources and a recipe in, a manifest with splits out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "plan",
        help="give every row its split, cutting no group",
        description="Join the recipe's sources and give every row its split. Groups (speakers, sessions, "
        "vehicles, noise recordings, cabins, parents) never cross the train side, dev and test; a part given "
        "by the source is kept. Prints target against achieved, and what shuffling all rows would have done.",
        epilog="example: data-splits plan mirror --source recordings.parquet --source drives.parquet "
        "--out plan.parquet",
    )
    parser.add_argument("recipe", help="YAML file, or the name of a shipped recipe (mirror)")
    parser.add_argument(
        "--source", action="append", metavar="MANIFEST", help="use these sources instead of the recipe's"
    )
    parser.add_argument("--out", type=Path, default=Path("plan.parquet"), help="default: %(default)s")
    return parser


def run(args: argparse.Namespace) -> int:
    """Plan, write, and print the table."""
    import polars as pl

    from data_splits.alternative import compare_with_shuffle
    from data_splits.manifest import write_manifest
    from data_splits.plan import describe, describe_strata, make_plan, with_units
    from data_splits.recipe import load_recipe

    recipe = load_recipe(args.recipe, sources=args.source)
    plan = make_plan(recipe, Path.cwd(), args.out.parent)
    write_manifest(plan.frame, args.out)
    for note in plan.notes:
        print(note, file=sys.stderr)
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=120,
        fmt_str_lengths=60,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_formatting="ASCII_MARKDOWN",
        thousands_separator=",",
    ):
        print(describe(plan, list(recipe.train_dev.at_least)))
        if recipe.stratify:
            print("mirror rows of each split by stratum, %:")
            print(describe_strata(plan, recipe.stratify))
        print("shuffling all rows, then splitting, would have made of dev and test:")
        print(compare_with_shuffle(with_units(plan.frame, recipe.groups), recipe.groups, recipe.seed))
    cut = plan.frame.filter(pl.col("split") == "train_dev")
    achieved = (
        f"{cut['duration_s'].sum() / 3600:.2f} hours" if recipe.train_dev.hours else f"{cut.height} rows"
    )
    print(f"train_dev: {achieved} for a wish of {plan.targets['train_dev']:.6g}")
    print(f"wrote {args.out}", file=sys.stderr)
    return 0
