"""One client of a socket: what it is sent, as far as it reads."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mirror_device.service.hub import Hub

READ_BYTES = 65536


class Peer(Protocol):
    """What speaks a protocol with one client; called in the hub's thread alone."""

    def received(self, content: bytes) -> None:
        """More bytes of the stream. Raises ProtocolError to have the client cut off."""
        ...

    def closed(self) -> None:
        """The client is gone."""
        ...


class ProtocolError(ValueError):
    """A client that does not keep to its protocol."""


class Connection:
    """A client's socket, and what waits to be sent to it."""

    def __init__(self, hub: Hub, sock: socket.socket, kind: str, most_waiting_bytes: int) -> None:
        self.hub, self.kind, self._socket, self._most = hub, kind, sock, most_waiting_bytes
        self._waiting = bytearray()
        self._closing = False
        self.peer: Peer | None = None

    def send(self, content: bytes) -> None:
        """Now as far as the client reads, the rest as it goes on reading; too much cuts it off."""
        if self._closing:
            return
        if len(self._waiting) + len(content) > self._most:
            self.hub.cut(self, "slow")
            return
        self._waiting += content
        self.flush()

    def finish(self) -> None:
        """Close as soon as all is sent."""
        self._closing = True
        if not self._waiting:
            self.hub.close(self)

    def flush(self) -> None:
        """Sends what the socket takes."""
        while self._waiting:
            try:
                sent = self._socket.send(self._waiting[:READ_BYTES])
            except BlockingIOError:
                break
            except OSError:
                self.hub.close(self)
                return
            del self._waiting[:sent]
        if self._closing and not self._waiting:
            self.hub.close(self)
            return
        self.hub.watch(self, writing=bool(self._waiting))

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> bytes | None:
        """What has come, nothing at the end of the stream, None where there is nothing yet."""
        try:
            return self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def shut(self) -> None:
        """Closes the socket itself."""
        with contextlib.suppress(OSError):
            self._socket.close()
