"""Ending within a second of SIGTERM, SIGINT or SIGHUP, whatever the program is blocked in."""

from __future__ import annotations

import os
import select
import signal
import threading
from types import FrameType, TracebackType

GRACE_S = 0.5


class Stop:
    """Context manager that turns SIGTERM, SIGINT and SIGHUP into a flag and a readable file descriptor.

    A loop looks at `requested`, or waits on `fileno` beside its input. Where the main thread cannot look,
    inside PortAudio or a write to a full pipe, a watching thread ends the process with exit status 0 after
    0.5 s: the handler would not run there, but the interpreter writes to the wake-up descriptor from the
    signal itself. Outside the main thread signals cannot be handled, and none are.
    """

    def __init__(self) -> None:
        self.requested = False
        self._ended = threading.Event()
        self._previous: dict[int, object] = {}
        self._read_fd, self._write_fd = os.pipe()

    def fileno(self) -> int:
        """Readable from the moment a signal arrived."""
        return self._read_fd

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            os.set_blocking(self._write_fd, False)
            self._previous_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                self._previous[number] = signal.signal(number, self._handle)
        self._watcher = threading.Thread(target=self._watch, name="stop-watcher", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._previous:
            signal.set_wakeup_fd(self._previous_fd)
            for number, handler in self._previous.items():
                signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned
        os.write(self._write_fd, b"\0")
        self._watcher.join()
        os.close(self._write_fd)
        os.close(self._read_fd)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def _watch(self) -> None:
        select.select([self._read_fd], [], [])
        if not self._ended.wait(GRACE_S):
            os._exit(0)
