"""Two recordings laid over each other by their sketches: how alike they are where they overlap."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

# Nearest to 1 first: where short recordings cannot tell speeds apart, nothing was done to them.
SPEEDS: Final = np.array([1 + sign * step / 200 for step in range(6) for sign in (1, -1)][1:])
_LAGS: Final = np.arange(-2, 3)
# Beyond this the error of a speed would be a frame and more; what is alike in 13 s is alike.
_REACH: Final = 400
# Most candidates are chance: half a second either way at speed 1 refuses them for a fiftieth of the price.
_NEAR_FRAMES: Final = 32
_NEAR_SIMILAR: Final = 0.45
_FEWEST_FRAMES: Final = 10
_STRONG: Final = 0.1


class Overlap(NamedTuple):
    """How a second recording lies over a first: `second_frame` under `first_frame`."""

    similarity: float
    """Correlation of the changes over the overlap, -1 to 1."""
    speed: float
    """Frames of the second for each frame of the first."""
    first_frame: int
    second_frame: int
    frames: int
    """Length of the overlap in frames of the first."""
    strong: int
    """Those of them that hold what both were compared by: silence tells no speed."""


def overlap(first: np.ndarray, second: np.ndarray, first_frame: int, second_frame: int) -> Overlap | None:
    """The best overlap near a moment that both share.

    Args:
        first: changes of the first recording, shape (frames, bands).
        second: those of the second.
        first_frame: the moment in the first.
        second_frame: the same in the second.

    Returns:
        None where less than 0.16 s overlap, or where a second around the moment is not alike.
    """
    near = _overlap(first, second, first_frame, second_frame, SPEEDS[:1], _NEAR_FRAMES)
    if near is None or near.similarity < _NEAR_SIMILAR:
        return None
    return _overlap(first, second, first_frame, second_frame, SPEEDS, _REACH)


def _overlap(
    first: np.ndarray, second: np.ndarray, first_frame: int, second_frame: int, speeds: np.ndarray, reach: int
) -> Overlap | None:
    start = max(0, first_frame - reach)
    part = first[start : first_frame + reach]
    relative = np.arange(len(part)) - (first_frame - start)
    at = np.rint(second_frame + relative * speeds[:, None])[:, None] + _LAGS[:, None]
    inside = (at >= 0) & (at < len(second))
    other = second[np.where(inside, at, 0).astype(np.intp)]
    product = np.einsum("tb,sltb->slt", part, other) * inside
    energy = np.einsum("sltb,sltb->slt", other, other) * inside
    own = (part**2).sum(axis=1) * inside
    # Where one of the two is silent the other may hold noise: each in turn says which moments count.
    strong = own >= _STRONG * own.max()
    by_own = _correlation(product, own, energy, strong)
    by_other = _correlation(product, own, energy, energy >= _STRONG * energy.max())
    frames = inside.sum(axis=-1)
    similarity = np.where(frames >= _FEWEST_FRAMES, np.maximum(by_own, by_other), -1.0)
    best = np.unravel_index(int(similarity.argmax()), similarity.shape)
    if frames[best] < _FEWEST_FRAMES:
        return None
    return Overlap(
        float(similarity[best]),
        float(speeds[best[0]]),
        first_frame,
        second_frame + int(_LAGS[best[1]]),
        int(frames[best]),
        int(strong[best].sum()),
    )


def _correlation(product: np.ndarray, own: np.ndarray, other: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Over the frames that count, shape (speeds, lags)."""
    norm = np.sqrt((own * counts).sum(axis=-1) * (other * counts).sum(axis=-1))
    return (product * counts).sum(axis=-1) / np.maximum(norm, 1e-9)
