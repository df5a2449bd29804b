"""Which utterance is heard in which batch of which step: epochs, chapters of shards, buckets of lengths.

An epoch permutes the shards and cuts them into chapters; a chapter shuffles the utterances of its shards, and
its share of those in loose files, into groups of one bucket each. A group is a step: its batches are dealt to
processes and micro-batches. Nothing but the data, the recipe and the seed decides, and of the processes only
how many batches they hear together, so that a run goes on exactly, also on other processes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from asr_pretrain.loading.buckets import Buckets
from asr_pretrain.loading.variations import Drawn, Variations
from asr_pretrain.training.recipe import RecipeError


@dataclass(frozen=True)
class Utterances:
    """What planning needs to know of each utterance (n,)."""

    n_samples: np.ndarray
    shard: np.ndarray
    """Number of its shard, -1 for a loose file."""
    weights: np.ndarray
    """Times it is heard in an epoch, on average."""


@dataclass(frozen=True)
class Group:
    """The utterances of one step, dealt to its batches."""

    frames: int
    """Log-mel frames that every batch of the step is padded to."""
    rows: np.ndarray
    """Row numbers of the utterances (n,)."""
    drawn: Drawn

    def batch(self, number: int, of: int) -> Group:
        """The ``number``-th of the ``of`` batches; every ``of``-th utterance, so that lengths are alike."""
        pick = slice(number, None, of)
        drawn = self.drawn
        part = Drawn(drawn.ratio[pick], drawn.hop[pick], drawn.lead[pick], drawn.spoken[pick])
        return Group(self.frames, self.rows[pick], part)


@dataclass(frozen=True)
class _Chapter:
    rows: np.ndarray
    drawn: Drawn
    order: np.ndarray
    buckets: np.ndarray
    ends: np.ndarray
    turns: np.ndarray


class Plan:
    """Steps without end, planned chapter by chapter as they are asked for.

    Args:
        utterances: of the training set.
        variations: what is drawn for each.
        batch_seconds: of one batch, padding included.
        batches: batches in a step, over processes and micro-batches.
        chapter_shards: shards that are shuffled together, and so read at the same time.

    Raises:
        RecipeError: when every weight is 0.
    """

    def __init__(
        self,
        utterances: Utterances,
        variations: Variations,
        batch_seconds: float,
        batches: int,
        chapter_shards: int,
        seed: int,
    ):
        self.utterances, self.variations, self.batches, self.seed = utterances, variations, batches, seed
        weights = utterances.weights
        if not len(weights) or weights.max() <= 0:
            raise RecipeError("no utterance has a weight above 0; correct source_weights")
        self._whole = np.floor(weights).astype(np.int64)
        by_shard = np.argsort(utterances.shard, kind="stable").astype(np.int32)
        n_shards = int(utterances.shard.max()) + 1
        starts = np.searchsorted(utterances.shard[by_shard], np.arange(n_shards + 1))
        self._loose = by_shard[: starts[0]]
        self._rows_of = [by_shard[start:end] for start, end in zip(starts, starts[1:], strict=False)]
        self.n_chapters = max(1, -(-n_shards // chapter_shards))
        heard = weights > 0
        sample = variations.draw(np.random.default_rng([seed, 0]), utterances.n_samples[heard])
        longest = variations.most_frames(int(utterances.n_samples[heard].max()))
        self.buckets = Buckets.fit(sample.frames, weights[heard], longest, int(batch_seconds * 100))
        self._ends: list[int] = []  # steps up to the end of each chapter planned so far, over all epochs
        self._epochs: OrderedDict[int, list[np.ndarray]] = OrderedDict()
        self._chapters: OrderedDict[int, _Chapter] = OrderedDict()

    def group(self, step: int) -> Group:
        """The utterances of a step, from 0; there is no last one."""
        while not self._ends or self._ends[-1] <= step:
            self._count_next()
        number = bisect_right(self._ends, step)
        chapter = _kept(self._chapters, number, self._plan)
        turn = chapter.turns[step - (self._ends[number - 1] if number else 0)]
        members = chapter.order[chapter.ends[turn] : chapter.ends[turn + 1]]
        drawn = chapter.drawn
        return Group(
            int(self.buckets.frames[chapter.buckets[turn]]),
            chapter.rows[members],
            Drawn(drawn.ratio[members], drawn.hop[members], drawn.lead[members], drawn.spoken[members]),
        )

    def steps_in(self, epochs: float) -> int:
        """Steps of the first ``epochs`` epochs; of a begun one its share, rounded up."""
        whole = math.floor(epochs)
        wanted = self.n_chapters * (whole + (epochs > whole))
        while len(self._ends) < wanted:
            self._count_next()
        full = self._ends[self.n_chapters * whole - 1] if whole else 0
        last = self._ends[wanted - 1] if wanted else 0
        return full + math.ceil((epochs - whole) * (last - full))

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        """Row numbers of each chapter, a row as often as it is heard in this epoch."""
        rng = np.random.default_rng([self.seed, 1, epoch])
        weights = self.utterances.weights
        repeats = self._whole + (rng.random(len(weights)) < weights - self._whole)
        loose = rng.permutation(np.repeat(self._loose, repeats[self._loose]))
        shards = np.array_split(rng.permutation(len(self._rows_of)), self.n_chapters)
        chapters = []
        for shares, part in zip(np.array_split(loose, self.n_chapters), shards, strict=True):
            own = [self._rows_of[shard] for shard in np.sort(part)]
            rows = np.concatenate(own) if own else self._loose[:0]
            chapters.append(np.concatenate([np.repeat(rows, repeats[rows]), shares]))
        return chapters

    def _draw(self, number: int) -> tuple[np.ndarray, Drawn, np.ndarray, np.random.Generator]:
        """Rows, draws and buckets of a chapter, and the generator that shuffles them."""
        epoch, chapter = divmod(number, self.n_chapters)
        rows = _kept(self._epochs, epoch, self._epoch)[chapter]
        rng = np.random.default_rng([self.seed, 2, number])
        drawn = self.variations.draw(rng, self.utterances.n_samples[rows])
        return rows, drawn, self.buckets.of(drawn.frames), rng

    def _count_next(self) -> None:
        _, _, bucket, _ = self._draw(len(self._ends))
        steps = sum(n for _, n, _ in self.buckets.groups(bucket, self.batches))
        self._ends.append((self._ends[-1] if self._ends else 0) + steps)

    def _plan(self, number: int) -> _Chapter:
        rows, drawn, bucket, rng = self._draw(number)
        order, buckets, ends = self.buckets.fill(bucket, self.batches, rng)
        return _Chapter(rows, drawn, order, buckets, ends, rng.permutation(len(buckets)))


_T = TypeVar("_T")


def _kept(cache: OrderedDict[int, _T], key: int, make: Callable[[int], _T]) -> _T:
    """``make(key)``, or what it gave before; the last two are kept, for workers meet at their border."""
    if key not in cache:
        cache[key] = make(key)
        while len(cache) > 2:
            cache.popitem(last=False)
    return cache[key]
