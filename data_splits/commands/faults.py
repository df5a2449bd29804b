"""`data-splits faults`: does every rule see the faults that are put in for it?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "faults",
        help="put faults into clean manifests and count what the audit sees",
        description="Generate clean manifests, put every known fault into one of them, and print for each "
        "rule how many it caught with the right ids, and in how many clean manifests it raised a false "
        "alarm. With --audio, the rules that listen instead: faults are put into recordings. Exit 1 when a "
        "fault was missed or a clean manifest blamed.",
        epilog="example: data-splits faults --manifests 5",
    )
    parser.add_argument("--manifests", type=int, default=3, help="clean manifests (default: %(default)s)")
    parser.add_argument("--audio", action="store_true", help="faults that only the audio shows")
    parser.add_argument(
        "manifest",
        type=Path,
        nargs="?",
        metavar="MANIFEST",
        help="real recordings for --audio: 40 speakers of one source; without, made-up words",
    )
    parser.add_argument("--seed", type=int, default=1, help="which recordings (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the table and what was missed."""
    import polars as pl

    if args.manifest and not args.audio:
        raise ValueError("a MANIFEST is for --audio: the other faults are put into made-up manifests")
    table, wrong = _listened(args.manifest, args.seed) if args.audio else _read(args.manifests)
    with pl.Config(
        tbl_rows=-1,
        fmt_str_lengths=60,
        tbl_width_chars=120,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_formatting="ASCII_MARKDOWN",
    ):
        print(table)
    for line in wrong:
        print(line, file=sys.stderr)
    return int(bool(wrong) or table.to_series(-1).sum() > 0)


def _read(n_manifests: int) -> tuple[pl.DataFrame, list[str]]:
    from data_splits.faults.table import N_GENERAL, N_MIRROR, fault_table
    from data_splits.generate import generate

    if n_manifests < 1:
        raise ValueError(f"--manifests {n_manifests}: at least 1")
    table, missed = fault_table([generate(N_GENERAL, N_MIRROR, seed) for seed in range(1, n_manifests + 1)])
    return table, [f"missed: {line}" for line in missed]


def _listened(manifest: Path | None, seed: int) -> tuple[pl.DataFrame, list[str]]:
    from data_splits.faults.heard import heard_faults, made_takes, recorded_takes
    from data_splits.manifest import read_manifest

    if manifest is None:
        return heard_faults(made_takes())
    return heard_faults(recorded_takes(read_manifest(manifest), manifest.parent, seed))
