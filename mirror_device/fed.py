"""The daemon as a process that hears what is written into its pipe, for whoever measures it."""

from __future__ import annotations

import array
import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from mirror_device.logmel import SAMPLE_RATE_HZ, STEP_SAMPLES

BLOCK_BYTES = 2 * STEP_SAMPLES
BLOCK_S = STEP_SAMPLES / SAMPLE_RATE_HZ
LEAD_STEPS = 2
"""Of silence, heard before it says that it is ready."""
START_S = 30.0


class FedDaemon:
    """`mirror-device serve`, with one model and no outlet but lines of JSON.

    Args:
        model: its file.
        stdout: as of subprocess.Popen.

    Raises:
        ValueError: it did not start; its own errors stand above.
    """

    def __init__(self, model: Path, stdout: int = subprocess.DEVNULL) -> None:
        document = {"models": [str(model)], "source": {"kind": "stdin"}, "outlets": {"control": None}}
        with (
            tempfile.TemporaryDirectory() as name,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
        ):
            config = Path(name) / "mirror.yaml"
            config.write_text(json.dumps(document))  # JSON is YAML
            notify.bind(str(config.with_name("notify")))
            notify.settimeout(START_S)
            begun_s = time.monotonic()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mirror_device.cli", "serve", str(config)],
                stdin=subprocess.PIPE,
                stdout=stdout,
                env={**os.environ, "NOTIFY_SOCKET": str(config.with_name("notify"))},
            )
            try:
                self.feed(bytes(LEAD_STEPS * BLOCK_BYTES))
                notify.recv(4096)
            except (ValueError, TimeoutError) as error:
                self.process.kill()
                self.process.wait()
                raise ValueError("the daemon did not start; its errors are above") from error
            self.start_s = time.monotonic() - begun_s
            """Until it listened."""
            self.start_cpu_s = self.cpu_s()
            """Processor time of it: what a busy machine does not add to."""

    def __enter__(self) -> FedDaemon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()

    def feed(self, sound: bytes, speed: float = 0.0) -> None:
        """16 kHz int16, in blocks of 80 ms, each when it would have been spoken. Raises ValueError.

        Args:
            speed: 1 in real time, 8 eight times as fast, 0 as fast as it is read.
        """
        feed(self.stdin, sound, speed)

    @property
    def stdin(self) -> IO[bytes]:
        """Its pipe."""
        if self.process.stdin is None:
            raise ValueError("no pipe to the daemon")
        return self.process.stdin

    def cpu_s(self) -> float:
        """Processor time of all its threads so far."""
        return time.clock_gettime((~self.process.pid << 3) | 2)  # clock_getcpuclockid(3)

    def settled_cpu_s(self) -> float:
        """The same, once all that was fed is heard."""
        waiting, before_s = array.array("i", [1]), -1.0
        while waiting[0] or self.cpu_s() - before_s > 1e-3:
            before_s = self.cpu_s()
            time.sleep(0.1)
            fcntl.ioctl(self.stdin.fileno(), termios.FIONREAD, waiting)
        return self.cpu_s()

    def highest_resident_mb(self) -> float:
        """What `wait4` tells counts the process that started it as well."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def feed(pipe: IO[bytes], sound: bytes, speed: float) -> None:
    """As `FedDaemon.feed`, into any pipe."""
    begun_s = time.monotonic()
    try:
        for number, start in enumerate(range(0, len(sound), BLOCK_BYTES), 1):
            if speed:
                time.sleep(max(0.0, begun_s + number * BLOCK_S / speed - time.monotonic()))
            pipe.write(sound[start : start + BLOCK_BYTES])
            pipe.flush()
    except BrokenPipeError as error:
        raise ValueError("what is fed ended early; its errors are above") from error
