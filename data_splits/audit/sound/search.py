"""Which recordings may hold the same sound: signatures that agree, found without comparing all with all.

Locality-sensitive hashing: each of eight tables sorts the anchors of all recordings by other bits of their
signatures, and only neighbours that share as many bits as the corpus needs are compared. Keys grow with the
corpus, so that chance gives each anchor about as many neighbours in a large one as in a small one, and a
bucket that everybody shares is compared in a chain, not all with all: time grows as n log n.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from data_splits.audit.sound.fingerprint import SIGNATURE_BYTES, anchors, changes, signatures

_TABLES: Final = 8
_KEY_BYTES: Final = SIGNATURE_BYTES // _TABLES
_FEWEST_BITS: Final = 14
_NEIGHBOURS: Final = 16
# Of 192 bits: two recordings of other things differ in 96, one recording and itself in noise in 25.
_MOST_DIFFERENT: Final = 36
_SPARE_BITS: Final = 2
_LASTING_FRAMES: Final = 6
_OFFSETS: Final = 8
_HINTS: Final = 3


class Anchors(NamedTuple):
    """The anchors of many recordings."""

    clip: np.ndarray
    """Position of the recording, int32, shape (n,)."""
    frame: np.ndarray
    """Frame in it, int32, shape (n,)."""
    signature: np.ndarray
    """uint8, shape (n, 24)."""


class Candidate(NamedTuple):
    """Two moments that sound alike."""

    first: int
    second: int
    first_frame: int
    second_frame: int


def gather(sketches: Iterable[bytes | None]) -> Anchors:
    """The anchors of all recordings; those without a sketch have none."""
    clips, frames = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    signed = [np.zeros((0, SIGNATURE_BYTES), np.uint8)]
    for clip, sketch in enumerate(sketches):
        if not sketch:
            continue
        moved = changes(sketch)
        at = anchors(moved)
        clips.append(np.full(len(at), clip, np.int32))
        frames.append(at)
        signed.append(signatures(moved, at))
    return Anchors(np.concatenate(clips), np.concatenate(frames), np.concatenate(signed))


def candidates(found: Anchors) -> list[Candidate]:
    """Pairs of recordings that sound alike for 0.1 s and more at one offset, `first < second`.

    Up to three moments a pair, the most alike first.
    """
    pairs = np.concatenate([_pairs(found, table) for table in range(_TABLES)])
    clips = found.clip[pairs]
    pairs = np.where((clips[:, 0] > clips[:, 1])[:, None], pairs[:, ::-1], pairs)
    pairs = np.unique(pairs, axis=0)
    pairs = pairs[_lasting(found, pairs)]
    first, second = found.clip[pairs[:, 0]], found.clip[pairs[:, 1]]
    order = np.lexsort((_distance(found, pairs), second, first))
    pairs, first, second = pairs[order], first[order], second[order]
    fresh = np.flatnonzero(np.diff(first, prepend=-1) | np.diff(second, prepend=-1))
    place = np.arange(len(pairs)) - np.repeat(fresh, np.diff(np.append(fresh, len(pairs))))
    kept = place < _HINTS
    frames = found.frame[pairs[kept]]
    columns = (first[kept], second[kept], frames[:, 0], frames[:, 1])
    return [Candidate(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _lasting(found: Anchors, pairs: np.ndarray) -> np.ndarray:
    """Whether another of the same recordings at about the same offset lies 0.1 s away, (pairs,) bool."""
    clips, frames = found.clip[pairs].astype(np.int64), found.frame[pairs].astype(np.int64)
    offset = frames[:, 1] - frames[:, 0]
    lasts = np.zeros(len(pairs), dtype=bool)
    for shift in (0, _OFFSETS // 2):
        cell = np.stack([clips[:, 0], clips[:, 1], (offset + shift) // _OFFSETS], axis=1)
        _, group = np.unique(cell, axis=0, return_inverse=True)
        n_groups = int(group.max(initial=-1)) + 1
        begin, end = np.full(n_groups, np.iinfo(np.int64).max), np.full(n_groups, -1)
        np.minimum.at(begin, group, frames[:, 0])
        np.maximum.at(end, group, frames[:, 0])
        lasts |= (end - begin >= _LASTING_FRAMES)[group]
    return lasts


def _pairs(found: Anchors, table: int) -> np.ndarray:
    """Anchors that share a key in one table and differ little elsewhere, int64, shape (pairs, 2)."""
    n_bits = int(
        np.clip(np.ceil(np.log2(max(len(found.clip), 2))) + _SPARE_BITS, _FEWEST_BITS, 8 * _KEY_BYTES)
    )
    # Big-endian, the table's own bytes first: sorting puts the most alike of a bucket side by side.
    turned = np.roll(found.signature, -table * _KEY_BYTES, axis=1)[:, :8]
    keys = np.ascontiguousarray(turned).view(">u8")[:, 0].astype(np.uint64)
    # Stable: where all share a signature, each is compared with the same few in every table.
    order = np.argsort(keys, kind="stable")
    buckets = keys[order] >> np.uint64(64 - n_bits)
    parts = [np.zeros((0, 2), np.int64)]
    for step in range(1, _NEIGHBOURS + 1):
        together = np.flatnonzero(buckets[step:] == buckets[:-step])
        if len(together) == 0:
            break
        pairs = np.stack([order[together], order[together + step]], axis=1)
        pairs = pairs[found.clip[pairs[:, 0]] != found.clip[pairs[:, 1]]]
        parts.append(pairs[_distance(found, pairs) <= _MOST_DIFFERENT])
    return np.concatenate(parts)


def _distance(found: Anchors, pairs: np.ndarray) -> np.ndarray:
    """Bits in which two signatures differ, shape (pairs,)."""
    words = found.signature.view(np.uint64)
    differing = np.bitwise_count(words[pairs[:, 0]] ^ words[pairs[:, 1]])
    return differing.sum(axis=1, dtype=np.int64)
