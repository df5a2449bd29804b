"""What the hub speaks with clients of the control socket and with a Prometheus server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mirror_device.service.connection import Connection, ProtocolError
from mirror_device.service.outlets import Heard

MAX_LINE_BYTES = 65536
MAX_REQUEST_BYTES = 8192


class ControlPeer:
    """JSON lines: events go out; `{"command": …}` comes in, and each is answered.

    `{"command": "events", "preroll": true}` has the sound before each event sent with it.
    """

    def __init__(self, connection: Connection, obey: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._connection, self._obey = connection, obey
        self._content = bytearray()
        self._preroll = False

    def tell(self, heard: Heard) -> None:
        """An event."""
        self._connection.send(heard.with_preroll() if self._preroll else heard.line)

    def received(self, content: bytes) -> None:
        self._content += content
        *lines, rest = self._content.split(b"\n")
        if len(rest) > MAX_LINE_BYTES or any(len(line) > MAX_LINE_BYTES for line in lines):
            raise ProtocolError(f"a line of more than {MAX_LINE_BYTES} bytes")
        self._content = bytearray(rest)
        for line in filter(None, (bytes(line).strip() for line in lines)):
            self._connection.send(json.dumps(self._answer(line), ensure_ascii=False).encode() + b"\n")

    def closed(self) -> None:
        self._content.clear()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"not JSON: {line[:80]!r}") from error
        if not isinstance(asked, dict) or not isinstance(asked.get("command"), str):
            return {"event": "error", "error": 'give {"command": …}'}
        if asked["command"] == "events":
            self._preroll = asked.get("preroll") is True
            return {"event": "answer", "command": "events", "preroll": self._preroll}
        return self._obey(asked)


class MetricsPeer:
    """Answers one GET of /metrics in Prometheus's text format, and closes."""

    def __init__(self, connection: Connection, metrics: Callable[[], str]) -> None:
        self._connection, self._metrics = connection, metrics
        self._content = bytearray()

    def received(self, content: bytes) -> None:
        self._content += content
        if len(self._content) > MAX_REQUEST_BYTES:
            raise ProtocolError("a request of more than 8 kB")
        if b"\r\n\r\n" not in self._content and b"\n\n" not in self._content:
            return
        known = self._content.split(b" ")[:2] == [b"GET", b"/metrics"]
        body = self._metrics().encode() if known else b"GET /metrics is all there is\n"
        status = "200 OK" if known else "404 Not Found"
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self._connection.send(head.encode() + body)
        self._connection.finish()

    def closed(self) -> None:
        self._content.clear()


def metrics_text(values: Mapping[str, tuple[str, str, Mapping[str, float]]]) -> str:
    """Prometheus's text format of metrics: name → (kind, help, value by label text).

    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    lines = []
    for name, (kind, meaning, by_label) in values.items():
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
        lines += [
            f"{name}{{{label}}} {value:g}" if label else f"{name} {value:g}"
            for label, value in by_label.items()
        ]
    return "\n".join(lines) + "\n"
