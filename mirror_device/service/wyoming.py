"""Wyoming, the voice protocol of Home Assistant: events of one JSON line, more JSON, and bytes.

From https://github.com/rhasspy/wyoming: a line {"type", "data"?, "data_length"?, "payload_length"?}, then
``data_length`` bytes of JSON that join ``data``, then ``payload_length`` bytes. Here every length is bounded,
and what is not of that form ends the connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mirror_device.service.connection import ProtocolError

VERSION = "1.8.0"
MAX_LINE_BYTES = 65536
MAX_DATA_BYTES = 65536
MAX_PAYLOAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Event:
    """One message."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def encoded(self) -> bytes:
        """As it goes over the wire."""
        header: dict[str, Any] = {"type": self.type, "version": VERSION}
        data = json.dumps(self.data, ensure_ascii=False).encode() if self.data else b""
        if data:
            header["data_length"] = len(data)
        if self.payload:
            header["payload_length"] = len(self.payload)
        return json.dumps(header, ensure_ascii=False).encode() + b"\n" + data + self.payload


class Reader:
    """Events out of bytes that come in any pieces."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._header: dict[str, Any] | None = None

    def feed(self, content: bytes) -> Iterator[Event]:
        """The events that ``content`` completes. Raises ProtocolError."""
        self._content += content
        while True:
            if self._header is None:
                line, found, _ = self._content.partition(b"\n")
                if len(line) > MAX_LINE_BYTES:
                    raise ProtocolError(f"a line of more than {MAX_LINE_BYTES} bytes")
                if not found:
                    return
                del self._content[: len(line) + 1]
                self._header = _header(bytes(line))
            n_data, n_payload = self._header["data_length"], self._header["payload_length"]
            if len(self._content) < n_data + n_payload:
                return
            data = {**self._header["data"], **(_object(bytes(self._content[:n_data])) if n_data else {})}
            payload = bytes(self._content[n_data : n_data + n_payload])
            del self._content[: n_data + n_payload]
            event = Event(self._header["type"], data, payload)
            self._header = None
            yield event


def _header(line: bytes) -> dict[str, Any]:
    header = _object(line)
    data = header.get("data")
    if not isinstance(header.get("type"), str) or not isinstance({} if data is None else data, dict):
        raise ProtocolError(f"no event: {line[:80]!r}")
    return {
        "type": header["type"],
        "data": data or {},
        "data_length": _length(header, "data_length", MAX_DATA_BYTES),
        "payload_length": _length(header, "payload_length", MAX_PAYLOAD_BYTES),
    }


def _length(header: dict[str, Any], key: str, most: int) -> int:
    value = header.get(key)
    value = 0 if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ProtocolError(f"{key} = {str(value)[:40]}; at most {most}")
    return value


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {content[:80]!r}") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"not an object: {content[:80]!r}")
    return value
