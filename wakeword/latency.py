"""`wakeword latency`: how long after the word the daemon's event is there, the drive played in real time.

wakeword latency recordings.parquet --split dev --model smart_mirror

The takes go through the simulated car and, block by block, through a pipe into `mirror-device serve`; the
clock stops when the line of JSON is read. It takes as long as the drive does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mirror_device.fed import BLOCK_S, LEAD_STEPS, FedDaemon
from mirror_device.logmel import STEP_SAMPLES
from wakeword import scoring
from wakeword.blocks import Stream
from wakeword.score import add_stream_arguments, playlist_from
from wakeword.streams import parse_conditions

PERCENTILES = (50, 95, 99)
MOST_MS = {"p95": 250.0, "p99": 400.0}
AFTER_S = 1.0
"""Of silence after a stream, for what its last word makes happen."""


def arrivals(model: Path, stream: Stream) -> np.ndarray:
    """(events, 2): seconds of the stream at which each event's line came, and at which its step ended.

    Raises ValueError.
    """
    found: list[tuple[float, float]] = []
    with FedDaemon(model, stdout=subprocess.PIPE) as daemon:

        def listen() -> None:
            for line in daemon.process.stdout or ():
                came_s = time.monotonic()
                found.append((came_s, json.loads(line)["time_s"]))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        silence = np.zeros(int(AFTER_S / BLOCK_S) * STEP_SAMPLES, np.int16)
        sound = np.concatenate([stream.samples, silence]).astype("<i2").tobytes()
        begun_s = time.monotonic()
        daemon.feed(sound, speed=1.0)
        daemon.stdin.close()
        daemon.process.wait()
        thread.join()
    rows = [(came_s - begun_s, step_end_s - LEAD_STEPS * BLOCK_S) for came_s, step_end_s in found]
    return np.array(rows, np.float64).reshape(-1, 2)


def measured(model: Path, streams: Iterable[Stream]) -> dict[str, Any]:
    """Milliseconds from the word's end to its event, and what of it the daemon added to its steps' ends."""
    late_s, added_s, words = [np.zeros(0)], [np.zeros(0)], 0
    for stream in streams:
        events = arrivals(model, stream)
        spans = np.array([(word.start_s, word.end_s) for word in stream.words]).reshape(-1, 2)
        hits, _ = scoring.match(events[:, 0], spans)
        late_s.append(hits - spans[:, 1])
        added_s.append(events[:, 0] - events[:, 1])
        words += len(spans)
    late, added = (np.concatenate(parts) for parts in (late_s, added_s))
    latency_ms = _percentiles_ms(late)
    return {
        "words": words,
        "hits": int((~np.isnan(late)).sum()),
        "latency_ms": latency_ms,
        "after_the_step_ms": _percentiles_ms(added),
        "bars": {
            f"{name} at most {most:g} ms": (value := latency_ms[name]) is not None and value <= most
            for name, most in MOST_MS.items()
        },
    }


def _percentiles_ms(seconds: np.ndarray) -> dict[str, float | None]:
    values = scoring.latency_percentiles(seconds, PERCENTILES)
    return {
        f"p{p}": None if value is None else round(1000 * value, 1)
        for p, value in zip(PERCENTILES, values, strict=True)
    }


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "latency",
        help="how long after the word the daemon says so, in real time",
        description=__doc__,
        epilog="example: wakeword latency recordings.parquet --split dev --conditions 10 --draws 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_stream_arguments(parser)
    parser.add_argument("--model", default="smart_mirror", help="a shipped model or a file (%(default)s)")
    parser.set_defaults(conditions="10", run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, and print one JSON object; 1 where a bar does not hold."""
    from mirror_device import Detector
    from mirror_device.detector import model_path

    model = model_path(args.model).resolve()
    playlist, car = playlist_from(args, args.keyword or Detector(model).keywords[0].phrase)
    streams = [
        stream
        for condition in parse_conditions(args.conditions)
        for stream in playlist.positives(condition, args.draws, car)
    ]
    result = measured(model, streams)
    print(json.dumps({"model": args.model, "conditions": args.conditions, **result}, indent=1))
    return 0 if all(result["bars"].values()) else 1
