"""Where events go. Each has a short queue and a thread of its own, or is served by the hub: none ever waits
for another, and the audio loop waits for none. What finds no room is dropped and counted.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import queue
import subprocess
import threading
import wave
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mirror_device.logmel import SAMPLE_RATE_HZ
from mirror_device.service.config import Hook

QUEUE_EVENTS = 64


@dataclass(frozen=True)
class Heard:
    """An event on its way out."""

    event: dict[str, Any]
    preroll: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    """Sound before it, 16 kHz."""
    is_current: Callable[[], bool] = lambda: True
    """Not any more once the mirror was muted."""

    @property
    def line(self) -> bytes:
        """As a line of JSON."""
        return json.dumps(self.event, ensure_ascii=False).encode() + b"\n"

    def with_preroll(self) -> bytes:
        """The line with the sound in it, base64 of int16."""
        sound = base64.b64encode(self.preroll.astype("<i2").tobytes()).decode()
        return json.dumps({**self.event, "preroll": sound}, ensure_ascii=False).encode() + b"\n"

    def wav(self) -> bytes:
        """The sound as a WAV file."""
        content = io.BytesIO()
        with wave.open(content, "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes(self.preroll.astype("<i2").tobytes())
        return content.getvalue()


class Outlet(Protocol):
    """One way out."""

    counts: Counter[str]

    def tell(self, heard: Heard) -> None:
        """Never waits."""
        ...

    def close(self) -> None: ...


class Queued:
    """An outlet with a thread that takes its events one by one; subclasses say what to do with each."""

    name = ""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._queue: queue.Queue[Heard | None] = queue.Queue(QUEUE_EVENTS)
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def tell(self, heard: Heard) -> None:
        try:
            self._queue.put_nowait(heard)
        except queue.Full:
            self.counts["dropped"] += 1

    def close(self) -> None:
        """What waits is given a moment."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(1.0)

    def _run(self) -> None:
        while (heard := self._queue.get()) is not None:
            if not heard.is_current():
                self.counts["stale"] += 1
                continue
            try:
                self.give(heard)
                self.counts["given"] += 1
            except (OSError, ValueError, subprocess.SubprocessError):
                self.counts["failed"] += 1

    def give(self, heard: Heard) -> None:
        """Hand on one event; may take its time."""
        raise NotImplementedError


class JsonLines(Queued):
    """One event a line on a descriptor, standard output's by default."""

    name = "json-lines"

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        super().__init__()

    def give(self, heard: Heard) -> None:
        rest = heard.line
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class CommandHook(Queued):
    """Runs a command for each event: JSON in $MIRROR_EVENT, the sound as a WAV on its standard input."""

    name = "hook"

    def __init__(self, config: Hook) -> None:
        self._config = config
        super().__init__()

    def give(self, heard: Heard) -> None:
        environment = {**os.environ, "MIRROR_EVENT": heard.line.decode().strip()}
        environment.pop("NOTIFY_SOCKET", None)  # the hook may not speak for the daemon
        subprocess.run(
            self._config.command,
            input=heard.wav(),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=self._config.timeout_s,
            check=True,
        )
