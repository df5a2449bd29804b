"""Two-sample tests whose chance is measured by permuting whole speakers.

Takes of one speaker resemble each other, so that a test over rows finds any two splits of few speakers
different. Here whole groups are dealt anew, and a difference counts when few of those deals are as large.
"""

from __future__ import annotations

from typing import Final

import numpy as np

N_DEALS: Final = 199
# With fewer groups a side there are too few deals to tell chance from cause; rows are dealt then.
_MIN_GROUPS: Final = 8
_FOLDS: Final = 5
_RIDGE: Final = 1e-3

Array = np.ndarray


def deals(second: Array, groups: Array, rng: np.random.Generator) -> Array:
    """The sides as they are and as chance would have dealt them.

    Args:
        second: (rows,) bool, whether a row is of the second side.
        groups: (rows,) int, the speaker of each row; a group lies on one side.

    Returns:
        (rows, 1 + N_DEALS) float32 of 0 and 1; the first column is `second`.
    """
    _, first_row, group = np.unique(groups, return_index=True, return_inverse=True)
    side = second[first_row]
    if min(int(side.sum()), int((~side).sum())) < _MIN_GROUPS:
        side, group = second, np.arange(len(second))
    columns = [second] + [rng.permutation(side)[group] for _ in range(N_DEALS)]
    return np.stack(columns, axis=1).astype(np.float32)


def ks_distance(values: Array, dealt: Array) -> Array:
    """Kolmogorov-Smirnov distance of the two sides, shape (deals,), for each column of `dealt`."""
    order = np.argsort(values, kind="stable")
    ordered, sides = values[order], dealt[order]
    n_second = sides.sum(axis=0)
    last_of_ties = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    second = np.cumsum(sides, axis=0)[last_of_ties]
    first = (last_of_ties + 1)[:, None] - second
    with np.errstate(invalid="ignore"):  # a deal may leave one side without any: NaN, no effect
        gap = np.abs(second / n_second - first / (len(values) - n_second))
    return np.asarray(gap.max(axis=0))


def cramers_v(codes: Array, dealt: Array) -> Array:
    """Cramér's V between a category (rows,) of codes from 0 and the side, shape (deals,)."""
    indicator = np.zeros((len(codes), int(codes.max()) + 1), dtype=np.float32)
    indicator[np.arange(len(codes)), codes] = 1
    second = indicator.T @ dealt
    sizes = indicator.sum(axis=0)[:, None]
    share = dealt.mean(axis=0)
    spread = sizes * share * (1 - share)
    chi2 = ((second - sizes * share) ** 2 / np.maximum(spread, 1e-12)).sum(axis=0)
    return np.asarray(np.sqrt(chi2 / len(codes)))


def classifier_auc(
    features: Array, dealt: Array, groups: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """A classifier two-sample test: how well a held-out fold's sides are told (Lopez-Paz and Oquab 2017).

    The classifier is ridge regression on the features, folds hold whole groups.

    Args:
        features: (rows, features), standardised.
        dealt: (rows, deals) as `deals` gives them.
        groups: (rows,) int.

    Returns:
        The area under the ROC curve of each deal, averaged over folds, shape (deals,); and the scores of the
        rows for the first deal, shape (rows,).
    """
    names, group = np.unique(groups, return_inverse=True)
    fold_of = rng.permutation(np.arange(len(names)) % _FOLDS)[group]
    design = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float32)
    scores = np.zeros(len(features))
    areas = []
    for fold in range(_FOLDS):
        held, rest = fold_of == fold, fold_of != fold
        gram = design[rest].T @ design[rest] + _RIDGE * rest.sum() * np.eye(design.shape[1], dtype=np.float32)
        weights = np.linalg.solve(gram, design[rest].T @ dealt[rest])
        predicted = design[held] @ weights
        scores[held] = predicted[:, 0]
        areas.append(auc(predicted, dealt[held]))
    told = np.stack(areas)
    with np.errstate(invalid="ignore"):
        mean = np.nansum(told, axis=0) / np.sum(~np.isnan(told), axis=0)
    return mean, scores


def auc(scores: Array, positive: Array) -> Array:
    """Area under the ROC curve of each column, ties by half, NaN where a column has one class only.

    Args:
        scores: (rows, columns).
        positive: (rows, columns) of 0 and 1.
    """
    order = np.argsort(scores, axis=0, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=0)
    # The mid-rank of ties: between the first and the last place of each run of equal scores.
    place = np.broadcast_to(np.arange(len(scores))[:, None], scores.shape)
    change = np.ones_like(ordered, dtype=bool)
    change[1:] = ordered[1:] != ordered[:-1]
    first = np.maximum.accumulate(np.where(change, place, 0), axis=0)
    ends = np.ones_like(change)
    ends[:-1] = change[1:]
    last = np.minimum.accumulate(np.where(ends, place, len(scores))[::-1], axis=0)[::-1]
    ranks = (first + last) / 2 + 1
    hits = np.take_along_axis(positive, order, axis=0)
    n_positive = hits.sum(axis=0, dtype=np.float64)
    n_negative = len(scores) - n_positive
    with np.errstate(divide="ignore", invalid="ignore"):
        above = (ranks * hits).sum(axis=0) - n_positive * (n_positive + 1) / 2
        return np.asarray(above / (n_positive * n_negative))


def auc_interval(area: float, n_positive: int, n_negative: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of an area under the ROC curve (Hanley and McNeil 1982, Radiology 143:29)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (n_positive - 1) * (q1 - area**2) + (n_negative - 1) * (q2 - area**2)
    half = z * np.sqrt(max(0.0, variance) / (n_positive * n_negative))
    return max(0.0, float(area - half)), min(1.0, float(area + half))


def chance(effects: Array) -> float:
    """The share of deals whose effect is at least the first's, itself counted."""
    return float(np.mean(effects >= effects[0] - 1e-9))


def family_chance(effects: Array) -> Array:
    """The chance of each of several effects, when all of them are looked at (Westfall and Young 1993, max-T).

    Args:
        effects: (columns, deals), the first deal as it is.

    Returns:
        (columns,): the share of deals in which any column stands out as much from what chance gives it.
    """
    known = np.nan_to_num(effects)
    usual = np.maximum(np.quantile(known, 0.95, axis=1, keepdims=True), 1e-9)
    return np.array(
        [chance(np.append(own, (known / usual).max(axis=0)[1:])) for own in (known / usual)[:, :1]]
    )
