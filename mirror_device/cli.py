"""The ``mirror-device`` command. A new subcommand is one module with ``add_parser`` and one entry below."""

from __future__ import annotations

import argparse
import os
import sys

from mirror_device import bench, bundle, devices, install_service, listen, meter, selftest, serve, status

SUBCOMMANDS = (listen, serve, status, meter, devices, selftest, bench, bundle, install_service)


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand; returns 0 when it went well, 2 for unusable input."""
    # Before numpy is imported: a step is too small to share, and each thread costs memory.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(
        prog="mirror-device",
        description="The mirror's always-on wake-word daemon.",
        epilog="example: mirror-device listen drive.wav",
    )
    sub = parser.add_subparsers(metavar="COMMAND", required=True)
    for subcommand in SUBCOMMANDS:
        subcommand.add_parser(sub)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except ValueError as exc:  # ModelError, SoundError and wrong arguments
        print(f"error: {exc}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
