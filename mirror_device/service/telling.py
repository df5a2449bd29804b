"""What the daemon does with an event: it goes to every outlet and client, its sound to the keeper."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

from mirror_device.logmel import SAMPLE_RATE_HZ
from mirror_device.service.config import Config
from mirror_device.service.decision import Fired
from mirror_device.service.doors import ControlPeer
from mirror_device.service.hub import Hub
from mirror_device.service.keeper import Keeper
from mirror_device.service.mqtt import MqttOutlet
from mirror_device.service.outlets import CommandHook, Heard, JsonLines, Outlet
from mirror_device.service.ring import Ring
from mirror_device.service.voice import VoicePeer, wyoming_events


class Telling:
    """The outlets of a configuration, and the sound of the last seconds that goes with an event.

    Args:
        config: names them.
        hub: of the clients.
        counts: of events by kind, and of those that a mute made stale.
    """

    def __init__(self, config: Config, hub: Hub, counts: Counter[str]) -> None:
        self._config, self._capture = config, config.capture
        kept_s = config.capture.before_s + config.capture.after_s if config.capture else 0.0
        self.ring = Ring(max(config.preroll_s, kept_s) + 1.0)
        self._hub, self._counts = hub, counts
        self._sequence = itertools.count(1)
        self._due: list[tuple[int, Heard]] = []
        self._told: list[Outlet] = []
        self._keeper: Keeper | None = None
        self._mqtt: MqttOutlet | None = None

    def open(self, mute: Callable[[bool], None]) -> None:
        """Opens the outlets; ``mute`` is what MQTT's switch does, from now on and in a thread of its own."""
        asked = self._config.outlets
        if asked.json_lines:
            self._told.append(JsonLines())
        if asked.hook is not None:
            self._told.append(CommandHook(asked.hook))
        if self._capture is not None:
            self._keeper = Keeper(self._capture)
        if asked.mqtt is not None:
            self._mqtt = MqttOutlet(asked.mqtt, mute)
            self._told.append(self._mqtt)

    @property
    def outlets(self) -> list[Outlet]:
        """All of them, the keeper too."""
        return self._told if self._keeper is None else [*self._told, self._keeper]

    def tell(self, fired: Fired, model: str, is_current: Callable[[], bool]) -> None:
        """Hands on what fired in this step; never waits."""
        kind = "near_miss" if fired.near_miss else "detection"
        self._counts[kind] += 1
        event = {
            "event": kind,
            "keyword": fired.word,
            "time_s": round(fired.time_s, 3),
            "score": round(fired.score, 4),
            "model": model,
        }
        if not fired.near_miss:
            event["seq"] = next(self._sequence)
        heard = Heard(event, self.ring.last(round(self._config.preroll_s * SAMPLE_RATE_HZ)), is_current)
        if self._capture is not None:
            after = round(self._capture.after_s * SAMPLE_RATE_HZ)
            self._due.append((self.ring.heard + after, heard))
        if fired.near_miss:
            return
        for outlet in self._told:
            outlet.tell(heard)
        self._hub.post(lambda: self._tell_clients(heard))

    def keep_what_is_due(self) -> None:
        """Recordings go to the keeper once the sound after the event has come too."""
        while self._due and self._capture is not None and self.ring.heard >= self._due[0][0]:
            end, heard = self._due.pop(0)
            samples = round((self._capture.before_s + self._capture.after_s) * SAMPLE_RATE_HZ)
            if self._keeper is not None:
                self._keeper.tell(Heard(heard.event, self.ring.last(samples, end), heard.is_current))

    def muted(self, muted: bool) -> None:
        """Says so to whoever shows it."""
        if self._mqtt is not None:
            self._mqtt.muted(muted)

    def close(self) -> None:
        """What waits in the outlets is given a moment."""
        for outlet in self.outlets:
            outlet.close()

    def _tell_clients(self, heard: Heard) -> None:
        if not heard.is_current():
            self._counts["stale"] += 1
            return
        for peer in self._hub.peers("control"):
            if isinstance(peer, ControlPeer):
                peer.tell(heard)
        for peer in self._hub.peers("wyoming"):
            if isinstance(peer, VoicePeer):
                for message in wyoming_events(heard):
                    peer.tell(message)
