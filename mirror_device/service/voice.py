"""A Wyoming client's two ways round: it hears of what the mirror heard, or it streams sound of its own.

Whoever connects is sent a `detection` for each wake word of the mirror's own microphone, until it streams:
`detect`, `audio-start`, `audio-chunk` … `audio-stop`, as wyoming-satellite and Home Assistant do. It then has
a detector of its own, and gets `detection`, or `not-detected` at the end of a stream without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mirror_device.capture import Block, padding
from mirror_device.detector import Detector
from mirror_device.errors import SoundError
from mirror_device.logmel import SAMPLE_RATE_HZ
from mirror_device.resample import ToMono16k
from mirror_device.service.connection import Connection, ProtocolError
from mirror_device.service.outlets import Heard
from mirror_device.service.wyoming import Event, Reader

ATTRIBUTION = {"name": "rearview-wakeword", "url": ""}
CHUNK_SAMPLES = 1600
"""Of the pre-roll that clients are sent."""


def information(words: Mapping[str, str], version: str) -> Event:
    """Answers `describe`: ``words`` are phrases with the version of the model that knows each."""
    models = [
        {
            "name": phrase,
            "phrase": phrase,
            "languages": ["en"],
            "attribution": ATTRIBUTION,
            "installed": True,
            "description": f"the wake word {phrase!r}",
            "version": model_version,
        }
        for phrase, model_version in words.items()
    ]
    program = {
        "name": "rearview",
        "attribution": ATTRIBUTION,
        "installed": True,
        "description": "hears its wake word in a driving car",
        "version": version,
        "models": models,
    }
    return Event("info", {"wake": [program]})


def wyoming_events(heard: Heard) -> list[Event]:
    """A detection and the sound before it."""
    shape = {"rate": SAMPLE_RATE_HZ, "width": 2, "channels": 1}
    time_ms = round(1000 * heard.event["time_s"])
    events = [Event("detection", {"name": heard.event["keyword"], "timestamp": time_ms})]
    if len(heard.preroll):
        begin_ms = time_ms - round(1000 * len(heard.preroll) / SAMPLE_RATE_HZ)
        events.append(Event("audio-start", {**shape, "timestamp": begin_ms}))
        for start in range(0, len(heard.preroll), CHUNK_SAMPLES):
            part = heard.preroll[start : start + CHUNK_SAMPLES].astype("<i2").tobytes()
            stamp = begin_ms + round(1000 * start / SAMPLE_RATE_HZ)
            events.append(Event("audio-chunk", {**shape, "timestamp": stamp}, part))
        events.append(Event("audio-stop", {"timestamp": time_ms}))
    return events


class VoicePeer:
    """Speaks with one client.

    Args:
        connection: the client's.
        open_detectors: new detectors of all models, for a client that streams.
        describe: answers what the service is.
    """

    def __init__(
        self,
        connection: Connection,
        open_detectors: Callable[[], list[Detector]],
        describe: Callable[[], Event],
    ) -> None:
        self._connection, self._open, self._describe = connection, open_detectors, describe
        self._reader = Reader()
        self._names: set[str] | None = None
        self._detectors: list[Detector] = []
        self._convert: ToMono16k | None = None
        self._format = (0, 0)
        self._detected = False
        self.streams = False
        """Whether it has sent sound of its own."""

    def tell(self, event: Event) -> None:
        """What the mirror's own microphone heard, to a client that does not stream."""
        if not self.streams:
            self._connection.send(event.encoded())

    def received(self, content: bytes) -> None:
        for event in self._reader.feed(content):
            answer = self._ANSWERS.get(event.type)
            if answer is not None:  # other events are other services'
                answer(self, event)

    def closed(self) -> None:
        self._detectors = []

    def _send(self, type_: str, data: dict[str, Any] | None = None) -> None:
        self._connection.send(Event(type_, data or {}).encoded())

    def _info(self, event: Event) -> None:
        self._connection.send(self._describe().encoded())

    def _ping(self, event: Event) -> None:
        self._send("pong", {"text": event.data.get("text")})

    def _detect(self, event: Event) -> None:
        names = event.data.get("names")
        if names is not None and not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
            raise ProtocolError(f"names = {str(names)[:80]}")
        self._names = set(names) if names else None

    def _begin(self, event: Event) -> None:
        self.streams = True
        if not self._detectors:
            self._detectors = self._open()
        for detector in self._detectors:
            detector.reset()
        self._detected = False
        self._convert = None
        self._take_format(event.data)

    def _take_format(self, data: Mapping[str, Any]) -> None:
        rate, width, channels = (data.get(key) for key in ("rate", "width", "channels"))
        if width != 2 or type(rate) is not int or type(channels) is not int:
            raise ProtocolError(
                f"rate {str(rate)[:40]}, width {str(width)[:40]}, channels {str(channels)[:40]}"
            )
        if self._convert is None or self._format != (rate, channels):
            try:
                self._convert = ToMono16k(rate, channels)
            except SoundError as error:
                raise ProtocolError(str(error)) from error
            self._format = (rate, channels)

    def _chunk(self, event: Event) -> None:
        if not self.streams:
            self._begin(event)
        self._take_format(event.data)
        channels = self._format[1]
        whole = len(event.payload) // (2 * channels) * channels
        sound = np.frombuffer(event.payload, "<i2", whole).reshape(-1, channels)
        if self._convert is not None:
            self._hear(self._convert.process(sound), event.data.get("timestamp"))

    def _hear(self, pcm: Block, timestamp: Any) -> None:
        for detector in self._detectors:
            for detection in detector.process(pcm):
                if self._names is None or detection.keyword in self._names:
                    self._detected = True
                    self._send("detection", {"name": detection.keyword, "timestamp": timestamp})

    def _end(self, event: Event) -> None:
        if self._convert is not None and self._detectors:
            rest = self._convert.flush()
            pending = self._detectors[0].pending_samples + len(rest)
            self._hear(np.concatenate([rest, padding(pending)]), event.data.get("timestamp"))
        if self.streams and not self._detected:
            self._send("not-detected")
        self._detected = False

    _ANSWERS: Mapping[str, Callable[[VoicePeer, Event], None]] = {
        "describe": _info,
        "ping": _ping,
        "detect": _detect,
        "audio-start": _begin,
        "audio-chunk": _chunk,
        "audio-stop": _end,
    }
