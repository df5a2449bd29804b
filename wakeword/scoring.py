"""Events, hits, strays and the DET curve of raw scores. Pure numpy.

The rule is `mirror_device.Detector.process`'s: a step fires when its float32 score is `>=` the threshold,
compared as float64, and when at least `refractory_s` have gone by since the last event, counted from that
event (a score inside that time neither fires nor prolongs it). An
event's time is the end of the step that fired. A hit is an event between the word's start and 1 s after its
end, one for each word; anything else is a stray. False accepts are the events on negative streams, divided
by the hours of the very negatives that were played; strays on positive streams never enter them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

HIT_TAIL_S = 1.0
"""A word may be answered until this long after its end (the design's scoring rule)."""
_EPSILON_S = 1e-9
"""Times are multiples of a step; sums of floats must not move one over a limit."""


@dataclass(frozen=True)
class Rule:
    """How scores become events: step length, refractory time and the tail of a hit, in seconds."""

    step_s: float
    refractory_s: float
    tail_s: float = HIT_TAIL_S


@dataclass(frozen=True)
class Track:
    """The scores of one stream, (steps,) float32, and the words in it, (words, 2) start and end in seconds.

    A negative stream has no words.
    """

    scores: np.ndarray
    spans_s: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


@dataclass(frozen=True)
class Outcomes:
    """What one threshold gives over positive tracks: (words,) hit, (words,) latency in s (NaN: missed)."""

    hit: np.ndarray
    latency_s: np.ndarray
    stray_times: tuple[np.ndarray, ...]

    @property
    def misses(self) -> int:
        """Words without a hit."""
        return int((~self.hit).sum())

    @property
    def frr(self) -> float:
        """Missed words over words; NaN without words."""
        return self.misses / self.hit.size if self.hit.size else math.nan

    @property
    def strays(self) -> int:
        """Events on positive streams that hit nothing."""
        return sum(len(times) for times in self.stray_times)


@dataclass(frozen=True)
class Curve:
    """A DET curve: thresholds ascending, with false accepts and FRR at each, and the hours of negatives."""

    thresholds: np.ndarray
    false_accepts: np.ndarray
    frr: np.ndarray
    hours: float

    @property
    def fa_per_hour(self) -> np.ndarray:
        """False accepts an hour of the very negatives that were played."""
        return self.false_accepts / self.hours


@dataclass(frozen=True)
class OperatingPoint:
    """One point of a curve."""

    threshold: float
    false_accepts: int
    fa_per_hour: float
    frr: float


def refractory_steps(rule: Rule) -> int:
    """Steps from an event to the first that may fire again."""
    return max(1, math.ceil(rule.refractory_s / rule.step_s - _EPSILON_S))


def event_steps(scores: np.ndarray, threshold: float, rule: Rule) -> np.ndarray:
    """Indices of the steps that fire."""
    gap_steps = refractory_steps(rule)
    above = np.flatnonzero(scores.astype(np.float64) >= float(threshold))
    fired = []
    i = 0
    while i < above.size:
        fired.append(above[i])
        i = int(np.searchsorted(above, above[i] + gap_steps))
    return np.asarray(fired, dtype=np.int64)


def events(scores: np.ndarray, threshold: float, refractory_s: float, step_s: float) -> np.ndarray:
    """Times in seconds (end of the step that fired) of the events in `scores` (steps,)."""
    return (event_steps(scores, threshold, Rule(step_s, refractory_s)) + 1) * step_s


def match(
    event_times: np.ndarray, spans_s: np.ndarray, tail_s: float = HIT_TAIL_S
) -> tuple[np.ndarray, np.ndarray]:
    """Give each word its first event; the others are strays.

    Args:
        event_times: (events,) seconds, ascending.
        spans_s: (words, 2) start and end in seconds.

    Returns:
        (words,) time of the hit, NaN where missed; (strays,) times. Where windows overlap, an event answers
        the earliest word that has none yet.
    """
    hit_times = np.full(len(spans_s), np.nan)
    strays = []
    for time in event_times:
        inside = (
            np.isnan(hit_times)
            & (spans_s[:, 0] - _EPSILON_S <= time)
            & (time <= spans_s[:, 1] + tail_s + _EPSILON_S)
        )
        candidates = np.flatnonzero(inside)
        if candidates.size:
            hit_times[candidates[np.argmin(spans_s[candidates, 0])]] = time
        else:
            strays.append(time)
    return hit_times, np.asarray(strays, dtype=np.float64)


def outcomes(tracks: Sequence[Track], threshold: float, rule: Rule) -> Outcomes:
    """Hits, latencies (hit minus end of the word) and strays over positive tracks."""
    hits, latencies, strays = [np.zeros(0, bool)], [np.zeros(0)], []
    for track in tracks:
        times = (event_steps(track.scores, threshold, rule) + 1) * rule.step_s
        hit_times, stray_times = match(times, track.spans_s, rule.tail_s)
        hits.append(~np.isnan(hit_times))
        latencies.append(hit_times - track.spans_s[:, 1])
        strays.append(stray_times)
    return Outcomes(np.concatenate(hits), np.concatenate(latencies), tuple(strays))


def count_events(tracks: Sequence[Track], threshold: float, rule: Rule) -> int:
    """Events over negative tracks: each is a false accept."""
    return sum(event_steps(track.scores, threshold, rule).size for track in tracks)


def peaks(scores: np.ndarray) -> np.ndarray:
    """Values of the local maxima of `scores` (steps,), a plateau once."""
    if scores.size == 0:
        return scores
    edge = np.full(1, -np.inf, scores.dtype)
    before, after = np.concatenate([edge, scores[:-1]]), np.concatenate([scores[1:], edge])
    return scores[(scores > before) & (scores >= after)]


def _just_above(values: np.ndarray) -> np.ndarray:
    return np.nextafter(values.astype(np.float32), np.float32(2))


def lowest_threshold(negatives: Sequence[Track], hours: float, fa_per_hour: float, rule: Rule) -> float:
    """The lowest threshold that keeps to `fa_per_hour`, it and every higher one.

    Thresholds just above the peaks of the negatives are tried from the top; the scan ends at the first that
    accepts too much, so the wiggle that a refractory time puts into the count cannot flatter.
    """
    allowed = math.floor(fa_per_hour * hours + 1e-9)
    values = np.unique(np.concatenate([np.zeros(1, np.float32), *(peaks(t.scores) for t in negatives)]))[::-1]
    best = float(_just_above(values[:1])[0])
    for value in _just_above(values):
        if count_events(negatives, value, rule) > allowed:
            return best
        best = float(value)
    return best


def threshold_grid(
    positives: Sequence[Track], negatives: Sequence[Track], limit: int, keep: Sequence[float] = ()
) -> np.ndarray:
    """At most `limit` thresholds, ascending float32, that hold what there is to see, and all of `keep`.

    Half from the best score around each word (where FRR moves), half from the peaks of the negatives by
    logarithmic rank (where low FA/h moves).
    """
    best = np.concatenate([np.zeros(0, np.float32), *(peaks(track.scores) for track in positives)])
    words = sum(len(track.spans_s) for track in positives)
    best = np.sort(best)[::-1][: 4 * max(words, 1)]
    worst = np.sort(np.concatenate([np.zeros(0, np.float32), *(peaks(t.scores) for t in negatives)]))[::-1]
    room = max(2, (limit - len(keep)) // 2)
    chosen = [np.asarray(keep, dtype=np.float32)]
    if best.size:
        unique = np.unique(best)
        chosen.append(unique[np.unique(np.linspace(0, unique.size - 1, room).astype(int))])
    if worst.size:
        ranks = np.unique(np.geomspace(1, worst.size, room).astype(int)) - 1
        chosen.append(_just_above(worst[ranks]))
    return np.unique(np.concatenate(chosen))


def det_curves(
    positives: Mapping[str, Sequence[Track]],
    negatives: Sequence[Track],
    hours: float,
    rule: Rule,
    *,
    fa_targets: Sequence[float] = (0.5, 1.0),
    limit: int = 200,
) -> dict[str, Curve]:
    """The DET curve of each condition over common thresholds.

    Args:
        positives: tracks by condition.
        hours: length of the negatives in `negatives`, and of nothing else.
        fa_targets: the curve holds the exact thresholds at which these FA/h are read off.

    Raises:
        ValueError: hours is not positive.
    """
    if not hours > 0:
        raise ValueError(f"{hours} h of negatives: FA/h needs negatives that were played")
    exact = [lowest_threshold(negatives, hours, target, rule) for target in fa_targets]
    everything = [track for tracks in positives.values() for track in tracks]
    grid = threshold_grid(everything, negatives, limit, exact)
    accepts = np.array([count_events(negatives, threshold, rule) for threshold in grid])
    return {
        condition: Curve(grid, accepts, np.array([outcomes(tracks, t, rule).frr for t in grid]), hours)
        for condition, tracks in positives.items()
    }


def frr_at(curve: Curve, fa_per_hour: float) -> OperatingPoint:
    """The point of lowest threshold such that it and every higher one keep to `fa_per_hour`.

    The curve is a staircase: nothing between two measured points is interpolated.

    Raises:
        ValueError: no threshold of the curve keeps to it.
    """
    allowed = curve.false_accepts <= math.floor(fa_per_hour * curve.hours + 1e-9)
    good = np.flatnonzero(np.cumprod(allowed[::-1])[::-1])
    if good.size == 0:
        raise ValueError(f"no threshold of this curve keeps to {fa_per_hour} FA/h over {curve.hours:.2f} h")
    i = int(good[0])
    return OperatingPoint(
        float(curve.thresholds[i]),
        int(curve.false_accepts[i]),
        float(curve.fa_per_hour[i]),
        float(curve.frr[i]),
    )


def latency_percentiles(latency_s: np.ndarray, percentiles: Sequence[float] = (50, 95)) -> list[float | None]:
    """Percentiles of the hits' latency in seconds; None without a hit."""
    heard = latency_s[~np.isnan(latency_s)]
    return [float(np.percentile(heard, p)) if heard.size else None for p in percentiles]
