"""What systemd is told over $NOTIFY_SOCKET: ready, alive, stopping (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notify:
    """Silent where nobody asked to be told. The watchdog is fed by `alive` alone: call it for heard sound."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        interval_us = os.environ.get("WATCHDOG_USEC", "")
        pid = os.environ.get("WATCHDOG_PID", "")
        ours = not pid or pid == str(os.getpid())
        self._every_s = int(interval_us) / 2e6 if interval_us.isdigit() and ours else None
        self._fed_s = 0.0

    def ready(self) -> None:
        """It listens."""
        self._send("READY=1\nSTATUS=listening")

    def alive(self) -> None:
        """Sound was heard and decided on; sent at half the watchdog's time at most."""
        if self._every_s is None:
            return
        now = time.monotonic()
        if now - self._fed_s >= self._every_s / 2:
            self._fed_s = now
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text.splitlines()[0] if text else ''}")

    def stopping(self) -> None:
        """It ends."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(message.encode(), socket.MSG_DONTWAIT, self._address)
