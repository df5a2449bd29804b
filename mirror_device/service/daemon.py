"""The daemon: one loop from sound to decision, and around it what may not disturb it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from mirror_device.capture import Block, Report
from mirror_device.detector import Detector
from mirror_device.logmel import STEP_SAMPLES
from mirror_device.service import commands, standing
from mirror_device.service.car import Car
from mirror_device.service.config import Config
from mirror_device.service.decision import Decision, Surround
from mirror_device.service.doors import ControlPeer, MetricsPeer
from mirror_device.service.ears import Ear, Ears
from mirror_device.service.hub import Hub
from mirror_device.service.level import Level
from mirror_device.service.notify import Notify
from mirror_device.service.reference import Playback
from mirror_device.service.sources import Gap, Sound, open_source
from mirror_device.service.telling import Telling
from mirror_device.service.trials import Trials
from mirror_device.service.voice import VoicePeer, information
from mirror_device.stop import Stop

VERSION = "0.1.0"


class Daemon:
    """Everything that a configuration asks for.

    Raises:
        ModelError, ValueError: a model or word that cannot be used.
        ConfigError, AddressError: an outlet that cannot be opened.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.hub, self.car, self.level = Hub(), Car(), Level()
        self.steps = 0
        """Of sound, decided on."""
        self._trials = Trials(config.slots, self.hub.post)
        self.ears = Ears([Ear(name, *self._trials.open(name, 0)) for name in config.models], config.words)
        self._decision = Decision(config.decision.rules(), self.ears.rules)
        self.counts = Counter[str]()
        self._pending = np.zeros(0, np.int16)
        self.latest: dict[str, float] = {}
        """Scores of the last step, by word."""
        self._mutes_met = 0
        self.started_s = time.monotonic()
        self._notify = Notify()
        self.playback = (
            None
            if config.reference is None
            else Playback(config.reference, self.ears.rules, self._new_detectors(), lambda: self.steps)
        )
        self.telling = Telling(config, self.hub, self.counts)
        self.telling.open(self.mute)
        self.addresses: dict[str, str] = {}
        self._open_doors()

    @property
    def notes(self) -> list[str]:
        """What had to be done to open the models, for a log."""
        return self._trials.notes

    def run(self, sounds: Iterable[Sound], stop: Stop, report: Report) -> None:
        """Listens until the sound ends or a stop is asked for.

        Raises SoundError.
        """
        self.hub.start()
        reference = self._config.reference
        if self.playback is not None and reference is not None:
            self.playback.start(lambda: open_source(reference.source, stop, report), stop, report)
        try:
            if self._config.source.kind in ("none", "socket"):  # sound may never come, or late
                self._notify.ready()
                self._trials.pass_all()
            for sound in sounds:
                if isinstance(sound, Gap):
                    self._begin_anew(sound)
                else:
                    self._hear(sound)
                if stop.requested:
                    break
            self._trials.fail_all()
        finally:
            self._notify.stopping()
            self.telling.close()
            self.hub.stop()

    def _hear(self, block: Block) -> None:
        first = self.steps == 0
        for step in self._whole_steps(block):
            self.telling.ring.hear(step)
            self.level.hear(step)
            car = self.car
            mutes = car.mutes  # read first: a mute that comes in this step makes its events stale
            muted = car.muted
            if mutes != self._mutes_met and not muted:
                self.ears.reset()  # a word said before or in a mute is not heard a moment after it
                self._decision.reset()
                self._mutes_met = mutes
            self.latest = {} if muted else self.ears.hear(step)
            around = Surround(
                self.level.noise_dbfs,
                self.level.voice_db,
                car.speed_kmh,
                muted,
                car.speaking,
                self.playback.words(self.steps) if self.playback is not None else frozenset(),
            )
            for fired in self._decision.step(self.steps + 1, self.latest, around):
                self.telling.tell(fired, self.ears.models[fired.word], partial(self._unmuted_since, mutes))
            self.telling.keep_what_is_due()
            self.steps += 1  # not before it is decided on
            self._trials.heard(self.steps)
            self._notify.alive()
        if first and self.steps:
            self._notify.ready()

    def _unmuted_since(self, mutes: int) -> bool:
        return self.car.mutes == mutes

    def _whole_steps(self, block: Block) -> Iterator[Block]:
        if len(block) == STEP_SAMPLES and not len(self._pending):
            yield block
            return
        sound = np.concatenate([self._pending, block]) if len(self._pending) else block
        whole = len(sound) // STEP_SAMPLES * STEP_SAMPLES
        for start in range(0, whole, STEP_SAMPLES):
            yield sound[start : start + STEP_SAMPLES]
        self._pending = sound[whole:].copy()

    def _begin_anew(self, gap: Gap) -> None:
        self.counts["gaps"] += 1
        self.counts["lost_ms"] += round(1000 * gap.lost_s)
        self._pending = self._pending[:0]
        self.ears.reset()
        self._decision.reset()
        self.level.reset()
        self.telling.ring.forget()

    def _open_doors(self) -> None:
        asked = self._config.outlets
        if asked.control is not None:
            self.addresses["control"] = self.hub.listen(
                asked.control, "control", lambda c: ControlPeer(c, lambda one: commands.obey(self, one))
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
                asked.metrics,
                "metrics",
                lambda c: MetricsPeer(c, lambda: standing.metrics(standing.status(self))),
            )

    def _new_detectors(self) -> list[Detector]:
        return [Detector(model) for model in self.ears.sources]

    def mute(self, muted: bool) -> None:
        """From now on nothing is heard, or again; what was heard before a mute and waits is forgotten."""
        if muted and not self.car.muted:
            self.car.mutes += 1
            self.telling.ring.forget()
        self.car.muted = muted
        self.telling.muted(muted)

    def replace_model(self, name: str, opened: tuple[str, Detector] | None) -> None:
        """Has a configured model's successor listen along and take over: the one given, else the slot's new.

        Raises ValueError: not configured, or not of the same words.
        """
        if name not in self._config.models:
            known = ", ".join(self._config.models)
            raise ValueError(f"no model {name[:80]!r} is configured; there are {known}")
        self.ears.replace(name, *(opened or self._trials.open(name, self.steps)))
        if self.playback is not None:
            self.playback.use(self._new_detectors())
