"""A recording and a piece cut out of it: the same samples, found wherever the cut was made.

A rolling hash of every 10 ms chooses which of them to keep: in each 0.1 s the least one, so that the choice
goes with the sound and not with its place (Schleimer et al., "Winnowing: Local Algorithms for Document
Fingerprinting", SIGMOD 2003). Any 0.11 s that two recordings share sample for sample then share a mark. What
was changed in gain, speed or code is `search.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from data_splits.audio import SAMPLE_RATE_HZ

MARK: Final = np.dtype([("hash", "<u8"), ("at", "<u4")])
"""12 bytes a mark, about 22 a second of sound."""
_GRAM: Final = 160
_WINDOW: Final = 1600
_BLOCK: Final = 1 << 18
# Silence and what little dither does to it is everybody's.
_QUIETEST: Final = 64
_FACTOR: Final = 0x9E3779B97F4A7C15
_NEIGHBOURS: Final = 16
_SAME_SHARE: Final = 0.98
_LEAST_S: Final = 0.1
_LEAST_SHARE: Final = 0.25


class Cut(NamedTuple):
    """Two recordings by their place in the table, sample 0 of the second at sample `lag` of the first."""

    first: int
    second: int
    lag: int


def make_marks(samples: np.ndarray) -> bytes:
    """The marks of a recording, int16 (n,), as bytes of `MARK`."""
    step = _BLOCK - _WINDOW - _GRAM  # blocks overlap, so that each 0.1 s lies whole in one
    parts = [_marks(samples[start : start + _BLOCK], start) for start in range(0, len(samples), step)]
    return np.unique(np.concatenate([np.zeros(0, MARK), *parts])).tobytes()


def _marks(samples: np.ndarray, start: int) -> np.ndarray:
    n = len(samples) - _GRAM + 1
    if n < 1:
        return np.zeros(0, MARK)
    hashes = _rolling(samples)
    least = minimum_filter1d(samples, _GRAM, origin=-(_GRAM // 2))[:n].astype(np.int32)
    most = maximum_filter1d(samples, _GRAM, origin=-(_GRAM // 2))[:n].astype(np.int32)
    heard = most - least >= _QUIETEST
    # 53 bits, which float64 holds: the filters know no uint64
    order = np.where(heard, (hashes >> np.uint64(11)).astype(np.float64), np.inf)
    width = min(_WINDOW, n)
    before = width // 2
    valid = minimum_filter1d(order, width)[before : before + n - width + 1]
    chosen = np.full(n, -np.inf)
    chosen[: len(valid)] = valid  # the least from here on; the most of these until here is a window's least
    reach = maximum_filter1d(chosen, width, mode="constant", cval=-np.inf, origin=(width - 1) // 2)
    at = np.flatnonzero(heard & (order == reach))
    marks = np.zeros(len(at), MARK)
    marks["hash"], marks["at"] = hashes[at], at + start
    return marks


def find_cuts(kept: Sequence[bytes | None]) -> list[Cut]:
    """Pairs of recordings that share most marks where they overlap, `first < second`, at the commonest lag.

    A jingle that a thousand recordings begin with is no reason to decode them all again.
    """
    parts = [np.frombuffer(marks or b"", MARK) for marks in kept]
    clip = np.repeat(np.arange(len(parts), dtype=np.int64), [len(part) for part in parts])
    marks = np.concatenate([np.zeros(0, MARK), *parts])
    order = np.argsort(marks["hash"], kind="stable")
    hashes, clip, at = marks["hash"][order], clip[order], marks["at"][order].astype(np.int64)
    found = [np.zeros((0, 3), np.int64)]
    for step in range(1, _NEIGHBOURS + 1):  # a hash that all share is compared in a chain, not all with all
        alike = np.flatnonzero((hashes[step:] == hashes[:-step]) & (clip[step:] != clip[:-step]))
        found.append(np.stack([clip[alike], clip[alike + step], at[alike] - at[alike + step]], axis=1))
    rows, counts = np.unique(np.concatenate(found), axis=0, return_counts=True)
    ranked = np.lexsort((-counts, rows[:, 1], rows[:, 0]))
    rows, counts = rows[ranked], counts[ranked]
    fresh = (np.diff(rows[:, 0], prepend=-1) != 0) | (np.diff(rows[:, 1], prepend=-1) != 0)
    pairs = zip(rows[fresh].tolist(), counts[fresh].tolist(), strict=True)
    return [Cut(*row) for row, count in pairs if 2 * count >= _held(parts[row[0]], parts[row[1]], row[2])]


def _held(first: np.ndarray, second: np.ndarray, lag: int) -> int:
    """Marks of the poorer of two recordings where they overlap: all are shared if they are one there."""
    ends = int(first["at"].max()), int(second["at"].max())
    under = second["at"].astype(np.int64) + lag
    over = first["at"].astype(np.int64) - lag
    return min(int(((under >= 0) & (under <= ends[0])).sum()), int(((over >= 0) & (over <= ends[1])).sum()))


def shared_s(first: np.ndarray, second: np.ndarray, lag: int) -> float:
    """Seconds that two recordings share sample for sample, 0 where they are not one.

    98 of 100 samples must be equal wherever both are, digital silence apart, over at least 0.1 s and a
    quarter of the shorter: a jingle before two recordings does not make them one.
    """
    begin, end = max(0, lag), min(len(first), lag + len(second))
    one, other = first[begin:end], second[begin - lag : end - lag]
    sounding = (one != 0) | (other != 0)
    long = max(_LEAST_S * SAMPLE_RATE_HZ, _LEAST_SHARE * min(len(first), len(second)))
    if end - begin < long or sounding.sum() < _GRAM:
        return 0.0
    same = float((one == other)[sounding].mean()) >= _SAME_SHARE
    return (end - begin) / SAMPLE_RATE_HZ if same else 0.0


def _rolling(samples: np.ndarray) -> np.ndarray:
    """A hash of each `_GRAM` samples in a row, uint64 (n - `_GRAM` + 1,)."""
    power, inverse = _powers()
    weighed = samples.astype(np.uint64) * power[: len(samples)]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(weighed)])
    window = (sums[_GRAM:] - sums[:-_GRAM]) * inverse[: len(samples) - _GRAM + 1]
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):  # MurmurHash3's last steps
        window = (window ^ (window >> np.uint64(shift))) * np.uint64(factor)
    return window ^ (window >> np.uint64(33))


@cache
def _powers() -> tuple[np.ndarray, np.ndarray]:
    """Powers of an odd number modulo 2^64, and those of its inverse."""
    factors = (_FACTOR, pow(_FACTOR, -1, 1 << 64))
    first = np.ones(1, np.uint64)
    power, inverse = (
        np.cumprod(np.concatenate([first, np.full(_BLOCK - 1, factor, np.uint64)])) for factor in factors
    )
    return power, inverse
