"""`data-splits audit`."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    return subparsers.add_parser("audit")


def run(args: argparse.Namespace) -> int:
    """Not there yet."""
    raise NotImplementedError(args)
