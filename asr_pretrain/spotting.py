"""Is a phrase said in a recording, and when? A CTC recogniser's alignment, anchored nowhere.

The best path through the phrase's phones may begin and end at any frame; its cost is its negative log
probability, in nats a phone. Said, it costs little; in noise, of which the recogniser makes nothing, much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLANK = 0
TRAIL_COST = 1.0
"""Nats for each blank behind the last unit: without it a phrase once said would be heard for seconds."""


@dataclass(frozen=True)
class Spotted:
    """Where a phrase fits best."""

    cost: float
    """Nats a phone; 0 is certain."""
    first_frame: int
    """In which its first phone is heard."""
    last_frame: int
    """In which its last phone is heard."""


def spot(log_probabilities: np.ndarray, units: list[int]) -> Spotted:
    """The cheapest place of ``units`` in ``log_probabilities`` (frames, classes), class 0 the blank.

    Raises ValueError for no units, or fewer frames than they need.
    """
    needed = len(units) + sum(a == b for a, b in zip(units, units[1:], strict=False))
    if not units or len(log_probabilities) < needed:
        raise ValueError(f"{len(units)} units cannot be said in {len(log_probabilities)} frames")
    costs, begun = track(log_probabilities, units)
    last = int(costs.argmin())
    return Spotted(float(costs[last]), int(begun[last]), last)


def track(log_probabilities: np.ndarray, units: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """For each frame the cost (frames,) of the cheapest path that ends in it, and the frame where it begins.

    A path ends in its last unit or in blanks behind it, so that the cost stays low for a few frames.
    Infinite where no path can end yet. It looks back only: a stream can be followed as it comes.
    """
    states = [unit for u in units for unit in (u, BLANK)]
    steps = -log_probabilities[:, states]
    steps[:, -1] += TRAIL_COST
    n = len(states)
    skips = np.array([i >= 2 and states[i] != BLANK and states[i] != states[i - 2] for i in range(n)])
    total, begun = np.full(n, np.inf), np.zeros(n, np.int64)
    ended, since = np.full(len(steps), np.inf), np.zeros(len(steps), np.int64)
    ways, starts = np.full((3, n), np.inf), np.zeros((3, n), np.int64)
    for frame, step in enumerate(steps):
        ways[0], starts[0] = total, begun
        ways[1, 1:], starts[1, 1:] = total[:-1], begun[:-1]
        ways[1, 0], starts[1, 0] = 0.0, frame
        ways[2, 2:], starts[2, 2:] = np.where(skips[2:], total[:-2], np.inf), begun[:-2]
        choice = ways.argmin(0)
        begun = starts[choice, np.arange(n)]
        total = ways[choice, np.arange(n)] + step
        end = n - 2 + int(total[-1] < total[-2])
        ended[frame], since[frame] = total[end] / len(units), begun[end]
    return ended, since
