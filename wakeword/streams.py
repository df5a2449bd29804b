"""Continuous streams to score on: takes of the wake word with gaps, and negatives on a drive.

Nothing is stored: a stream is rendered when it is listened to and repeats from its seed. Every recording
has draws of its own (keyed by its id), so that leaving one out changes no other. The car is simulated, from
cabins and noise recordings of the evaluated part alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import polars as pl

SAMPLE_RATE_HZ = 16000
DEFAULT_CONDITIONS = ("quiet", "cabin", "10", "5", "0", "-5")
FAINT_NOISE_DBFS = -75.0
"""Gaps are filled with this: digital zeros are no quiet car."""
TAKE_GAP_S = (1.5, 3.0)
NEGATIVE_GAP_S = (0.3, 1.0)
NEGATIVE_SNR_DB = (-5.0, 20.0)
BLOCK_S = 600.0
"""A stream is at most about this long: it bounds the memory."""
LONGEST_PIECE_S = 60.0
"""A longer negative is rendered in pieces of this length, each with a drive of its own."""
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


class Renderer(Protocol):
    """Hears a recording through a car."""

    def render(self, clean: np.ndarray, rng: np.random.Generator, snr_db: float | None) -> np.ndarray:
        """(n,) float32 in [-1, 1] through a cabin, with car noise at `snr_db`, without noise where None."""
        ...


@dataclass(frozen=True)
class _Segment:
    """A rendered recording with half a gap at either side; `lead_s` of gap stand before it."""

    samples: np.ndarray
    lead_s: float
    duration_s: float
    row: dict[str, Any]
    drive: str = ""
    span_s: tuple[float, float] | None = None


def parse_conditions(text: str) -> tuple[str, ...]:
    """Split `quiet,cabin,10,-5` and check each.

    Raises:
        StreamError: naming the condition that is neither quiet, cabin nor a number of dB.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise StreamError("no condition given; name quiet, cabin or numbers of dB, such as quiet,cabin,10,0")
    for name in names:
        condition_snr_db(name)
    return names


def condition_snr_db(condition: str) -> float | None:
    """SNR in dB of a condition; None for quiet and cabin."""
    if condition in ("quiet", "cabin"):
        return None
    try:
        snr_db = float(condition)
    except ValueError:
        snr_db = np.nan
    if not np.isfinite(snr_db):
        raise StreamError(f"condition {condition!r}: expected quiet, cabin or an SNR in dB such as 10 or -5")
    return snr_db


def condition_label(condition: str) -> str:
    """How a condition is printed: `10` becomes `10 dB`."""
    return condition if condition_snr_db(condition) is None else f"{condition} dB"


def seeded(seed: int, *keys: str | int) -> np.random.Generator:
    """A generator of its own for each combination of keys."""
    words = [key if isinstance(key, int) else zlib.crc32(key.encode()) for key in keys]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def faint_noise(n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) float32 white noise at -75 dBFS RMS."""
    scale = np.float32(10 ** (FAINT_NOISE_DBFS / 20))
    return rng.standard_normal(n_samples, dtype=np.float32) * scale


def label_of(frame: pl.DataFrame, phrase: str) -> pl.Expr:
    """The column of labels of `phrase`.

    Raises:
        StreamError: the manifest labels no such phrase.
    """
    import polars as pl

    struct = frame.schema["labels"]
    known = [field.name for field in struct.fields] if isinstance(struct, pl.Struct) else []
    if phrase not in known:
        raise StreamError(f"the manifest labels no {phrase!r}, only {', '.join(known) or 'nothing'}")
    return pl.col("labels").struct.field(phrase)


def kind_of(row: dict[str, Any], phrase: str) -> str:
    """`music`, `noise`, `other wake words` or `speech`."""
    if row.get("noise_kind"):
        return "music" if row["noise_kind"] == "music" else "noise"
    others = {name for name, value in (row.get("labels") or {}).items() if value == 1 and name != phrase}
    return "other wake words" if others else "speech"


def take_of(row: dict[str, Any]) -> str:
    """The clean recording behind a row: a take heard in ten cars is one take."""
    return row.get("clean_parent") or row["id"]


def voice_of(row: dict[str, Any]) -> str:
    """The speaker, or one group for all of a source that names none."""
    return row.get("speaker") or f"unknown ({row.get('session') or row.get('source') or 'source unknown'})"


class SimulatedCar:
    """Renders through cabins and noise of one part with `asr_pretrain.augment.car`."""

    def __init__(self, frame: pl.DataFrame, root: Path, part: str, seed: int, cabins: int = 64) -> None:
        """Args: `frame` holds the noise rows of `part`; `cabins` are simulated for that part alone."""
        from asr_pretrain.augment.cabin import cabin_bank
        from asr_pretrain.augment.car import Car, CarRecipe
        from asr_pretrain.augment.noise import NoiseBank

        noise = NoiseBank.build(frame, root, part=part, procedural=24, seed=seed)
        self.car = Car(CarRecipe(), cabin_bank(part, cabins, seed), noise)

    def render(self, clean: np.ndarray, rng: np.random.Generator, snr_db: float | None) -> np.ndarray:
        """See `Renderer`."""
        import torch

        drives = self.car.draw(rng, 1, clean.size, snr_db=snr_db, cabin=True)
        return self.car.apply(torch.from_numpy(clean)[None], drives)[0].numpy()


class Playlist:
    """The wake-word takes and the negatives of one split, and the streams made of them."""

    def __init__(
        self,
        frame: pl.DataFrame,
        root: Path,
        split: str,
        phrase: str,
        *,
        seed: int = 0,
        max_negative_hours: float | None = None,
    ) -> None:
        """Pick the rows; `max_negative_hours` keeps a seeded sample of the negatives.

        Raises:
            StreamError: the split has no take of the phrase, or no negative.
        """
        import polars as pl

        label, rows = label_of(frame, phrase), frame.filter(pl.col("split") == split)
        self.root, self.split, self.phrase, self.seed = root, split, phrase, seed
        self.takes = rows.filter(label == 1).to_dicts()
        negatives = rows.filter(label == 0).sample(fraction=1.0, shuffle=True, seed=seed)
        if max_negative_hours is not None:
            negatives = negatives.filter(pl.col("duration_s").cum_sum() <= max_negative_hours * 3600)
        self.negative_rows = negatives.to_dicts()
        for what, found in (("take", self.takes), ("negative", self.negative_rows)):
            if not found:
                raise StreamError(f"split {split!r} holds no {what} of {phrase!r}; check labels and split")

    def positive_seconds(self) -> float:
        """Estimated seconds of one draw of one condition."""
        return sum(row["duration_s"] + sum(TAKE_GAP_S) / 2 for row in self.takes)

    def negative_seconds(self) -> float:
        """Estimated seconds of the negative streams, gaps included."""
        return sum(row["duration_s"] + sum(NEGATIVE_GAP_S) / 2 for row in self.negative_rows)

    def positives(self, condition: str, draws: int, car: Renderer | None) -> Iterator[Stream]:
        """Streams of every take once a draw, in an order of each draw's own.

        Raises:
            StreamError: a condition other than quiet without a car, or a take in which no word is found.
        """
        if condition != "quiet" and car is None:
            raise StreamError(f"condition {condition!r} needs a car to be rendered through")
        for draw in range(draws):
            order = seeded(self.seed, "order", draw).permutation(len(self.takes))
            rows = (self.takes[i] for i in order)
            segments = (self._take(row, condition, draw, car) for row in rows)
            yield from _blocks(segments, f"{condition}/{draw}", condition, seeded(self.seed, "tail", draw))

    def negatives(self, car: Renderer) -> Iterator[Stream]:
        """Streams of every negative once: a third as it is, in a quiet cabin, and in a cabin with noise."""
        segments = (part for row in self.negative_rows for part in self._negative(row, car))
        yield from _blocks(segments, "negatives", "negatives", seeded(self.seed, "tail"), self.phrase)

    def _take(self, row: dict[str, Any], condition: str, draw: int, car: Renderer | None) -> _Segment:
        samples = self.read(row)
        rng = seeded(self.seed, condition, draw, row["id"])
        padded, lead = _with_gap(samples, rng, TAKE_GAP_S)
        if condition != "quiet" and car is not None:
            padded = car.render(padded, rng, condition_snr_db(condition))
        seconds = samples.size / SAMPLE_RATE_HZ
        return _Segment(padded, lead, seconds, row, condition, word_span_of(row, samples))

    def _negative(self, row: dict[str, Any], car: Renderer) -> Iterator[_Segment]:
        samples = self.read(row)
        longest = int(LONGEST_PIECE_S * SAMPLE_RATE_HZ)
        for number, start in enumerate(range(0, samples.size, longest)):
            rng = seeded(self.seed, "negative", number, row["id"])
            piece = samples[start : start + longest]
            padded, lead = _with_gap(piece, rng, NEGATIVE_GAP_S)
            drive = ("as it is", "cabin", "noise")[int(rng.integers(3))]
            snr_db = round(float(rng.uniform(*NEGATIVE_SNR_DB)), 1) if drive == "noise" else None
            if drive != "as it is":
                padded = car.render(padded, rng, snr_db)
            label = drive if snr_db is None else f"{snr_db:g} dB"
            yield _Segment(padded, lead, piece.size / SAMPLE_RATE_HZ, row, label)

    def read(self, row: dict[str, Any]) -> np.ndarray:
        """The row's audio, (n,) float32 in [-1, 1]."""
        from data_splits.audio import read_audio

        return read_audio(row["audio"], self.root).astype(np.float32) / 32768


def word_span_of(row: dict[str, Any], samples: np.ndarray) -> tuple[float, float]:
    """Start and end in seconds: as the manifest has it, else the span within 30 dB of the peak.

    In a noisy recording without a span in its row the whole recording counts as the word.

    Raises:
        StreamError: the recording is silent.
    """
    from asr_pretrain.augment.level import word_span

    if row.get("word_start_s") is not None and row.get("word_end_s") is not None:
        return row["word_start_s"], row["word_end_s"]
    if row.get("domain") == "mirror":
        return 0.0, samples.size / SAMPLE_RATE_HZ
    try:
        return word_span(samples)
    except ValueError as error:
        raise StreamError(f"{row['id']}: no word found: {error}") from error


def _with_gap(
    samples: np.ndarray, rng: np.random.Generator, gap_s: tuple[float, float]
) -> tuple[np.ndarray, float]:
    """Half a drawn gap of faint noise at either side, longer by half the crossfade that joining takes."""
    side = int(rng.uniform(*gap_s) / 2 * SAMPLE_RATE_HZ) + _FADE_SAMPLES // 2
    before, after = faint_noise(side, rng), faint_noise(side, rng)
    return np.concatenate([before, samples, after]).astype(np.float32), side / SAMPLE_RATE_HZ


def _blocks(
    segments: Iterable[_Segment], name: str, condition: str, rng: np.random.Generator, phrase: str = ""
) -> Iterator[Stream]:
    """Join segments with a 0.1 s crossfade into streams of about ten minutes at most."""
    held: list[_Segment] = []
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
    segments: list[_Segment], name: str, condition: str, rng: np.random.Generator, phrase: str
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
