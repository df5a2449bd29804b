"""Labels that the sound contradicts: confident learning over a cross-validated classifier.

C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70
(2021): a row is suspected when a classifier that never saw its group gives the other label a probability as
high as that of rows which have this other label.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from data_splits.audit.sound.fingerprint import FRAME_BYTES
from data_splits.audit.sound.spectrum import BANDS
from data_splits.audit.two_sample import auc

_TIMES: Final = 12
_FOLDS: Final = 5
_RIDGE: Final = 0.003
_WIDTH: Final = 2.0
_LANDMARKS: Final = 200
_LEARNT: Final = 2_000
_STEPS: Final = 20
_ACTIVE: Final = 0.25
_MIN_GROUPS: Final = 5


def word_shape(sketch: bytes) -> np.ndarray:
    """What is said from its first loud frame to its last, stretched to 12 moments: shape (289,), float32.

    Args:
        sketch: as `make_sketch` makes it.

    Returns:
        12 moments of 24 bands, 0 to 1, and the logarithm of their span in frames.
    """
    packed = np.frombuffer(sketch, dtype=np.uint8).reshape(-1, FRAME_BYTES)
    codes = np.stack([packed >> 4, packed & 15], axis=-1).reshape(-1, BANDS) / np.float32(15)
    loud = np.flatnonzero(codes.mean(axis=1) >= _ACTIVE * codes.mean(axis=1).max())
    codes = codes[loud[0] : loud[-1] + 1] if len(loud) else codes
    edges = np.linspace(0, len(codes), _TIMES + 1)
    total = np.concatenate([np.zeros((1, BANDS)), np.cumsum(codes, axis=0)])
    whole = np.minimum(edges.astype(int), len(codes) - 1)
    at_edges = total[whole] + (edges - whole)[:, None] * codes[whole]
    means = np.diff(at_edges, axis=0) * (_TIMES / len(codes))
    return np.append(means.ravel(), np.log(len(codes))).astype(np.float32)


def cross_validated(shapes: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, float]:
    """The probability of a positive, by classifiers that saw nothing of the row's group.

    Logistic regression on the likeness (a Gaussian kernel) to 200 drawn rows of each class; both classes
    weigh the same, however rare one of them is.

    Args:
        shapes: (rows, features).
        positive: (rows,) of 0 and 1.
        groups: (rows,) int; a group is held out as a whole.

    Returns:
        Probabilities, (rows,), and the area under their ROC curve; NaN and 0.5 where a class has fewer than 5
        groups, or a fold lacks one.
    """
    names, group = np.unique(groups, return_inverse=True)
    unknown = np.full(len(positive), np.nan), 0.5
    if min(len(np.unique(group[positive == value])) for value in (0, 1)) < _MIN_GROUPS:
        return unknown
    rng = np.random.default_rng(1)
    fold_of = (rng.permutation(len(names)) % _FOLDS)[group]
    scaled = shapes - shapes.mean(axis=0)
    scaled /= np.maximum(shapes.std(axis=0), 1e-6) * np.sqrt(shapes.shape[1])
    found = np.zeros(len(positive))
    for fold in range(_FOLDS):
        held = fold_of == fold
        classes = [rng.permutation(np.flatnonzero(~held & (positive == value))) for value in (0, 1)]
        if min(len(rows) for rows in classes) == 0:
            return unknown
        marks = scaled[np.concatenate([rows[:_LANDMARKS] for rows in classes])]
        seen = np.concatenate([rows[:_LEARNT] for rows in classes])
        weights = _logistic(_likeness(scaled[seen], marks), positive[seen])
        told = _likeness(scaled[held], marks) @ weights
        found[held] = 1 / (1 + np.exp(-np.clip(told, -30, 30)))
    return found, float(auc(found[:, None], positive[:, None])[0])


def _likeness(rows: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Gaussian kernel of each row with each mark, and a constant, (rows, marks + 1)."""
    square = (rows**2).sum(axis=1)[:, None] + (marks**2).sum(axis=1) - 2 * rows @ marks.T
    return np.append(np.exp(-square / _WIDTH), np.ones((len(rows), 1)), axis=1)


def _logistic(design: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Weights of a ridge logistic regression, by Newton's method."""
    share = positive.mean()
    balance = np.where(positive == 1, 0.5 / share, 0.5 / (1 - share))
    penalty = _RIDGE * len(positive) * np.eye(design.shape[1])
    penalty[-1, -1] = 1e-6
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        told = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (balance * (told - positive)) + penalty @ weights
        curve = (design * (balance * told * (1 - told))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        weights -= step
        if np.abs(step).max() < 1e-3:
            break
    return weights


def suspects(probability: np.ndarray, positive: np.ndarray, max_probability: float) -> np.ndarray:
    """Whether each row's label is doubted, (rows,) bool.

    Args:
        probability: of a positive, as `cross_validated` gives it.
        positive: the labels, 0 and 1.
        max_probability: what a doubted label has at most.
    """
    thresholds = [(1 - probability)[positive == 0].mean(), probability[positive == 1].mean()]
    other = np.where(positive == 1, 1 - probability, probability)
    needed = np.where(positive == 1, thresholds[0], thresholds[1])
    return np.asarray((other >= needed) & (1 - other <= max_probability))
