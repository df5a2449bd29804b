"""Is a phrase said in a recording, and when? A CTC recogniser's alignment, anchored nowhere.

The best path through the phrase's phones may begin and end at any frame; its cost is its negative log
probability, in nats a phone. Said, it costs little; in noise, of which the recogniser makes nothing, much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLANK = 0


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
    states = [unit for u in units for unit in (u, BLANK)][:-1]
    costs = -log_probabilities[:, states]
    n = len(states)
    skips = np.array([i >= 2 and states[i] != BLANK and states[i] != states[i - 2] for i in range(n)])
    total, begun = np.full(n, np.inf), np.zeros(n, np.int64)
    best = Spotted(np.inf, 0, 0)
    for frame, cost in enumerate(costs):
        stay, step = total, np.concatenate([[0.0], total[:-1]])
        leap = np.where(skips, np.concatenate([[np.inf, np.inf], total])[:n], np.inf)
        choice = np.argmin([stay, step, leap], axis=0)
        arrived = np.concatenate([[frame], begun[:-1]])
        leapt = np.concatenate([[0, 0], begun])[:n]
        begun = np.choose(choice, [begun, arrived, leapt])
        total = np.min([stay, step, leap], axis=0) + cost
        if total[-1] < best.cost * len(units):
            best = Spotted(float(total[-1]) / len(units), int(begun[-1]), frame)
    return best
