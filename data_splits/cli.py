"""The `data-splits` command: `data-splits collect | plan | audit …`, a module of `commands/` each."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Final

# A new subcommand is one line here: its module has `add_parser(subparsers)` and `run(args) -> int`.
COMMANDS: Final = (
    "data_splits.commands.collect",
    "data_splits.commands.plan",
    "data_splits.commands.audit",
    "data_splits.commands.diff",
    "data_splits.commands.fix",
    "data_splits.commands.sign",
    "data_splits.commands.verify",
    "data_splits.commands.convert",
    "data_splits.commands.shard",
    "data_splits.commands.generate",
    "data_splits.commands.benchmark",
    "data_splits.commands.faults",
    "data_splits.commands.hearing_test",
)
_EXTRA = "audit"
_EXTRA_MODULES = ("polars", "pydantic", "yaml", "rich", "soundfile", "scipy")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, without importing anything heavy."""
    parser = argparse.ArgumentParser(
        prog="data-splits",
        description="Which recording is in which split, and the proof that it is so.",
        epilog="example: data-splits audit plan.parquet",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(name)
        module.add_parser(subparsers).set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; 0 done, 1 the check failed, 2 unusable input (`error: …` on standard error)."""
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _EXTRA_MODULES:
            raise
        print(
            f"error: 'data-splits {args.command}' needs the '{_EXTRA}' extra: "
            f"pip install 'rearview-wakeword[{_EXTRA}]'",
            file=sys.stderr,
        )
        return 2
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "error: interrupted; nothing half-written was left, run the same command again", file=sys.stderr
        )
        return 130


if __name__ == "__main__":
    sys.exit(main())
