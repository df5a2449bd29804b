"""``mirror-device bench``: what the daemon costs on this machine."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EPILOG = """\
examples:
  mirror-device bench
  mirror-device bench --model new.onnx --seconds 600 --json

The daemon is fed through a pipe, faster than real time; what it spends from the moment it listens is what
sound costs. Latency is that of single steps of 80 ms, in one process.
"""
RATE_HZ = 16000
STEP = 1280
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

    path = model_path(model).resolve()
    detector = Detector(path)
    steps_ms = _step_times_ms(detector, min(seconds, 60))
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "bench.yaml"
        source = {"models": [str(path)], "source": {"kind": "stdin"}, "outlets": {"control": None}}
        config.write_text(json.dumps(source))  # JSON is YAML
        cpu_s, resident_mb, start_s = _daemon(config, seconds)
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

    return np.random.default_rng(0).normal(0, 1000, NOISE_S * RATE_HZ).astype("<i2").tobytes()


def _step_times_ms(detector: Any, seconds: int) -> list[float]:
    """Ascending."""
    import numpy as np

    sound = np.frombuffer(_noise(), "<i2").astype(np.int16)
    times = []
    for step in range(seconds * RATE_HZ // STEP):
        start = step * STEP % (len(sound) - STEP)
        begun_s = time.perf_counter()
        detector.process(sound[start : start + STEP])
        times.append(1000 * (time.perf_counter() - begun_s))
    return sorted(times)


def _daemon(config: Path, seconds: int) -> tuple[float, float, float]:
    """CPU seconds for so much noise, highest resident MB, and seconds until a daemon is ready for it."""
    sound = _noise()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(config.with_name("notify")))
        notify.settimeout(30)
        begun_s = time.monotonic()
        daemon = subprocess.Popen(
            [sys.executable, "-m", "mirror_device.cli", "serve", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": str(config.with_name("notify"))},
        )
        if daemon.stdin is None:
            raise ValueError("no pipe to the daemon")
        with daemon.stdin as pipe:
            try:
                pipe.write(sound[: 2 * STEP])
                pipe.flush()
                notify.recv(4096)
                start_s = time.monotonic() - begun_s
                before_s = _cpu_s(daemon.pid)
                whole, rest = divmod(seconds, NOISE_S)
                for piece in [sound] * whole + [sound[: 2 * RATE_HZ * rest]]:
                    pipe.write(piece)
                resident_mb = _highest_resident_mb(daemon.pid)
            except (BrokenPipeError, TimeoutError) as error:
                daemon.kill()
                raise ValueError("the daemon ended early or did not start; its errors are above") from error
        config.with_name("notify").unlink()
    _, status, used = os.wait4(daemon.pid, 0)
    daemon.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime - before_s, resident_mb, start_s


def _cpu_s(pid: int) -> float:
    """Of a running process so far, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _highest_resident_mb(pid: int) -> float:
    """Of a running process; what `wait4` tells counts the process that started it as well."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
