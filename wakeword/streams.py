"""Continuous streams to score on: takes of the wake word with gaps, and negatives on a drive.

Nothing is stored: a stream is rendered when it is listened to and repeats from its seed. Every recording
has draws of its own (keyed by its id), so that leaving one out changes no other. The car is simulated, from
cabins and noise recordings of the evaluated part alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from wakeword.blocks import (
    SAMPLE_RATE_HZ,
    Piece,
    Segment,
    Stream,
    StreamError,
    Word,
    faint_noise,
    join_blocks,
    seeded,
    with_gap,
)

if TYPE_CHECKING:
    import polars as pl

    from asr_pretrain.augment.cabin import CabinKind
    from asr_pretrain.augment.car import CarRecipe
    from asr_pretrain.augment.noise import NoiseKind

__all__ = [
    "DEFAULT_CONDITIONS",
    "SAMPLE_RATE_HZ",
    "Piece",
    "Playlist",
    "Renderer",
    "SimulatedCar",
    "Stream",
    "StreamError",
    "Word",
    "condition_label",
    "condition_snr_db",
    "faint_noise",
    "label_of",
    "parse_conditions",
    "read_row",
    "rows_streams",
    "seeded",
    "word_span_of",
]

Generator = Literal["seen", "unseen"]
Noises = Literal["mixed", "recorded", "simulated"]
RECORDED_SHARES: dict[Noises, float | None] = {"mixed": None, "recorded": 1.0, "simulated": 0.0}
"""Of a drive's noise; None is the scoring rules' own."""
GENERATORS: dict[Generator, tuple[CabinKind, NoiseKind]] = {
    "seen": ("cabin", "procedural"),
    "unseen": ("wedge", "grains"),
}
"""Kinds of cabins and of synthetic noises."""
DEFAULT_CONDITIONS = ("quiet", "cabin", "10", "5", "0", "-5")
TAKE_GAP_S = (1.5, 3.0)
NEGATIVE_GAP_S = (0.3, 1.0)
NEGATIVE_SNR_DB = (-5.0, 20.0)
LONGEST_PIECE_S = 60.0
"""A longer negative is rendered in pieces of this length, each with a drive of its own."""


class Renderer(Protocol):
    """Hears a recording through a car."""

    def render(self, clean: np.ndarray, rng: np.random.Generator, snr_db: float | None) -> np.ndarray:
        """(n,) float32 in [-1, 1] through a cabin, with car noise at `snr_db`, without noise where None."""
        ...

    def drive(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same through whatever the car's recipe draws."""
        ...


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


class SimulatedCar:
    """Renders through cabins and noise of one part with `asr_pretrain.augment.car`."""

    def __init__(
        self,
        frame: pl.DataFrame,
        root: Path,
        part: str,
        seed: int,
        *,
        recipe: CarRecipe | None = None,
        cabins: int = 64,
        procedural: int = 48,
        generator: Generator = "seen",
        noises: Noises = "mixed",
    ) -> None:
        """Build the banks of `part`. Raises StreamError where it has no recorded noise and is to play it.

        Args:
            frame: holds the noise rows of `part`.
            recipe: the neutral car of the scoring rules unless given.
            cabins, procedural: how many cabins and noises are simulated, for this part alone.
            generator: `seen` makes cabins and noises by the methods that training's are made by, `unseen`
                by methods that training never hears.
            noises: recordings and simulations, or only one of them.
        """
        import polars as pl

        from asr_pretrain.augment.cabin import cabin_bank
        from asr_pretrain.augment.car import Car, CarRecipe
        from asr_pretrain.augment.noise import NoiseBank
        from asr_pretrain.loading.pack import cache_folder

        recipe = recipe or CarRecipe.for_scoring()
        if (share := RECORDED_SHARES[noises]) is not None:
            recipe = recipe.model_copy(update={"recorded_share": share})
        if recipe.noise_kinds is not None:  # decoding what is never played would take most of the start
            frame = frame.filter(pl.col("noise_kind").is_in(recipe.noise_kinds))
        cache = cache_folder()
        cabin_kind, noise_kind = GENERATORS[generator]
        noise = NoiseBank.build(
            frame, root, part=part, procedural=procedural, seed=seed, cache=cache, kind=noise_kind
        )
        if noises == "recorded" and not noise.recorded.any():
            raise StreamError(f"--noise recorded: the {part} part has no recorded car noise; use mixed")
        self.car = Car(recipe, cabin_bank(part, cabins, seed, cache, cabin_kind), noise)

    def render(self, clean: np.ndarray, rng: np.random.Generator, snr_db: float | None) -> np.ndarray:
        """See `Renderer`."""
        return self._apply(clean, rng, math.inf if snr_db is None else snr_db, True)

    def drive(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `Renderer`."""
        return self._apply(clean, rng, None, None)

    def _apply(
        self, clean: np.ndarray, rng: np.random.Generator, snr_db: float | None, cabin: bool | None
    ) -> np.ndarray:
        import torch

        drives = self.car.draw(rng, 1, clean.size, snr_db=snr_db, cabin=cabin)
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
            yield from join_blocks(
                segments, f"{condition}/{draw}", condition, seeded(self.seed, "tail", draw)
            )

    def negatives(self, car: Renderer) -> Iterator[Stream]:
        """Streams of every negative once: a third as it is, in a quiet cabin, and in a cabin with noise."""
        segments = (part for row in self.negative_rows for part in self._negative(row, car))
        yield from join_blocks(segments, "negatives", "negatives", seeded(self.seed, "tail"), self.phrase)

    def _take(self, row: dict[str, Any], condition: str, draw: int, car: Renderer | None) -> Segment:
        samples = read_row(row, self.root)
        rng = seeded(self.seed, condition, draw, row["id"])
        padded, lead = with_gap(samples, rng, TAKE_GAP_S)
        if condition != "quiet" and car is not None:
            padded = car.render(padded, rng, condition_snr_db(condition))
        seconds = samples.size / SAMPLE_RATE_HZ
        return Segment(padded, lead, seconds, row, condition, word_span_of(row, samples))

    def _negative(self, row: dict[str, Any], car: Renderer) -> Iterator[Segment]:
        samples = read_row(row, self.root)
        longest = int(LONGEST_PIECE_S * SAMPLE_RATE_HZ)
        for number, start in enumerate(range(0, samples.size, longest)):
            rng = seeded(self.seed, "negative", number, row["id"])
            piece = samples[start : start + longest]
            padded, lead = with_gap(piece, rng, NEGATIVE_GAP_S)
            drive = ("as it is", "cabin", "noise")[int(rng.integers(3))]
            snr_db = round(float(rng.uniform(*NEGATIVE_SNR_DB)), 1) if drive == "noise" else None
            if drive != "as it is":
                padded = car.render(padded, rng, snr_db)
            label = drive if snr_db is None else f"{snr_db:g} dB"
            yield Segment(padded, lead, piece.size / SAMPLE_RATE_HZ, row, label)


def rows_streams(
    rows: Sequence[dict[str, Any]],
    root: Path,
    name: str,
    car: Renderer,
    *,
    takes: bool,
    phrase: str,
    seed: int,
) -> Iterator[Stream]:
    """Streams of planned rows: mirror rows as they are stored, general ones through a drive of `car`.

    The gaps are faint noise around both, so that the splits differ in nothing but their recordings.

    Args:
        takes: whether the rows are takes of the phrase, or negatives.
    """

    def segments() -> Iterator[Segment]:
        for row in rows:
            samples, rng = read_row(row, root), seeded(seed, name, row["id"])
            span_s = word_span_of(row, samples) if takes else None
            stored = row["domain"] == "mirror"
            heard = samples if stored else car.drive(samples, rng)
            padded, lead_s = with_gap(heard, rng, TAKE_GAP_S if takes else NEGATIVE_GAP_S)
            drive = "as stored" if stored else "drawn"
            yield Segment(padded, lead_s, samples.size / SAMPLE_RATE_HZ, row, drive, span_s)

    condition = "takes" if takes else "negatives"
    yield from join_blocks(segments(), f"{name}/{condition}", condition, seeded(seed, name), phrase)


def read_row(row: dict[str, Any], root: Path) -> np.ndarray:
    """The row's audio, (n,) float32 in [-1, 1]."""
    from data_splits.audio import read_audio

    return read_audio(row["audio"], root).astype(np.float32) / 32768


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
