"""`wakeword cost`: processor time of the daemon and of other engines over the same drive, in one run.

wakeword cost recordings.parquet --model smart_mirror --repeat 5

The daemon counts as a whole: pipe, front end, network, decision, event. Of another engine only what its own
Python binding spends on a frame counts. Each runs in a process of its own, one after the other and again.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from wakeword.blocks import SAMPLE_RATE_HZ, StreamError
from wakeword.peers import ENGINES, PeerError, find
from wakeword.score import add_stream_arguments, playlist_from

OURS = "mirror-device serve"
MOST_OF = {"porcupine": 0.5, "openwakeword": 0.1}
"""What the daemon may cost, of each engine."""
MOST_RESIDENT_MB, MOST_START_S = 45.0, 1.0


def peer_cost(engine: str, phrase: str, samples: np.ndarray, speed: float = 0.0) -> dict[str, float]:
    """Share of a processor that an engine takes, and peak MB, in a process of its own.

    Args:
        samples: (n,) int16, 16 kHz.
        speed: as of `mirror_device.fed.feed`.

    Raises PeerError.
    """
    from mirror_device.fed import feed

    command = [sys.executable, "-m", "wakeword.cost", engine, phrase]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            raise PeerError(f"{engine}: no pipe to it")
        if not process.stdout.readline():
            raise PeerError(f"{engine}: cannot be run; its errors are above")
        feed(process.stdin, samples.astype("<i2").tobytes(), speed)
        process.stdin.close()
        found: dict[str, float] = json.loads(process.stdout.readline() or "null")
    if not found:
        raise PeerError(f"{engine}: ended early; its errors are above")
    return found


def _peer(engine: str, phrase: str) -> None:
    """The process of `peer_cost`: sound on standard input, figures on standard output."""
    peer = find(engine, phrase)
    run = peer.score() if peer.score is not None else peer.fire(peer.default) if peer.fire else None
    if run is None:
        raise PeerError(f"{engine}: neither scores nor fires")
    print("ready", flush=True)
    spent_s, blocks = 0.0, 0
    while len(content := sys.stdin.buffer.read(2 * peer.step_samples)) == 2 * peer.step_samples:
        block = np.frombuffer(content, "<i2").astype(np.int16)
        begun_s = time.process_time()
        run(block)
        spent_s += time.process_time() - begun_s
        blocks += 1
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    share = spent_s / max(1, blocks) / peer.step_s
    print(json.dumps({"cpu_share": round(share, 6), "peak_mb": round(peak_mb, 1)}), flush=True)


def daemon_cost(model: Path, samples: np.ndarray, speed: float) -> dict[str, float]:
    """The same of the whole daemon, and how long it took to start. Raises ValueError."""
    from mirror_device.fed import FedDaemon

    with FedDaemon(model) as daemon:
        before_s = daemon.cpu_s()
        daemon.feed(samples.astype("<i2").tobytes(), speed)
        spent_s = daemon.settled_cpu_s() - before_s
        return {
            "cpu_share": round(spent_s / (samples.size / SAMPLE_RATE_HZ), 6),
            "peak_mb": round(daemon.highest_resident_mb(), 1),
            "start_s": round(daemon.start_s, 2),
            "start_cpu_s": round(daemon.start_cpu_s, 2),
        }


def compared(
    model: Path, engines: list[str], phrase: str, samples: np.ndarray, repeat: int, speed: float
) -> dict[str, Any]:
    """All of them ``repeat`` times in turn: medians, what the daemon costs of each, and whether bars hold."""
    runs: dict[str, list[dict[str, float]]] = {OURS: [], **{engine: [] for engine in engines}}
    for _ in range(repeat):
        for name, done in runs.items():
            one = (
                daemon_cost(model, samples, speed)
                if name == OURS
                else peer_cost(name, phrase, samples, speed)
            )
            done.append(one)
    medians = {
        name: {key: statistics.median(run[key] for run in done) for key in done[0]}
        for name, done in runs.items()
    }
    ours = medians[OURS]
    ratios = {
        name: round(ours["cpu_share"] / medians[name]["cpu_share"], 4)
        for name in engines
        if medians[name]["cpu_share"] > 0
    }
    bars = {
        f"at most {MOST_OF[n]:g} of {n}": ratio <= MOST_OF[n] for n, ratio in ratios.items() if n in MOST_OF
    }
    return {
        "audio_s": samples.size / SAMPLE_RATE_HZ,
        "speed": speed,
        "cpu_ms_per_audio_s": {name: round(1000 * found["cpu_share"], 3) for name, found in medians.items()},
        "all_cpu_ms_per_audio_s": {
            name: [round(1000 * run["cpu_share"], 3) for run in done] for name, done in runs.items()
        },
        "ratios": ratios,
        "resident_mb": ours["peak_mb"],
        "start_s": ours["start_s"],
        "start_cpu_s": ours["start_cpu_s"],
        "bars": {
            **bars,
            f"at most {MOST_RESIDENT_MB:g} MB resident": ours["peak_mb"] <= MOST_RESIDENT_MB,
            f"listens within {MOST_START_S:g} s": ours["start_s"] <= MOST_START_S,
        },
    }


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "cost",
        help="processor time of the daemon and of other engines",
        description=__doc__,
        epilog="example: wakeword cost recordings.parquet --split dev --engine porcupine",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_stream_arguments(parser)
    parser.add_argument("--model", default="smart_mirror", help="a shipped model or a file (%(default)s)")
    parser.add_argument(
        "--engine",
        action="append",
        choices=tuple(ENGINES),
        help="repeatable (default: porcupine and openwakeword)",
    )
    parser.add_argument("--phrase", default="alexa", help="of the other engines (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="of drive (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="times each (default: %(default)s)")
    parser.add_argument(
        "--speed",
        type=float,
        default=0.0,
        help="1 in real time, 0 (the default) as fast as it is heard",
    )
    parser.set_defaults(conditions="10", run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, and print one JSON object; 1 where a bar does not hold."""
    from mirror_device.detector import model_path

    if args.repeat < 1 or args.seconds < 1 or args.speed < 0:
        raise StreamError("--repeat and --seconds are at least 1, --speed at least 0")
    playlist, car = playlist_from(args, args.keyword or "smart mirror")
    condition = args.conditions.split(",")[0]
    stream = next(iter(playlist.positives(condition, args.draws, car)))
    samples = stream.samples[: args.seconds * SAMPLE_RATE_HZ]
    engines = args.engine or list(MOST_OF)
    model = model_path(args.model).resolve()
    result = compared(model, engines, args.phrase, samples, args.repeat, args.speed)
    print(json.dumps({"model": args.model, **result}, indent=1))
    return 0 if all(result["bars"].values()) else 1


if __name__ == "__main__":
    _peer(*sys.argv[1:])
