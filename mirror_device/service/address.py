"""The addresses that can be listened on: ``tcp://HOST:PORT`` and ``unix:///PATH``."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

BACKLOG = 64


class AddressError(ValueError):
    """An address that cannot be listened on."""


def bound_socket(address: str) -> tuple[socket.socket, Path | None]:
    """A listening, non-blocking socket, and its path if it has one. Raises AddressError."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "unix":
            path = Path(parts.path)
            return _unix(address, path), path
        if parts.scheme == "tcp" and parts.hostname and parts.port is not None:
            family = socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((parts.hostname, parts.port))
            sock.listen(BACKLOG)
            sock.setblocking(False)
            return sock, None
    except (OSError, ValueError) as error:
        raise AddressError(
            f"{address}: cannot be listened on ({error}); is another daemon running?"
        ) from error
    raise AddressError(f"{address}: nothing to listen on; give tcp://HOST:PORT or unix:///PATH")


def _unix(address: str, path: Path) -> socket.socket:
    """A Unix socket in the place of one that nobody listens on any more."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(1.0)
        probe.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        if path.is_socket():
            path.unlink()
    else:
        raise AddressError(f"{address}: another daemon listens there; stop it, or choose another path")
    finally:
        probe.close()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    path.chmod(0o660)
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock
