"""What the mirror plays is scored too, in a thread of its own: a word heard there first is the mirror's own.

The reference has to be tapped before the loudspeaker, so that a word comes from it earlier than through the
cabin. Without a reference, or while it is away, nothing is held back.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from mirror_device.capture import Report
from mirror_device.detector import Detector
from mirror_device.errors import SoundError
from mirror_device.service.config import Reference
from mirror_device.service.decision import WordRule, just_played
from mirror_device.service.sources import Gap, Sound
from mirror_device.stop import Stop

AGAIN_S = 5.0


class Playback:
    """Listens to the reference.

    Args:
        config: where it is, and how it counts.
        rules: the words' thresholds.
        detectors: of all models, its own.
        now: the step of the microphone's stream that is decided on now.
    """

    def __init__(
        self,
        config: Reference,
        rules: Mapping[str, WordRule],
        detectors: list[Detector],
        now: Callable[[], int],
    ) -> None:
        self._config, self._now = config, now
        self._least = {word: rule.threshold * config.threshold_share for word, rule in rules.items()}
        self._detectors = detectors
        self._played: dict[str, int] = {}
        self.counts: Counter[str] = Counter()

    def start(self, sounds: Callable[[], Iterator[Sound]], stop: Stop, report: Report) -> None:
        """Listen from now on; a reference that fails is opened again every few seconds."""
        arguments = (sounds, stop, report)
        threading.Thread(target=self._run, args=arguments, name="playback", daemon=True).start()

    def use(self, detectors: list[Detector]) -> None:
        """Of models that were replaced."""
        self._detectors = detectors

    def words(self, step: int) -> frozenset[str]:
        """Those that were just played, as a step of the microphone's stream hears it."""
        return just_played(dict(self._played), step, self._config.window_s)

    def hear(self, sound: Sound) -> None:
        """More of what is played."""
        if isinstance(sound, Gap):
            for detector in self._detectors:
                detector.reset()
            return
        for detector in self._detectors:
            highest = detector.scores(sound).max(axis=0, initial=0.0).tolist()
            for keyword, score in zip(detector.keywords, highest, strict=True):
                if score >= self._least[keyword.phrase]:
                    self._played[keyword.phrase] = self._now()
                    self.counts["played"] += 1

    def _run(self, sounds: Callable[[], Iterator[Sound]], stop: Stop, report: Report) -> None:
        waiting = threading.Event()
        while not stop.requested:
            try:
                for sound in sounds():
                    self.hear(sound)
                return
            except SoundError as error:
                self.counts["lost"] += 1
                report(f"playback reference: {error}; its own voice may wake the mirror until it is back")
            waiting.wait(AGAIN_S)
