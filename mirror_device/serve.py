"""``mirror-device serve``: the daemon, from one file of configuration."""

from __future__ import annotations

import argparse
import os
import queue
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirror_device.service.config import Config

EPILOG = """\
examples:
  mirror-device serve                                     the default microphone, events on standard output
  mirror-device serve mirror.yaml
  mirror-device serve --source none --wyoming tcp://127.0.0.1:10400     a service for Home Assistant
  arecord -q -t raw -f S16_LE -r 16000 -c 1 | mirror-device serve --source stdin --control none

docs/device.md has every key of the file. SIGTERM and SIGINT end it with status 0; what it cannot use is an
error with status 2; a microphone that has given nothing for five seconds ends it with status 75, to be
restarted.
"""
NO_SOUND = 75  # EX_TEMPFAIL of sysexits.h


def add_parser(sub: Any) -> None:
    """Declare the subcommand."""
    parser = sub.add_parser(
        "serve",
        help="run as a service",
        description="Listen for the wake word, and tell whoever wants to know.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", nargs="?", type=Path, metavar="FILE", help="configuration, .yaml or .toml")
    parser.add_argument(
        "--source", choices=("sounddevice", "pyaudio", "stdin", "none"), help="instead of the file's source"
    )
    parser.add_argument("--device", help="microphone: number, part of its name or ALSA name")
    parser.add_argument(
        "--wyoming", metavar="ADDRESS", help="serve Wyoming there, such as tcp://0.0.0.0:10400"
    )
    parser.add_argument("--metrics", metavar="ADDRESS", help="serve Prometheus there")
    parser.add_argument(
        "--control",
        metavar="ADDRESS",
        help="control socket (default: unix:///run/mirror-device/control with a file, else none)",
    )
    parser.add_argument("--model", action="append", help="shipped model or file, repeatable")
    parser.add_argument("--check", action="store_true", help="check the configuration and stop")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Returns the exit status. Raises ValueError for unusable input."""
    from mirror_device.stop import Stop

    with Stop() as stop:  # before the slow imports: a signal may come at any time
        config = service_config(args.config)
        from mirror_device.service.config import to_document, validated

        config = validated(_given(to_document(config), args), "command line")
        if args.check:
            print("the configuration is good", file=sys.stderr)
            return 0
        from mirror_device.errors import SoundError
        from mirror_device.service.daemon import Daemon
        from mirror_device.service.sources import open_source

        report = Reports()
        daemon = Daemon(config)
        for note in daemon.notes:
            report(note)
        for name, address in daemon.addresses.items():
            report(f"{name}: {address}")
        try:
            daemon.run(open_source(config.source, stop, report), stop, report)
        except SoundError as error:
            report(f"error: {error}")
            report.close()
            return NO_SOUND
        report.close()
        return 0


def service_config(path: Path | None) -> Config:
    """A configuration file, or the defaults. Raises ValueError: cannot be used, or the extra is missing."""
    try:
        from mirror_device.service.config import Config, load_config
    except ImportError as error:
        raise ValueError(
            f"this needs the serve extra: pip install 'rearview-wakeword[serve]' ({error})"
        ) from error
    return Config() if path is None else load_config(path)


def _given(document: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """The file's values with what the command line gives above them."""
    outlets = dict(document.get("outlets", {}))
    if args.wyoming is not None:
        outlets["wyoming"] = {**(outlets.get("wyoming") or {}), "address": args.wyoming}
    if args.metrics is not None:
        outlets["metrics"] = args.metrics
    if args.control is not None:
        outlets["control"] = None if args.control == "none" else args.control
    elif args.config is None:
        outlets["control"] = None
    source = dict(document.get("source", {}))
    if args.source is not None:
        source = {"kind": args.source}
    if args.device is not None:
        source["device"] = args.device
    models = {"models": args.model} if args.model else {}
    return {**document, **models, "outlets": outlets, "source": source}


class Reports:
    """Lines on standard error, by a thread of their own: whoever reads them may stop reading."""

    def __init__(self) -> None:
        self._queue: queue.Queue[str | None] = queue.Queue(256)
        self.dropped = 0
        self._thread = threading.Thread(target=self._write, name="reports", daemon=True)
        self._thread.start()

    def __call__(self, text: str) -> None:
        try:
            self._queue.put_nowait(text)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """What waits is given a moment."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(0.5)

    def _write(self) -> None:
        while (text := self._queue.get()) is not None:
            rest = (text + "\n").encode()
            try:
                while rest:
                    rest = rest[os.write(2, rest) :]
            except OSError:
                return
