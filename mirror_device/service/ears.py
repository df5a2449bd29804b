"""All models of a daemon over one stream, and the change of one for another without a gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirror_device.detector import Detector
from mirror_device.service.config import Word
from mirror_device.service.decision import WordRule

WARM_STEPS = 40
"""3.2 s: a new model listens along for as long as it sees back, then takes over."""


@dataclass
class Ear:
    """One model that listens."""

    name: str
    """As the configuration has it."""
    source: str
    """The shipped model's name or the path that it was opened from."""
    detector: Detector
    next: Detector | None = None
    heard: int = 0
    """Steps that the next one has listened along."""


class Ears:
    """Detectors by the name they are configured by.

    Raises:
        ValueError: a word configured that no model knows.
    """

    def __init__(self, ears: list[Ear], words: Mapping[str, Word]) -> None:
        self._configured = words
        self._ears = ears
        unknown = sorted(set(words) - set(self.rules))
        if unknown:
            raise ValueError(
                f"words.{unknown[0]}: no model knows it; they know {', '.join(map(repr, self.rules))}"
            )

    @property
    def rules(self) -> dict[str, WordRule]:
        """What each word fires by: the configuration's values, else its model's."""
        rules = {}
        for ear in self._ears:
            refractory_s = float(ear.detector.metadata["refractory_s"])
            for keyword in ear.detector.keywords:
                own = self._configured.get(keyword.phrase, Word())
                rules[keyword.phrase] = WordRule(
                    keyword.threshold if own.threshold is None else own.threshold,
                    refractory_s if own.refractory_s is None else own.refractory_s,
                )
        return rules

    @property
    def models(self) -> dict[str, str]:
        """Name and version of the model that knows each word."""
        return {
            keyword.phrase: f"{ear.detector.metadata['name']} {ear.detector.metadata['version']}"
            for ear in self._ears
            for keyword in ear.detector.keywords
        }

    @property
    def sources(self) -> list[str]:
        """What the models were opened from, replaced ones from their new files."""
        return [ear.source for ear in self._ears]

    def hear(self, step: NDArray[np.int16]) -> dict[str, float]:
        """The score of each word in a step of 1280 samples."""
        scores: dict[str, float] = {}
        for ear in self._ears:
            row = ear.detector.scores(step)[-1]
            if ear.next is not None:
                ear.next.scores(step)
                ear.heard += 1
                if ear.heard >= WARM_STEPS:
                    ear.detector, ear.next = ear.next, None
            for keyword, score in zip(ear.detector.keywords, row.tolist(), strict=False):
                scores[keyword.phrase] = max(score, scores.get(keyword.phrase, 0.0))
        return scores

    def replace(self, name: str, source: str, detector: Detector) -> None:
        """Let an opened detector listen along, and take over once it is warm.

        Raises ValueError: it does not know the same words.
        """
        for ear in self._ears:
            if ear.name == name:
                before, after = ([k.phrase for k in d.keywords] for d in (ear.detector, detector))
                if before != after:
                    raise ValueError(f"the new model knows {after}, the one it is to replace {before}")
                ear.source, ear.next, ear.heard = source, detector, 0

    def reset(self) -> None:
        """A new stream."""
        for ear in self._ears:
            ear.detector.reset()
            if ear.next is not None:
                ear.next.reset()
                ear.heard = 0
