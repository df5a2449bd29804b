"""From scores to wake-ups: each rule a pure function, and `Decision`, which applies them in their order.

Everything is counted in steps of 80 ms from the first sound of the stream. No rule looks at a clock: a
suspended machine or a jump of the wall clock changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

STEP_S = 0.08

Curve = Sequence[tuple[float, float]]
"""(x, y) with x ascending: straight lines between the points, the first and last y outside."""


@dataclass(frozen=True)
class WordRule:
    """When one keyword fires."""

    threshold: float
    """The smoothed score from which it does, in [0, 1]."""
    refractory_s: float = 1.5
    """After it fired, so long nothing of it counts."""


@dataclass(frozen=True)
class Rules:
    """What decides, for all words of a stream."""

    smoothing_steps: int = 1
    """Scores that are averaged, over and above the model's own smoothing."""
    double_trigger_s: float = 1.0
    """Of all words and models, one event in so long a time: the first."""
    by_noise_dbfs: Curve = ()
    """What is added to thresholds at a noise level."""
    by_speed_kmh: Curve = ()
    """What is added to thresholds at a speed, where the car says how fast it is."""
    while_speaking: float | None = None
    """What is added to thresholds while the mirror itself speaks; None hears nothing then."""
    speaking_tail_s: float = 0.5
    """For so long after it has spoken, it still does."""
    voice_gate_db: float | None = None
    """A word counts where the sound of the last second rose so far above the noise; None counts all."""
    near_miss: float | None = None
    """A score from which a word that did not fire is reported as a near miss; None reports none."""


class Surround(NamedTuple):
    """What is known of the car in a step, beside the sound."""

    noise_dbfs: float | None = None
    voice_db: float | None = None
    """How far the loudest step of the last second stands above the noise."""
    speed_kmh: float | None = None
    muted: bool = False
    speaking: bool = False
    played_back: frozenset[str] = frozenset()
    """Words that were just heard in what the mirror plays."""


@dataclass(frozen=True)
class Fired:
    """A word in the step in which it fired, or nearly did."""

    word: str
    step: int
    score: float
    threshold: float
    near_miss: bool = False

    @property
    def time_s(self) -> float:
        """End of the step."""
        return self.step * STEP_S


def smoothed(recent: Sequence[float], steps: int) -> float:
    """The mean of the last ``steps`` scores; zeros stand before the first."""
    return sum(list(recent)[-steps:]) / steps


def on_curve(curve: Curve, x: float | None) -> float:
    """The curve's y at ``x``; 0 without a curve, or where x is not known."""
    if not curve or x is None:
        return 0.0
    if x <= curve[0][0]:
        return curve[0][1]
    for (left, low), (right, high) in zip(curve, curve[1:], strict=False):
        if x <= right:
            return low + (high - low) * (x - left) / (right - left)
    return curve[-1][1]


def threshold_of(word: WordRule, rules: Rules, around: Surround, speaking: bool) -> float | None:
    """What the score must reach now, at least 0 and at most 1; None where nothing can fire."""
    if around.muted or (speaking and rules.while_speaking is None):
        return None
    added = on_curve(rules.by_noise_dbfs, around.noise_dbfs) + on_curve(rules.by_speed_kmh, around.speed_kmh)
    if speaking and rules.while_speaking is not None:
        added += rules.while_speaking
    return min(max(word.threshold + added, 0.0), 1.0)


def within(last_step: int | None, step: int, seconds: float) -> bool:
    """Whether ``last_step`` lies less than ``seconds`` back."""
    return last_step is not None and (step - last_step) * STEP_S < seconds - 1e-9


def voice_is_heard(rules: Rules, around: Surround) -> bool:
    """Whether somebody speaks at all, as far as level tells."""
    if rules.voice_gate_db is None or around.voice_db is None:
        return True
    return around.voice_db >= rules.voice_gate_db


def still_speaking(speaking: bool, last_spoken: int | None, step: int, tail_s: float) -> bool:
    """The mirror speaks, or has just stopped."""
    return speaking or within(last_spoken, step, tail_s)


def just_played(played: Mapping[str, int], step: int, window_s: float) -> frozenset[str]:
    """Words last played less than ``window_s`` before ``step``; ``played`` has the step of each."""
    return frozenset(word for word, at in played.items() if within(at, step, window_s))


@dataclass
class Decision:
    """The rules, and what they must remember of a stream."""

    rules: Rules
    words: Mapping[str, WordRule]
    _recent: dict[str, deque[float]] = field(default_factory=dict)
    _fired: dict[str, int] = field(default_factory=dict)
    _above: dict[str, Fired] = field(default_factory=dict)
    _last_event: int | None = None
    _last_spoken: int | None = None

    def reset(self) -> None:
        """Forget the scores, as at an un-mute; what has fired stays known."""
        self._recent.clear()
        self._above.clear()

    def step(self, step: int, scores: Mapping[str, float], around: Surround) -> list[Fired]:
        """What fires in a step, at most one word; near misses after it.

        Args:
            step: counted from 1, of the stream.
            scores: of this step, by word.
            around: the car in this step.
        """
        if around.speaking:
            self._last_spoken = step
        speaking = still_speaking(around.speaking, self._last_spoken, step, self.rules.speaking_tail_s)
        if around.muted:
            self.reset()
            return []
        able: list[Fired] = []
        missed: list[Fired] = []
        for word, score in scores.items():
            recent = self._recent.setdefault(word, deque(maxlen=self.rules.smoothing_steps))
            recent.append(score)
            mean = smoothed(recent, self.rules.smoothing_steps)
            rule = self.words[word]
            threshold = threshold_of(rule, self.rules, around, speaking)
            if threshold is None or word in around.played_back:
                self._above.pop(word, None)
                continue
            if within(self._fired.get(word), step, rule.refractory_s):
                continue
            if mean >= threshold and voice_is_heard(self.rules, around):
                able.append(Fired(word, step, mean, threshold))
                self._above.pop(word, None)
            elif self.rules.near_miss is not None:
                now = Fired(word, step, mean, threshold, near_miss=True)
                missed += self._near_miss(now, self.rules.near_miss)
        if able and not within(self._last_event, step, self.rules.double_trigger_s):
            best = max(able, key=lambda fired: fired.score - fired.threshold)
            self._fired[best.word] = self._last_event = step
            return [best, *missed]
        return missed

    def _near_miss(self, now: Fired, least: float) -> list[Fired]:
        """The highest step of a rise that ended without firing."""
        before = self._above.get(now.word)
        if now.score >= least:
            if before is None or now.score > before.score:
                self._above[now.word] = now
            return []
        return [self._above.pop(now.word)] if before is not None else []
