"""``mirror-device meter``: how loud it is and how near to waking, live."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mirror_device import listen

if TYPE_CHECKING:
    from mirror_device.stop import Stop

EPILOG = """\
examples:
  mirror-device meter                                      the default microphone
  mirror-device meter --device USB
  mirror-device meter --control unix:///run/mirror-device/control     what a running daemon hears
  mirror-device meter drive.wav | tail                     one line a second where nobody looks on

A bar each for the level and for each word's score; | is its threshold. Ctrl-C ends it.
"""
QUIETEST_DBFS = -80.0
WIDTH = 30
LINE_EVERY_S = 1.0
POLL_S = 0.1


@dataclass(frozen=True)
class Reading:
    """What is shown."""

    time_s: float
    level_dbfs: float
    scores: dict[str, float]
    thresholds: dict[str, float]


def add_parser(sub: Any) -> None:
    """Declare the subcommand."""
    parser = sub.add_parser(
        "meter",
        help="a live bar of level and score",
        description="Show level and scores, live.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    listen.add_source_arguments(parser)
    parser.add_argument("--control", metavar="ADDRESS", help="of a running daemon, instead of a microphone")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Returns the exit status. Raises ValueError (ModelError, SoundError) for unusable input."""
    from mirror_device.stop import Stop

    with Stop() as stop:
        readings = _of_daemon(args.control, stop) if args.control else _of_sound(args, stop)
        try:
            show(readings, stop, sys.stdout.isatty())
        except BrokenPipeError:
            listen.let_go_of_output()
    return 0


def show(readings: Iterator[Reading], stop: Stop, live: bool) -> None:
    """On a terminal one line that moves, else a line a second with the highest scores of it."""
    highest: dict[str, float] = {}
    due_s = 0.0
    for reading in readings:
        if live:
            print(f"\r{line(reading)}\033[K", end="", flush=True)
        else:
            highest = {word: max(score, highest.get(word, 0.0)) for word, score in reading.scores.items()}
            if reading.time_s >= due_s:
                due_s = reading.time_s + LINE_EVERY_S
                print(
                    line(Reading(reading.time_s, reading.level_dbfs, highest, reading.thresholds)), flush=True
                )
                highest = {}
        if stop.requested:
            break
    if live:
        print()


def line(reading: Reading) -> str:
    """One reading as bars."""
    share = 1 - reading.level_dbfs / QUIETEST_DBFS
    parts = [f"{reading.time_s:8.1f} s {reading.level_dbfs:6.1f} dBFS {bar(share)}"]
    for word, score in reading.scores.items():
        parts.append(f"{word} {score:4.2f} {bar(score, reading.thresholds.get(word))}")
    return "  ".join(parts)


def bar(share: float, mark: float | None = None) -> str:
    """``share`` of a bar is filled, from 0 to 1; ``mark`` is shown as |."""
    filled = round(WIDTH * min(max(share, 0.0), 1.0))
    cells = ["#"] * filled + ["."] * (WIDTH - filled)
    if mark is not None:
        cells[min(round(WIDTH * mark), WIDTH - 1)] = "|"
    return "".join(cells)


def _of_sound(args: argparse.Namespace, stop: Stop) -> Iterator[Reading]:
    from mirror_device.detector import Detector
    from mirror_device.logmel import STEP_SAMPLES
    from mirror_device.service.level import level_dbfs

    detector = Detector(args.model)
    thresholds = {word.phrase: word.threshold for word in detector.keywords}
    steps = 0
    for block in listen.open_blocks(args, stop):
        for start in range(0, len(block), STEP_SAMPLES):
            part = block[start : start + STEP_SAMPLES]
            for row in detector.scores(part):
                steps += 1
                scores = dict(zip(thresholds, row.tolist(), strict=True))
                yield Reading(steps * detector.step_s, level_dbfs(part), scores, thresholds)


def _of_daemon(address: str, stop: Stop) -> Iterator[Reading]:
    from mirror_device.status import ask

    while not stop.requested:
        status = ask(address, json.dumps({"command": "status"}))
        yield Reading(status["heard_s"], status["level_dbfs"], status["scores"], status["thresholds"])
        time.sleep(POLL_S)
