"""One thread for all clients of all sockets: what a client does, or does not, never reaches the audio loop.

What a client may send and what waits to be sent to it is bounded; one that exceeds it, or is one too many, is
cut off and counted. The audio loop hands work over by `Hub.post`, which never waits.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mirror_device.service.address import bound_socket
from mirror_device.service.connection import READ_BYTES, Connection, Peer, ProtocolError

MAX_WAITING_JOBS = 1000
ACCEPT_PAUSE_S = 0.05
"""The door stays readable while no descriptor is left: without a pause the thread would spin."""


@dataclass(frozen=True)
class Listener:
    """An open door."""

    socket: socket.socket
    kind: str
    make: Callable[[Connection], Peer]
    most_clients: int
    most_waiting_bytes: int
    path: Path | None

    def fileno(self) -> int:
        return self.socket.fileno()


class Hub:
    """The thread and its sockets. `start`, any number of `listen`, `post`, and `stop`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._jobs: deque[Callable[[], None]] = deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._connections: set[Connection] = set()
        self._listeners: list[Listener] = []
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._ended = False
        self.counts: Counter[str] = Counter()
        """Of what happened: "KIND accepted", "KIND refused", "KIND slow", "KIND broken", "KIND failed",
        "jobs dropped"."""

    def listen(
        self,
        address: str,
        kind: str,
        make: Callable[[Connection], Peer],
        most_clients: int = 16,
        most_waiting_bytes: int = 1 << 20,
    ) -> str:
        """Open a door before `start`; returns the address it has, with the port that was chosen for port 0.

        Args:
            address: ``tcp://127.0.0.1:10400`` or ``unix:///run/mirror/events``.
            kind: names its clients in `counts`.
            make: what speaks with a client.
            most_clients: at a time.
            most_waiting_bytes: that a client may leave unread.

        Raises:
            AddressError: not such an address, or one that is taken.
        """
        sock, path = bound_socket(address)
        listener = Listener(sock, kind, make, most_clients, most_waiting_bytes, path)
        self._listeners.append(listener)
        self._selector.register(sock, selectors.EVENT_READ, listener)
        if path is not None:
            return address
        host, port = sock.getsockname()[:2]
        return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Close everything; waits a moment for the thread."""
        self._ended = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(2.0)
        for connection in list(self._connections):
            self.close(connection)
        for listener in self._listeners:
            listener.socket.close()
            if listener.path is not None:
                with contextlib.suppress(OSError):
                    listener.path.unlink()
        self._selector.close()

    def post(self, job: Callable[[], None]) -> bool:
        """Have the hub's thread do ``job``, from any thread, at once; False where too much waits already."""
        if len(self._jobs) >= MAX_WAITING_JOBS:
            self.counts["jobs dropped"] += 1
            return False
        self._jobs.append(job)
        self._wake()
        return True

    def peers(self, kind: str) -> list[Peer]:
        """Of the clients that are connected; for jobs."""
        return [c.peer for c in self._connections if c.kind == kind and c.peer is not None]

    def watch(self, connection: Connection, writing: bool) -> None:
        """Look out for more from a client, and for room to write."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if connection in self._connections:
            self._selector.modify(connection, events, connection)

    def cut(self, connection: Connection, why: str) -> None:
        """Close, and count why."""
        if connection in self._connections:
            self.counts[f"{connection.kind} {why}"] += 1
        self.close(connection)

    def close(self, connection: Connection) -> None:
        """Forget a client."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._selector.unregister(connection)
        connection.shut()
        if connection.peer is not None:
            connection.peer.closed()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # a full pipe wakes it too
            os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        while not self._ended:
            for key, events in self._selector.select(1.0):
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, READ_BYTES)
                elif isinstance(key.data, Listener):
                    self._accept(key.data)
                else:
                    self._serve(key.data, events)
            while self._jobs:
                self._jobs.popleft()()

    def _accept(self, listener: Listener) -> None:
        try:
            sock, _ = listener.socket.accept()
        except OSError:  # gone again, or no descriptor is left for it
            self.counts[f"{listener.kind} refused"] += 1
            time.sleep(ACCEPT_PAUSE_S)
            return
        clients = sum(connection.kind == listener.kind for connection in self._connections)
        if clients >= listener.most_clients:
            self.counts[f"{listener.kind} refused"] += 1
            sock.close()
            return
        self.counts[f"{listener.kind} accepted"] += 1
        sock.setblocking(False)
        connection = Connection(self, sock, listener.kind, listener.most_waiting_bytes)
        self._connections.add(connection)
        self._selector.register(connection, selectors.EVENT_READ, connection)
        connection.peer = listener.make(connection)

    def _serve(self, connection: Connection, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            connection.flush()
        if connection not in self._connections or not events & selectors.EVENT_READ:
            return
        content = connection.read()
        if content is None:
            return
        if not content:
            self.close(connection)
            return
        try:
            if connection.peer is not None:
                connection.peer.received(content)
        except ProtocolError:
            self.cut(connection, "broken")
        except (ValueError, OSError):  # such as a model that is gone: one client's loss, not the thread's
            self.cut(connection, "failed")
