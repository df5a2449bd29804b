"""`data-splits faults`: does every rule see the faults that are put in for it?"""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "faults",
        help="put faults into clean manifests and count what the audit sees",
        description="Generate clean manifests, put every known fault into one of them, and print for each "
        "rule how many it caught with the right ids, and in how many clean manifests it raised a false "
        "alarm. Exit 1 when a fault was missed or a clean manifest blamed.",
        epilog="example: data-splits faults --manifests 5",
    )
    parser.add_argument("--manifests", type=int, default=3, help="clean manifests (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the table and what was missed."""
    import polars as pl

    from data_splits.faults.table import N_GENERAL, N_MIRROR, fault_table
    from data_splits.generate import generate

    if args.manifests < 1:
        raise ValueError(f"--manifests {args.manifests}: at least 1")
    table, missed = fault_table(
        [generate(N_GENERAL, N_MIRROR, seed) for seed in range(1, args.manifests + 1)]
    )
    with pl.Config(
        tbl_rows=-1,
        fmt_str_lengths=60,
        tbl_width_chars=120,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_formatting="ASCII_MARKDOWN",
    ):
        print(table)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return int(bool(missed) or table.to_series(-1).sum() > 0)
