"""The few lengths that batches are padded to, and full groups of utterances that waste little of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

N_BUCKETS = 12
FRAMES_MULTIPLE = 8
"""Bounds are whole steps of the device, and even after every stride of the encoder."""
_CANDIDATES = 256


@dataclass(frozen=True)
class Buckets:
    """Bounds in log-mel frames, ascending, and how many utterances a batch of each holds."""

    frames: np.ndarray
    sizes: np.ndarray

    @classmethod
    def fit(
        cls, frames: np.ndarray, weights: np.ndarray, longest: int, batch_frames: int, count: int = N_BUCKETS
    ) -> Buckets:
        """The ``count`` bounds under which ``frames`` are padded least, the last of them ``longest`` or more.

        Args:
            frames: needed by each utterance (n,), as drawn once.
            weights: how often each is seen (n,).
            longest: the most that any may ever need.
            batch_frames: of a batch, padding included; a batch holds one utterance at least.
        """
        multiple = FRAMES_MULTIPLE * max(1, -(-longest // (FRAMES_MULTIPLE * _CANDIDATES)))
        bounds = multiple * np.arange(1, -(-longest // multiple) + 1)
        seen = np.bincount(-(-frames // multiple) - 1, weights, minlength=len(bounds))
        before = np.concatenate([[0.0], np.cumsum(seen)])
        # padded[i, j]: frames of the utterances between bound i and bound j when all are padded to j.
        padded = (before[None, 1:] - before[:, None]) * bounds
        padded[np.arange(len(before))[:, None] > np.arange(len(bounds))] = np.inf
        # best[j]: of the utterances up to bound j, with one more bound each time round.
        best, before_it = padded[0], []
        for _ in range(min(count, len(bounds)) - 1):
            total = best[:, None] + padded[1:]
            before_it.append(np.where(total.min(0) < best, total.argmin(0), -1))
            best = np.minimum(total.min(0), best)
        taken = [len(bounds) - 1]
        for previous in reversed(before_it):
            if previous[taken[-1]] >= 0:
                taken.append(int(previous[taken[-1]]))
        used = bounds[taken[::-1]]
        return cls(used, np.maximum(1, batch_frames // used))

    def of(self, frames: np.ndarray) -> np.ndarray:
        """The bucket (n,) of utterances that need ``frames`` (n,), none of them more than the last bound."""
        table = np.searchsorted(self.frames, np.arange(self.frames[-1] + 1)).astype(np.uint8)
        return table[frames]

    def groups(self, bucket: np.ndarray, batches: int) -> Iterator[tuple[int, int, int]]:
        """Bucket, number and size of the groups of ``batches`` batches that utterances fill.

        The longest come first. Where a bucket does not fill its last group, the utterances of the next
        shorter one do: they fit. Only the very last group may ask for more than is left.
        """
        left = np.bincount(bucket, minlength=len(self.frames))
        taken = 0  # of the current bucket, by a longer one
        for number in range(len(self.frames) - 1, -1, -1):
            size = int(self.sizes[number]) * batches
            here = int(left[number]) - taken
            n_groups = max(0, -(-here // size))
            taken = n_groups * size - here
            if n_groups:
                yield number, n_groups, size

    def fill(
        self, bucket: np.ndarray, batches: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every utterance in a full group of one bucket.

        Args:
            bucket: of each utterance (n,).
            batches: batches in a group: those of one step, over all processes.
            rng: shuffles inside a bucket.

        Returns:
            Utterances (m,) group after group, m ≥ n, for those missing in the last group are repeats; the
            bucket of each group (g,); where each group starts and ends (g + 1,).
        """
        order = rng.permutation(len(bucket))
        order = order[np.argsort(-bucket[order].astype(np.int16), kind="stable")].astype(np.int32)
        found = list(self.groups(bucket, batches))
        buckets = np.repeat([number for number, _, _ in found], [n for _, n, _ in found]).astype(np.uint8)
        sizes = np.repeat([size for _, _, size in found], [n for _, n, _ in found])
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        missing = int(ends[-1]) - len(order)
        if missing:
            begin = int(ends[-2])
            # Utterances of other groups first, so that none is heard twice in one step while others are not.
            fitting = order[np.searchsorted(-bucket[order].astype(np.int16), -int(buckets[-1])) :]
            others = rng.permutation(fitting[: max(0, len(fitting) - (len(order) - begin))])
            order = np.concatenate([order, np.resize(np.concatenate([others, order[begin:]]), missing)])
        return order, buckets, ends
