"""``mirror-device devices``: the microphones that ``listen --device`` can name."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import Any

EPILOG = """\
examples:
  mirror-device devices
  mirror-device devices --backend pyaudio --json
"""


def add_parser(sub: Any) -> None:
    """Declare the subcommand."""
    parser = sub.add_parser(
        "devices",
        help="list the microphones",
        description="List the microphones; * marks the default one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--backend", choices=("sounddevice", "pyaudio"), default="sounddevice", help="%(default)s"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Returns the exit status: 0, also where there is no microphone. Raises SoundError without PortAudio."""
    from mirror_device.portaudio import BACKENDS

    devices = BACKENDS[args.backend]().inputs()
    for device in devices:
        if args.json:
            print(json.dumps(dataclasses.asdict(device), ensure_ascii=False))
        else:
            mark = "*" if device.default else " "
            print(
                f"{mark} {device.index:3d}  {device.name}  ({device.channels} channels, {device.rate_hz} Hz)"
            )
    if not devices:
        print("no microphone found", file=sys.stderr)
    return 0
