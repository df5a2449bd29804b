"""A daemon as a process, for tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SERVE = [sys.executable, "-m", "mirror_device.cli", "serve"]


class Served:
    """A daemon that hears what `hear` gives it.

    Args:
        folder: of its configuration and its control socket.
        model: it listens with.
        config: beside model, standard input and control socket.
        stdout, stderr: as of subprocess.Popen.
        prefix: a command that runs it.
        environment: beside this process's.
    """

    def __init__(
        self,
        folder: Path,
        model: Path,
        config: dict[str, Any],
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        prefix: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.control_path = folder / "control"
        outlets = {"control": f"unix://{self.control_path}", **config.pop("outlets", {})}
        document = {"models": [str(model)], "source": {"kind": "stdin"}, "outlets": outlets, **config}
        path = folder / "mirror.yaml"
        path.write_text(json.dumps(document))  # JSON is YAML
        self.process = subprocess.Popen(
            [*prefix, *SERVE, str(path)],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **(environment or {})},
        )
        assert self.process.stdin is not None
        self.stdin = self.process.stdin
        until(self._answers, process=self.process)

    def _answers(self) -> bool:
        """The socket has a name a moment before it can be connected to."""
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(self.control_path)) == 0

    def hear(self, sound: np.ndarray) -> None:
        self.stdin.write(sound.astype("<i2").tobytes())
        self.stdin.flush()

    def ask(self, **command: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.control_path))
            sock.sendall(json.dumps(command).encode() + b"\n")
            while True:  # events come in between
                for line in line_of(sock).splitlines():
                    if (answer := json.loads(line))["event"] in ("answer", "error"):
                        return answer

    def has_heard(self, seconds: float) -> None:
        until(lambda: self.ask(command="status")["heard_s"] >= seconds, process=self.process)

    def end(self) -> list[dict[str, Any]]:
        """Events on standard output."""
        self.stdin.close()
        out = self.process.stdout.read() if self.process.stdout else b""
        assert self.process.wait(10) == 0
        return [json.loads(line) for line in out.splitlines()]


def until(true: Callable[[], object], seconds: float = 15.0, process: Any = None) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        if process is not None and process.poll() is not None:
            raise AssertionError(process.stderr.read().decode())
        time.sleep(0.02)


def line_of(sock: socket.socket) -> bytes:
    content = b""
    while not content.endswith(b"\n"):
        part = sock.recv(65536)
        assert part
        content += part
    return content


def wyoming(address: str) -> socket.socket:
    host, port = address.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)
