"""``mirror-device install-service``: the systemd unit of a configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

EPILOG = """\
examples:
  mirror-device install-service /etc/mirror-device/mirror.yaml --print
  sudo mirror-device install-service /etc/mirror-device/mirror.yaml
  sudo systemctl daemon-reload && sudo systemctl enable --now mirror-device

The unit has what the configuration needs and no more: without an outlet on the network the daemon has none.
Write it again when the configuration's sources, outlets or folders change.
"""
FOLDER = Path("/etc/systemd/system")
NAME = "mirror-device.service"


def add_parser(sub: Any) -> None:
    """Declare the subcommand."""
    parser = sub.add_parser(
        "install-service",
        help="write the systemd unit",
        description="Write a hardened systemd unit for a configuration.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", nargs="?", type=Path, metavar="FILE", help="configuration, .yaml or .toml")
    parser.add_argument("--print", action="store_true", dest="only_print", help="on standard output only")
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER", help="(%(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Returns the exit status. Raises ValueError for a configuration that cannot be used."""
    from mirror_device.files import write_whole
    from mirror_device.serve import service_config

    config = service_config(args.config)
    from mirror_device.service.unit import unit_text

    path = None if args.config is None else args.config.resolve()
    command = [sys.executable, "-m", "mirror_device.cli", "serve", *([str(path)] if path else [])]
    if path is None:
        command += ["--control", str(config.outlets.control)]
    text = unit_text(config, command, path)
    if args.only_print:
        print(text, end="")
        return 0
    try:
        write_whole(args.to / NAME, text.encode())
    except OSError as error:
        raise ValueError(f"{args.to / NAME}: cannot be written ({error.strerror}); run it as root") from error
    print(f"{args.to / NAME} is written. Now: systemctl daemon-reload && systemctl enable --now {NAME}")
    return 0
