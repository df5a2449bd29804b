"""Streams are joined here: recordings with gaps of faint noise, crossfaded, in blocks of ten minutes.

A crossfade always lies inside the gaps, so that no recording is touched.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

SAMPLE_RATE_HZ = 16000
FAINT_NOISE_DBFS = -75.0
"""Gaps are filled with this: digital zeros are no quiet car."""
BLOCK_S = 600.0
"""A stream is at most about this long: it bounds the memory."""
_FADE_SAMPLES = 1600


class StreamError(ValueError):
    """A manifest or recording from which no stream can be built."""


@dataclass(frozen=True)
class Word:
    """A spoken wake word: the take it is (its clean original's id), its voice, and its span in the stream."""

    take: str
    voice: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Piece:
    """A negative recording in a stream: where it plays, what it is and the drive it is heard through."""

    id: str
    source: str
    kind: str
    drive: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Stream:
    """At most about ten minutes of int16 audio (samples,) with the truth about it."""

    name: str
    condition: str
    samples: np.ndarray
    words: tuple[Word, ...] = ()
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class Segment:
    """A rendered recording with half a gap at either side; `lead_s` of gap stand before it."""

    samples: np.ndarray
    lead_s: float
    duration_s: float
    row: dict[str, Any]
    drive: str = ""
    span_s: tuple[float, float] | None = None


def kind_of(row: dict[str, Any], phrase: str) -> str:
    """`music`, `noise`, `other wake words` or `speech`."""
    if row.get("noise_kind") and not row.get("clean_parent"):  # a rendered utterance names its car's noise
        return "music" if row["noise_kind"] == "music" else "noise"
    others = {name for name, value in (row.get("labels") or {}).items() if value == 1 and name != phrase}
    return "other wake words" if others else "speech"


def take_of(row: dict[str, Any]) -> str:
    """The clean recording behind a row: a take heard in ten cars is one take."""
    return row.get("clean_parent") or row["id"]


def voice_of(row: dict[str, Any]) -> str:
    """The speaker, or one group for all of a source that names none."""
    return row.get("speaker") or f"unknown ({row.get('session') or row.get('source') or 'source unknown'})"


def seeded(seed: int, *keys: str | int) -> np.random.Generator:
    """A generator of its own for each combination of keys."""
    words = [key if isinstance(key, int) else zlib.crc32(key.encode()) for key in keys]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def faint_noise(n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) float32 white noise at -75 dBFS RMS."""
    scale = np.float32(10 ** (FAINT_NOISE_DBFS / 20))
    return rng.standard_normal(n_samples, dtype=np.float32) * scale


def with_gap(
    samples: np.ndarray, rng: np.random.Generator, gap_s: tuple[float, float]
) -> tuple[np.ndarray, float]:
    """Half a drawn gap of faint noise at either side, longer by half the crossfade that joining takes."""
    side = int(rng.uniform(*gap_s) / 2 * SAMPLE_RATE_HZ) + _FADE_SAMPLES // 2
    before, after = faint_noise(side, rng), faint_noise(side, rng)
    return np.concatenate([before, samples, after]).astype(np.float32), side / SAMPLE_RATE_HZ


def join_blocks(
    segments: Iterable[Segment], name: str, condition: str, rng: np.random.Generator, phrase: str = ""
) -> Iterator[Stream]:
    """Join segments with a 0.1 s crossfade into streams of about ten minutes at most."""
    held: list[Segment] = []
    seconds, number = 0.0, 0
    for segment in segments:
        length = segment.samples.size / SAMPLE_RATE_HZ
        if held and seconds + length > BLOCK_S:
            yield _join(held, f"{name}/{number}", condition, rng, phrase)
            held, seconds, number = [], 0.0, number + 1
        held.append(segment)
        seconds += length
    if held:
        yield _join(held, f"{name}/{number}", condition, rng, phrase)


def _join(
    segments: list[Segment], name: str, condition: str, rng: np.random.Generator, phrase: str
) -> Stream:
    from data_splits.audio import to_int16

    total = sum(segment.samples.size - _FADE_SAMPLES for segment in segments) + _FADE_SAMPLES
    # A tail, so that the window of the last word ends inside the stream.
    joined = np.zeros(total + SAMPLE_RATE_HZ, np.float32)
    joined[total:] = faint_noise(SAMPLE_RATE_HZ, rng)
    rise = np.sin(np.linspace(0, np.pi / 2, _FADE_SAMPLES, dtype=np.float32))
    words, pieces, at = [], [], 0
    for segment in segments:
        samples = segment.samples.copy()
        if at:
            samples[:_FADE_SAMPLES] *= rise
        samples[-_FADE_SAMPLES:] *= rise[::-1]
        joined[at : at + samples.size] += samples
        start_s = at / SAMPLE_RATE_HZ + segment.lead_s
        row = segment.row
        if segment.span_s is not None:
            start, end = segment.span_s
            words.append(Word(take_of(row), voice_of(row), start_s + start, start_s + end))
        else:
            source = row.get("source") or "unknown"
            end_s = start_s + segment.duration_s
            pieces.append(Piece(row["id"], source, kind_of(row, phrase), segment.drive, start_s, end_s))
        at += samples.size - _FADE_SAMPLES
    return Stream(name, condition, to_int16(joined), tuple(words), tuple(pieces))
