"""Near duplicates: one recording twice, whatever was done to one of the two.

Candidates come from an index (`search.py`), are laid over each other by their sketches (`align.py`), and
those that fit are decoded again and judged by their waveforms (`confirm.py`). A piece cut out of a recording
is found by its samples (`exact.py`), however short and wherever it was cut.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from data_splits.audio import SAMPLE_RATE_HZ, read_audio
from data_splits.audit.sound.align import Overlap, overlap
from data_splits.audit.sound.confirm import coherence
from data_splits.audit.sound.exact import Cut, find_cuts, shared_s
from data_splits.audit.sound.fingerprint import changes
from data_splits.audit.sound.search import Candidate, candidates, gather
from data_splits.audit.sound.spectrum import HOP
from data_splits.audit.sound.spread import spread
from data_splits.errors import AudioError

SIMILAR: Final = 0.5
"""Sketches less alike than this are not decoded again."""
SCHEMA: Final[dict[str, pl.DataType]] = {
    "first": pl.Int64(),
    "second": pl.Int64(),
    "similarity": pl.Float64(),
    "coherence": pl.Float64(),
    "same": pl.Boolean(),
    "speed": pl.Float64(),
    "first_s": pl.Float64(),
    "second_s": pl.Float64(),
    "overlap_s": pl.Float64(),
}
_BATCH: Final = 64
_MAX_S: Final = 86_400.0


class Pair(NamedTuple):
    """Two recordings by their place in the table, and how they lie over each other."""

    first: int
    second: int
    over: Overlap


def find_twins(
    audio: Sequence[str],
    sketches: Sequence[bytes | None],
    marks: Sequence[bytes | None],
    root: Path,
    *,
    jobs: int = 1,
    ray: str | None = None,
    advance: Callable[[int, int], object] = lambda done, total: None,
) -> pl.DataFrame:
    """All pairs of recordings that are one.

    Args:
        audio: references, as a manifest's.
        sketches: of the same recordings; those without one are passed over.
        marks: likewise.
        root: the manifest's folder.
        jobs: processes that decode.
        ray: address of a Ray cluster that decodes instead.
        advance: called with the pairs judged and all there are.

    Returns:
        Columns of `SCHEMA`; `first < second` are places in `audio`, all are the `same`.
    """
    pairs: list[Pair | Cut] = [*find_cuts(marks), *fitting(candidates(gather(sketches)), sketches)]
    batches = [pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH)]
    named = [[(audio[pair.first], audio[pair.second], pair) for pair in batch] for batch in batches]
    done, rows = 0, []
    for batch, judged in spread(functools.partial(_confirm, str(root)), named, jobs, ray):
        done += len(batch)
        advance(done, len(pairs))
        rows += judged
    found = pl.DataFrame(rows, schema=SCHEMA, orient="row").filter("same")
    best = found.sort("first", "second", "coherence", descending=[False, False, True])
    return best.unique(["first", "second"], keep="first", maintain_order=True)


def fitting(found: list[Candidate], sketches: Sequence[bytes | None]) -> list[Pair]:
    """The candidates whose sketches are alike where they overlap, one a pair of recordings, the best."""
    return list(_fitting(found, sketches))


def _fitting(found: list[Candidate], sketches: Sequence[bytes | None]) -> Iterator[Pair]:
    load = functools.lru_cache(maxsize=4096)(lambda clip: changes(sketches[clip] or b""))
    for (first, second), hints in groupby(found, key=lambda hint: (hint.first, hint.second)):
        best: Overlap | None = None
        for hint in hints:
            over = overlap(load(first), load(second), hint.first_frame, hint.second_frame)
            if over is not None and (best is None or over.similarity > best.similarity):
                best = over
        if best is not None and best.similarity >= SIMILAR:
            yield Pair(first, second, best)


def _confirm(root: str, batch: list[tuple[str, str, Pair | Cut]]) -> list[tuple[Any, ...]]:
    """A row of `SCHEMA` for each pair; none of them the same where one can no longer be read."""

    @functools.lru_cache(maxsize=16)
    def load(reference: str) -> np.ndarray:
        return read_audio(reference, root, max_s=_MAX_S)

    found = []
    for first, second, pair in batch:
        judge: Callable[..., tuple[Any, ...]] = _cut_row if isinstance(pair, Cut) else _row
        try:
            found.append(judge(pair, load(first), load(second)))
        except AudioError:
            found.append((pair.first, pair.second, 0.0, 0.0, False, 1.0, 0.0, 0.0, 0.0))
    return found


def _cut_row(cut: Cut, first: np.ndarray, second: np.ndarray) -> tuple[Any, ...]:
    together_s = shared_s(first, second, cut.lag)
    same = float(together_s > 0)
    first_s, second_s = max(0, cut.lag) / SAMPLE_RATE_HZ, max(0, -cut.lag) / SAMPLE_RATE_HZ
    return cut.first, cut.second, same, same, together_s > 0, 1.0, first_s, second_s, together_s


def _row(pair: Pair, first: np.ndarray, second: np.ndarray) -> tuple[Any, ...]:
    frame_s = HOP / SAMPLE_RATE_HZ
    over, coherent = pair.over, coherence(first, second, pair.over)
    return (
        pair.first,
        pair.second,
        over.similarity,
        coherent.value,
        coherent.same,
        over.speed,
        over.first_frame * frame_s,
        over.second_frame * frame_s,
        over.frames * frame_s,
    )
