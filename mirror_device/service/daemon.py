"""The daemon: one loop from sound to event, and around it what may not disturb it."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirror_device.capture import Block, Report
from mirror_device.detector import Detector
from mirror_device.logmel import SAMPLE_RATE_HZ, STEP_SAMPLES
from mirror_device.service.config import Config
from mirror_device.service.decision import Decision, Fired, Surround
from mirror_device.service.doors import ControlPeer, MetricsPeer, metrics_text
from mirror_device.service.ears import WARM_STEPS, Ear, Ears
from mirror_device.service.hub import Hub
from mirror_device.service.keeper import Keeper
from mirror_device.service.level import Level
from mirror_device.service.mqtt import MqttOutlet
from mirror_device.service.notify import Notify
from mirror_device.service.outlets import CommandHook, Heard, JsonLines, Outlet
from mirror_device.service.reference import Playback
from mirror_device.service.ring import Ring
from mirror_device.service.sources import Gap, Sound, open_source
from mirror_device.service.voice import VoicePeer, information
from mirror_device.service.wyoming import Event
from mirror_device.stop import Stop
from mirror_device.update.slots import Slots, open_slot

SLOT = "slot:"
VERSION = "0.1.0"
CHUNK_SAMPLES = 1600
"""Of the pre-roll that Wyoming clients are sent."""


@dataclass
class Car:
    """What others tell the daemon; written by the hub's thread, read by the loop."""

    muted: bool = False
    speaking: bool = False
    speed_kmh: float | None = None
    mutes: int = 0
    """Times it was muted: an event of an earlier count is not current any more."""


class Daemon:
    """Everything that a configuration asks for.

    Raises:
        ModelError, ValueError: a model or word that cannot be used.
        ConfigError, AddressError: an outlet that cannot be opened.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.notes: list[str] = []
        """What had to be done to open the models, for a log."""
        self._on_trial: list[tuple[int, Slots]] = []
        self._steps = 0
        self.ears = Ears([Ear(name, *self._opened(name)) for name in config.models], config.words)
        self._decision = Decision(config.decision.rules(), self.ears.rules)
        kept_s = config.capture.before_s + config.capture.after_s if config.capture else 0.0
        self._level, self._ring = Level(), Ring(max(config.preroll_s, kept_s) + 1.0)
        self._car, self._counts = Car(), Counter[str]()
        self._sequence = itertools.count(1)
        self._pending = np.zeros(0, np.int16)
        self._latest: dict[str, float] = {}
        self._mutes_met = 0
        self._started_s = time.monotonic()
        self._notify = Notify()
        self.hub = Hub()
        self._outlets: list[Outlet] = []
        self._mqtt: MqttOutlet | None = None
        self._keeper = None if config.capture is None else Keeper(config.capture)
        self._due: list[tuple[int, Heard]] = []
        self._playback = (
            None
            if config.reference is None
            else Playback(config.reference, self.ears.rules, self._new_detectors(), lambda: self._steps)
        )
        self.addresses: dict[str, str] = {}
        self._open_outlets()

    def run(self, sounds: Iterable[Sound], stop: Stop, report: Report) -> None:
        """Listens until the sound ends or a stop is asked for.

        Raises SoundError.
        """
        self.hub.start()
        reference = self._config.reference
        if self._playback is not None and reference is not None:
            self._playback.start(lambda: open_source(reference.source, stop, report), stop, report)
        try:
            if self._config.source.kind in ("none", "socket"):  # sound may never come, or late
                self._notify.ready()
                while self._on_trial:
                    self._end_trial(self._on_trial.pop()[1])
            for sound in sounds:
                if isinstance(sound, Gap):
                    self._begin_anew(sound)
                else:
                    self._hear(sound)
                if stop.requested:
                    break
            for _, slots in self._on_trial:
                slots.end_trial(passed=False)
        finally:
            self._notify.stopping()
            for outlet in self._outlets:
                outlet.close()
            self.hub.stop()

    def _hear(self, block: Block) -> None:
        first = self._steps == 0
        for step in self._whole_steps(block):
            self._ring.hear(step)
            self._level.hear(step)
            car = self._car
            mutes = car.mutes  # read first: a mute that comes in this step makes its events stale
            muted = car.muted
            if mutes != self._mutes_met and not muted:
                self.ears.reset()  # a word said before or in a mute is not heard a moment after it
                self._decision.reset()
                self._mutes_met = mutes
            self._latest = {} if muted else self.ears.hear(step)
            around = Surround(
                self._level.noise_dbfs,
                self._level.voice_db,
                car.speed_kmh,
                muted,
                car.speaking,
                self._playback.words(self._steps) if self._playback is not None else frozenset(),
            )
            for fired in self._decision.step(self._steps + 1, self._latest, around):
                self._tell(fired, mutes)
            self._keep_what_is_due()
            self._steps += 1  # not before it is decided on
            while self._on_trial and self._steps >= self._on_trial[0][0]:
                self._end_trial(self._on_trial.pop(0)[1])
            self._notify.alive()
        if first and self._steps:
            self._notify.ready()

    def _whole_steps(self, block: Block) -> Iterator[Block]:
        sound = np.concatenate([self._pending, block]) if len(self._pending) else block
        whole = len(sound) // STEP_SAMPLES * STEP_SAMPLES
        for start in range(0, whole, STEP_SAMPLES):
            yield sound[start : start + STEP_SAMPLES]
        self._pending = sound[whole:].copy()

    def _begin_anew(self, gap: Gap) -> None:
        self._counts["gaps"] += 1
        self._counts["lost_ms"] += round(1000 * gap.lost_s)
        self._pending = self._pending[:0]
        self.ears.reset()
        self._decision.reset()
        self._level.reset()
        self._ring.forget()

    def _tell(self, fired: Fired, mutes: int) -> None:
        kind = "near_miss" if fired.near_miss else "detection"
        self._counts[kind] += 1
        event = {
            "event": kind,
            "keyword": fired.word,
            "time_s": round(fired.time_s, 3),
            "score": round(fired.score, 4),
            "model": self.ears.models[fired.word],
        }
        if not fired.near_miss:
            event["seq"] = next(self._sequence)
        samples = round(self._config.preroll_s * SAMPLE_RATE_HZ)
        heard = Heard(event, self._ring.last(samples), lambda: self._car.mutes == mutes)
        if self._config.capture is not None:
            after = round(self._config.capture.after_s * SAMPLE_RATE_HZ)
            self._due.append((self._ring.heard + after, heard))
        if fired.near_miss:
            return
        for outlet in self._outlets:
            if outlet is not self._keeper:
                outlet.tell(heard)
        self.hub.post(lambda: self._tell_clients(heard))

    def _keep_what_is_due(self) -> None:
        """Recordings go to the keeper once the sound after the event has come too."""
        capture = self._config.capture
        while self._due and capture is not None and self._ring.heard >= self._due[0][0]:
            end, heard = self._due.pop(0)
            samples = round((capture.before_s + capture.after_s) * SAMPLE_RATE_HZ)
            if self._keeper is not None:
                self._keeper.tell(Heard(heard.event, self._ring.last(samples, end), heard.is_current))

    def _tell_clients(self, heard: Heard) -> None:
        if not heard.is_current():
            self._counts["stale"] += 1
            return
        for peer in self.hub.peers("control"):
            if isinstance(peer, ControlPeer):
                peer.tell(heard)
        for peer in self.hub.peers("wyoming"):
            if isinstance(peer, VoicePeer):
                for message in wyoming_events(heard):
                    peer.tell(message)

    def _open_outlets(self) -> None:
        asked = self._config.outlets
        if asked.json_lines:
            self._outlets.append(JsonLines())
        if asked.hook is not None:
            self._outlets.append(CommandHook(asked.hook))
        if self._keeper is not None:
            self._outlets.append(self._keeper)
        if asked.mqtt is not None:
            self._mqtt = MqttOutlet(asked.mqtt, self.mute)
            self._outlets.append(self._mqtt)
        if asked.control is not None:
            self.addresses["control"] = self.hub.listen(
                asked.control, "control", lambda c: ControlPeer(c, self.obey)
            )
        if asked.wyoming is not None:
            self.addresses["wyoming"] = self.hub.listen(
                asked.wyoming.address,
                "wyoming",
                lambda c: VoicePeer(c, self._new_detectors, lambda: information(self.ears.models, VERSION)),
                asked.wyoming.most_clients,
            )
        if asked.metrics is not None:
            self.addresses["metrics"] = self.hub.listen(
                asked.metrics, "metrics", lambda c: MetricsPeer(c, self.metrics)
            )

    def _opened(self, name: str) -> tuple[str, Detector]:
        """A model, and what it was opened from."""
        if not name.startswith(SLOT):
            return name, Detector(name)
        slots = Slots(self._config.slots, name.removeprefix(SLOT))
        if any(other.name == slots.name for _, other in self._on_trial):
            raise ValueError(f"{name}: a change is under way; ask again in some seconds")
        opened = open_slot(slots, self.notes)
        self._on_trial.append((self._steps + 2 * WARM_STEPS, slots))
        return opened

    def _end_trial(self, slots: Slots) -> None:
        """By the hub's thread: it writes to the disk."""
        self.hub.post(lambda: slots.end_trial(passed=True))

    def _new_detectors(self) -> list[Detector]:
        return [Detector(model) for model in self.ears.sources]

    def mute(self, muted: bool) -> None:
        """From now on nothing is heard, or again; what was heard before a mute and waits is forgotten."""
        if muted and not self._car.muted:
            self._car.mutes += 1
            self._ring.forget()
        self._car.muted = muted
        if self._mqtt is not None:
            self._mqtt.muted(muted)

    def obey(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answers a command of the control socket; runs in the hub's thread."""
        command = asked["command"]
        answer: dict[str, Any] = {"event": "answer", "command": command}
        try:
            if command in ("mute", "unmute"):
                self.mute(command == "mute")
            elif command == "speaking":
                self._car.speaking = _boolean(asked, "on")
            elif command == "speed":
                self._car.speed_kmh = _speed(asked)
            elif command == "model":
                self._replace_model(asked)
            elif command == "status":
                answer |= self.status()
            else:
                raise ValueError(
                    f"no command {command[:40]!r}: mute, unmute, speaking, speed, model, status, events"
                )
        except ValueError as error:
            return {"event": "error", "command": command, "error": str(error)}
        return answer

    def _replace_model(self, asked: dict[str, Any]) -> None:
        name, path = asked.get("name"), asked.get("path")
        if not isinstance(name, str) or not (isinstance(path, str) or name.startswith(SLOT)):
            raise ValueError('give {"command": "model", "name": CONFIGURED, "path": FILE}')
        opened = (path, Detector(Path(path))) if isinstance(path, str) else None
        if name not in self._config.models:
            known = ", ".join(self._config.models)
            raise ValueError(f"no model {name[:80]!r} is configured; there are {known}")
        self.ears.replace(name, *(opened or self._opened(name)))
        if self._playback is not None:
            self._playback.use(self._new_detectors())

    def status(self) -> dict[str, Any]:
        """What it does, and how it fares."""
        counts = dict(self._counts) | {key.replace(" ", "_"): n for key, n in self.hub.counts.items()}
        if self._playback is not None:
            counts |= {f"reference_{key}": n for key, n in self._playback.counts.items()}
        for outlet in self._outlets:
            counts |= {f"{type(outlet).__name__}_{key}": n for key, n in outlet.counts.items()}
        return {
            "models": self.ears.models,
            "up_s": round(time.monotonic() - self._started_s, 1),
            "heard_s": round(self._steps * STEP_SAMPLES / SAMPLE_RATE_HZ, 2),
            "level_dbfs": round(self._level.now_dbfs, 1),
            "noise_dbfs": round(self._level.noise_dbfs, 1),
            "thresholds": {word: rule.threshold for word, rule in self.ears.rules.items()},
            "scores": {word: round(score, 4) for word, score in self._latest.items()},
            "muted": self._car.muted,
            "speaking": self._car.speaking,
            "speed_kmh": self._car.speed_kmh,
            "addresses": self.addresses,
            "counts": counts,
        }

    def metrics(self) -> str:
        """In Prometheus's format."""
        now = self.status()
        counts = {f'kind="{kind}"': float(n) for kind, n in sorted(now["counts"].items())}
        scores = {f'word="{word}"': score for word, score in now["scores"].items()}
        return metrics_text(
            {
                "mirror_up_seconds": ("gauge", "Since the start.", {"": now["up_s"]}),
                "mirror_heard_seconds_total": ("counter", "Sound that was decided on.", {"": now["heard_s"]}),
                "mirror_level_dbfs": ("gauge", "Of the last step.", {"": now["level_dbfs"]}),
                "mirror_noise_dbfs": ("gauge", "Of the last seconds.", {"": now["noise_dbfs"]}),
                "mirror_muted": ("gauge", "1 while muted.", {"": float(now["muted"])}),
                "mirror_score": ("gauge", "Of the last step, by word.", scores),
                "mirror_counts_total": ("counter", "Events, losses and clients, by kind.", counts),
            }
        )


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


def _boolean(asked: dict[str, Any], key: str) -> bool:
    value = asked.get(key)
    if not isinstance(value, bool):
        raise ValueError(f"{key} = {str(value)[:40]}: true or false")
    return value


def _speed(asked: dict[str, Any]) -> float | None:
    value = asked.get("kmh")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1000:
        raise ValueError(f"kmh = {str(value)[:40]}: a speed from 0 to 1000, or null where it is not known")
    return float(value)
