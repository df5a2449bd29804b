"""Intervals for miss rates and false-accept rates.

A miss rate over a few takes of a few voices is a rough number; everything that is printed beside one comes
from here. Groups (takes, voices) are resampled whole, because the misses inside one go together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RESAMPLES = 4000


@dataclass(frozen=True)
class Interval:
    """A two-sided interval; `low` and `high` in the unit of what it belongs to."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether `value` lies inside, ends included."""
        return self.low <= value <= self.high

    def as_list(self, digits: int = 4) -> list[float]:
        """`[low, high]` for JSON."""
        return [round(self.low, digits), round(self.high, digits)]


def _check_counts(count: int, n: int) -> None:
    if n <= 0 or not 0 <= count <= n:
        raise ValueError(f"{count} of {n}: need 0 <= count <= n and n > 0")


def wilson(count: int, n: int, level: float = 0.95) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927, JASA 22:209).

    Raises:
        ValueError: n is 0, or count lies outside 0..n.
    """
    _check_counts(count, n)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    rate = count / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if count == 0 else max(0.0, float(centre - half))
    high = 1.0 if count == n else min(1.0, float(centre + half))
    return Interval(low, high)


def fa_per_hour_interval(count: int, hours: float, level: float = 0.95) -> Interval:
    """Exact (Garwood 1936) Poisson interval of the false accepts an hour.

    Zero accepts give a one-sided bound: -ln(1 - level) / hours, the rule of three at 95 %.

    Raises:
        ValueError: count is negative or hours is not positive.
    """
    from scipy.stats import chi2

    if count < 0 or not hours > 0:
        raise ValueError(f"{count} false accepts in {hours} h: need count >= 0 and hours > 0")
    if count == 0:
        return Interval(0.0, float(-np.log(1 - level) / hours))
    tail = (1 - level) / 2
    low = chi2.ppf(tail, 2 * count) / (2 * hours)
    high = chi2.ppf(1 - tail, 2 * count + 2) / (2 * hours)
    return Interval(float(low), float(high))


def fa_statement(count: int, hours: float) -> str:
    """What `count` false accepts in `hours` of negatives show, in words."""
    interval = fa_per_hour_interval(count, hours)
    if count == 0:
        return f"no false accept in {hours:.2f} h proves only FA/h < {interval.high:.2f} (3/T) at 95 %"
    return (
        f"{count} false accept{'s' if count > 1 else ''} in {hours:.2f} h: "
        f"{count / hours:.2f} FA/h, 95 % interval {interval.low:.2f} to {interval.high:.2f}"
    )


def misses_exceed(misses: int, n: int, bar: float, alpha: float = 0.05) -> bool:
    """Whether the misses exceed a bar significantly: P(X >= misses) < alpha for X ~ Binomial(n, bar).

    Raises:
        ValueError: n is 0, misses lies outside 0..n, or bar outside 0..1.
    """
    from scipy.stats import binom

    _check_counts(misses, n)
    if not 0 <= bar <= 1:
        raise ValueError(f"bar {bar}: a miss rate lies in 0..1")
    return bool(binom.sf(misses - 1, n, bar) < alpha)


def _weights(n_groups: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(resamples, groups): how often each group is drawn in each resample."""
    return rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=resamples).astype(np.float64)


def _group_sums(values: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    names, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(index) != len(values) or len(values) == 0:
        raise ValueError(f"{len(values)} outcomes and {len(index)} groups: need as many, and at least one")
    sums = np.bincount(index, weights=values, minlength=len(names))
    return sums, np.bincount(index, minlength=len(names)).astype(np.float64)


def _resampled_means(
    values: np.ndarray, groups: Sequence[str], resamples: int, rng: np.random.Generator
) -> np.ndarray:
    sums, counts = _group_sums(np.asarray(values, dtype=np.float64), groups)
    weights = _weights(len(sums), resamples, rng)
    return (weights @ sums) / (weights @ counts)


def _percentiles(draws: np.ndarray, level: float) -> Interval:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bootstrap_rate(
    misses: np.ndarray,
    groups: Sequence[str],
    *,
    seed: int = 0,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Percentile interval of a pooled miss rate; whole groups (takes or voices) are resampled.

    Args:
        misses: (utterances,) bool or 0..1.
        groups: the take or the voice of each utterance.
    """
    return _percentiles(_resampled_means(misses, groups, resamples, np.random.default_rng(seed)), level)


def paired_difference(
    misses_a: np.ndarray,
    misses_b: np.ndarray,
    groups: Sequence[str],
    *,
    seed: int = 0,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of FRR(b) - FRR(a) over the same utterances, whole groups resampled.

    Raises:
        ValueError: the two did not hear the same number of utterances.
    """
    if len(misses_a) != len(misses_b):
        raise ValueError(f"{len(misses_a)} and {len(misses_b)} outcomes: a paired interval needs the same")
    change = np.asarray(misses_b, dtype=np.float64) - np.asarray(misses_a, dtype=np.float64)
    return bootstrap_rate(change, groups, seed=seed, level=level, resamples=resamples)


def newcombe(count_a: int, n_a: int, count_b: int, n_b: int, level: float = 0.95) -> Interval:
    """Interval of p_b - p_a for two independent proportions (Newcombe 1998, method 10)."""
    a, b = wilson(count_a, n_a, level), wilson(count_b, n_b, level)
    rate_a, rate_b = count_a / n_a, count_b / n_b
    gap = rate_b - rate_a
    low = gap - np.hypot(rate_b - b.low, a.high - rate_a)
    high = gap + np.hypot(b.high - rate_b, rate_a - a.low)
    return Interval(float(low), float(high))


def gap_interval(
    misses_a: np.ndarray,
    voices_a: Sequence[str],
    misses_b: np.ndarray,
    voices_b: Sequence[str],
    *,
    takes_a: int | None = None,
    takes_b: int | None = None,
    seed: int = 0,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Interval of FRR(b) - FRR(a) over different utterances; None where a side has fewer than two voices.

    The bootstrap by voice sees no spread in a side without a miss, so the wider of it and Newcombe's is
    taken at each end. `takes_a`, `takes_b`: distinct takes behind the utterances (one take heard in ten
    cars is no ten takes).
    """
    if len(set(voices_a)) < 2 or len(set(voices_b)) < 2:
        return None
    rng = np.random.default_rng(seed)
    draws_a = _resampled_means(misses_a, voices_a, resamples, rng)
    draws_b = _resampled_means(misses_b, voices_b, resamples, rng)
    boot = _percentiles(draws_b - draws_a, level)
    n_a, n_b = takes_a or len(misses_a), takes_b or len(misses_b)
    exact = newcombe(
        round(float(np.mean(misses_a)) * n_a), n_a, round(float(np.mean(misses_b)) * n_b), n_b, level
    )
    return Interval(min(boot.low, exact.low), max(boot.high, exact.high))
