"""A supervisor as systemd is one: it speaks the notify-socket protocol, times the pets, kills and restarts.

The protocol is sd_notify(3)'s: datagrams of KEY=VALUE lines on the Unix socket in $NOTIFY_SOCKET, and
$WATCHDOG_USEC, within which the next WATCHDOG=1 has to come.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Life:
    """One run of the daemon, by the monotonic clock."""

    pid: int
    started_s: float
    ready_s: float | None = None
    pets_s: list[float] = field(default_factory=list)
    stopping_s: float | None = None
    ended_s: float | None = None
    status: int | None = None
    killed_by_watchdog: bool = False

    @property
    def gaps_s(self) -> list[float]:
        """Between ready and pets, each to the next."""
        times = [self.ready_s or self.started_s, *self.pets_s]
        return [later - earlier for earlier, later in zip(times, times[1:], strict=False)]


class Supervisor:
    """Runs a command for as long as it is used as a context manager: ``Restart=always`` with a watchdog."""

    def __init__(self, command: list[str], folder: Path, watchdog_s: float, stdin: int, stdout: int) -> None:
        self._command, self._watchdog_s, self._pipes = command, watchdog_s, (stdin, stdout)
        self._address = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._address))
        self._socket.settimeout(0.02)
        self._ended = threading.Event()
        self.lives: list[Life] = []
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Supervisor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._socket.close()

    def _run(self) -> None:
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self._address),
            "WATCHDOG_USEC": str(round(self._watchdog_s * 1e6)),
        }
        while not self._ended.is_set():
            stdin, stdout = self._pipes
            process = subprocess.Popen(
                self._command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, env=environment
            )
            life = Life(process.pid, time.monotonic())
            self.lives.append(life)
            while process.poll() is None and not self._ended.is_set():
                self._listen(life)
                fed_s = life.pets_s[-1] if life.pets_s else life.ready_s
                if fed_s is not None and time.monotonic() - fed_s > self._watchdog_s:
                    process.send_signal(signal.SIGKILL)
                    life.killed_by_watchdog = True
                    process.wait()
            if process.poll() is None:
                process.kill()
            life.status, life.ended_s = process.wait(), time.monotonic()

    def _listen(self, life: Life) -> None:
        try:
            message = self._socket.recv(4096).decode()
        except TimeoutError:
            return
        now = time.monotonic()
        for line in message.splitlines():
            if line == "READY=1":
                life.ready_s = now
            elif line == "WATCHDOG=1":
                life.pets_s.append(now)
            elif line == "STOPPING=1":
                life.stopping_s = now
