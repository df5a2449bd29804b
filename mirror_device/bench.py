"""``mirror-device bench``: what the daemon costs on this machine."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

EPILOG = """\
examples:
  mirror-device bench
  mirror-device bench --model new.onnx --seconds 600 --json

The daemon is fed through a pipe, faster than real time; what it spends from the moment it listens is what
sound costs. Latency is that of single steps of 80 ms, in one process.
"""
NOISE_S = 10


def add_parser(sub: Any) -> None:
    """Declare the subcommand."""
    parser = sub.add_parser(
        "bench",
        help="what the daemon costs here",
        description="Measure CPU time, memory, start and latency of the daemon on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="smart_mirror", help="a shipped model or a file (%(default)s)")
    parser.add_argument("--seconds", type=int, default=300, help="of sound, 20 to 86400 (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Returns the exit status. Raises ValueError for unusable input."""
    if not 20 <= args.seconds <= 86400:
        raise ValueError(f"--seconds {args.seconds}: give 20 to 86400")
    result = measured(args.model, args.seconds)
    if args.json:
        print(json.dumps(result))
        return 0
    print(f"{result['model']}, {args.seconds} s of noise, engine {result['engine']}")
    print(f"  CPU        {result['cpu_ms_per_audio_s']:8.2f} ms a second of sound")
    print(f"  memory     {result['resident_mb']:8.1f} MB at most")
    print(f"  start      {result['start_s']:8.2f} s until it listens")
    print(f"  a step     {result['step_ms_p50']:8.3f} ms, p99 {result['step_ms_p99']:.3f} ms, of 80 ms")
    return 0


def measured(model: str, seconds: int) -> dict[str, Any]:
    """All figures. Raises ModelError, ValueError."""
    from mirror_device.detector import Detector, model_path
    from mirror_device.fed import FedDaemon
    from mirror_device.logmel import SAMPLE_RATE_HZ

    path = model_path(model).resolve()
    detector = Detector(path)
    steps_ms = _step_times_ms(detector, min(seconds, 60))
    with FedDaemon(path) as daemon:
        before_s = daemon.cpu_s()
        whole, rest = divmod(seconds, NOISE_S)
        for piece in [_noise()] * whole + [_noise()[: 2 * SAMPLE_RATE_HZ * rest]]:
            daemon.feed(piece)
        cpu_s = daemon.settled_cpu_s() - before_s
        resident_mb, start_s = daemon.highest_resident_mb(), daemon.start_s
    return {
        "model": f"{detector.metadata['name']} {detector.metadata['version']}",
        "engine": detector.engine,
        "cpu_ms_per_audio_s": round(1000 * cpu_s / seconds, 3),
        "resident_mb": round(resident_mb, 1),
        "start_s": round(start_s, 2),
        "step_ms_p50": round(steps_ms[len(steps_ms) // 2], 3),
        "step_ms_p99": round(steps_ms[len(steps_ms) * 99 // 100], 3),
    }


def _noise() -> bytes:
    import numpy as np

    from mirror_device.logmel import SAMPLE_RATE_HZ

    return np.random.default_rng(0).normal(0, 1000, NOISE_S * SAMPLE_RATE_HZ).astype("<i2").tobytes()


def _step_times_ms(detector: Any, seconds: int) -> list[float]:
    """Ascending."""
    import numpy as np

    from mirror_device.logmel import SAMPLE_RATE_HZ, STEP_SAMPLES

    sound = np.frombuffer(_noise(), "<i2").astype(np.int16)
    times = []
    for step in range(seconds * SAMPLE_RATE_HZ // STEP_SAMPLES):
        start = step * STEP_SAMPLES % (len(sound) - STEP_SAMPLES)
        begun_s = time.perf_counter()
        detector.process(sound[start : start + STEP_SAMPLES])
        times.append(1000 * (time.perf_counter() - begun_s))
    return sorted(times)
