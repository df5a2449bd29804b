"""`wakeword slices`: for whom, and in what, does the model fail? One table of misses by slice.

wakeword slices recordings.parquet --split dev --model smart_mirror --snr-db 5

The takes of a split, each heard again from another seat, by another kind of voice, at another pace, inside a
sentence, beside music or another talker. Children, shouting and whispering are made of the takes by WORLD
where nobody recorded them, so they stand for the direction, not for the size, of an effect.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wakeword import scoring, statistics
from wakeword.blocks import (
    SAMPLE_RATE_HZ,
    Segment,
    Stream,
    StreamError,
    join_blocks,
    seeded,
    voice_of,
    with_gap,
)
from wakeword.score import noise_rows, write_json
from wakeword.streams import TAKE_GAP_S, Playlist, read_row, word_span_of

if TYPE_CHECKING:
    import polars as pl

    from asr_pretrain.augment.cabin import CabinParameters
    from asr_pretrain.augment.car import Car
    from asr_pretrain.augment.company import CompanyKind
    from wakeword.evaluate import Listener

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
NEIGHBOUR_GAP_S = (0.05, 0.25)
COMPANY_DB = 5.0
"""Music and talkers lie so far below the speaker."""
CABINS = 160


@dataclass(frozen=True)
class Slice:
    """One row of the table: how its takes differ from those of the first row."""

    name: str
    change: Change | None = None
    """Of the take's int16 samples."""
    cabin: Callable[[CabinParameters], bool] | None = None
    """Which cabins it is heard in."""
    company: CompanyKind | None = None
    before: bool = False
    """Other speech ends shortly before the word."""
    after: bool = False
    """Other speech begins shortly after it."""


def slices() -> list[Slice]:
    """All rows, the takes as they are first."""
    return [
        Slice("all takes"),
        Slice("driver", cabin=lambda c: c.seat == "driver"),
        Slice("passenger", cabin=lambda c: c.seat == "passenger"),
        Slice("far seat", cabin=lambda c: c.seat == "rear"),
        Slice("window open", cabin=lambda c: c.open_window != "none"),
        Slice("music on", company="music"),
        Slice("radio on", company="radio"),
        Slice("another talker", company="talker"),
        Slice("start of a sentence", after=True),
        Slice("middle of a sentence", before=True, after=True),
        Slice("end of a sentence", before=True),
        Slice("fast", change=voiced(pace=0.75)),
        Slice("slow", change=voiced(pace=1.35)),
        Slice("child", change=voiced(pitch_hz=300.0, tract=1.2)),
        Slice("accent (vowels moved)", change=voiced(vowel_drift=0.1)),
        Slice("shouted", change=voiced(pitch=1.4, tilt_db=3.0, liveliness=1.3, pace=1.1)),
        Slice("whispered", change=voiced(whispered=True)),
        Slice("telephone band", change=_telephone),
    ]


def voiced(
    pitch: float = 1.0,
    pitch_hz: float | None = None,
    tract: float = 1.0,
    pace: float = 1.0,
    tilt_db: float = 0.0,
    liveliness: float = 1.0,
    vowel_drift: float = 0.0,
    whispered: bool = False,
) -> Change:
    """A change of voice by WORLD; ``pitch_hz`` is a mean to reach, ``tract`` moves the formants."""

    def change(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        from wakeword.voices import VoiceChange, speak
        from wakeword.world import analyse

        take = analyse(samples)
        ratio = pitch if pitch_hz is None else float(np.clip(pitch_hz / take.mean_pitch_hz, 1.0, 2.5))
        length = tract if pitch_hz is None else 1 + (tract - 1) * min(1.0, math.log2(ratio))
        voice = VoiceChange(
            seed=int(rng.integers(2**62)),
            pitch_ratio=ratio,
            pitch_range=liveliness,
            warp_low=length,
            warp_high=length,
            vowel_drift=vowel_drift,
            tilt_db_per_octave=tilt_db,
            equaliser_db=(0.0,) * 6,
            breath=1.0,
            whispered=whispered,
            pace=(pace,) * 4,
        )
        return speak(take, voice)

    return change


def _telephone(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy.signal import butter, sosfiltfilt

    band = butter(4, (300, 3400), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return np.rint(sosfiltfilt(band, samples.astype(np.float64))).clip(-32768, 32767).astype(np.int16)


class SliceCars:
    """Cars of one part for the slices: neutral, in chosen cabins, with chosen company."""

    def __init__(self, frame: pl.DataFrame, root: Path, part: str, phrase: str, seed: int) -> None:
        from asr_pretrain.augment.cabin import cabin_bank, cabin_parameters
        from asr_pretrain.augment.car_recipe import CarRecipe
        from asr_pretrain.augment.company import company_bank
        from asr_pretrain.augment.noise import NoiseBank
        from asr_pretrain.loading.pack import cache_folder

        cache = cache_folder()
        self.neutral = CarRecipe.for_scoring()
        self.rirs = cabin_bank(part, CABINS, seed, cache, company=True)
        self.cabins = [cabin_parameters(part, seed, index) for index in range(CABINS)]
        self.noise = NoiseBank.build(
            noise_rows(frame, part), root, part=part, procedural=48, seed=seed, cache=cache
        )
        self.company = company_bank(frame, root, part, [phrase], seed, cache)

    def car(self, row: Slice) -> Car:
        """Raises StreamError where the part holds no such cabin."""
        from asr_pretrain.augment.cabin import RirBank
        from asr_pretrain.augment.car import Car

        kept = [n for n, cabin in enumerate(self.cabins) if row.cabin is None or row.cabin(cabin)]
        if not kept:
            raise StreamError(f"slice {row.name!r}: none of {CABINS} cabins is of that kind")
        banks = (self.rirs.responses, self.rirs.talkers, self.rirs.loudspeakers)
        chosen = RirBank(
            tuple(self.rirs.ids[n] for n in kept), *(bank[kept] for bank in banks if bank is not None)
        )
        recipe = self.neutral
        if row.company is not None:
            shares = {f"{row.company}_share": 1.0, "company_db": (COMPANY_DB, COMPANY_DB)}
            recipe = recipe.model_copy(update=shares)
        return Car(recipe, chosen, self.noise, self.company)


def streams(row: Slice, playlist: Playlist, car: Car, snr_db: float) -> Iterator[Stream]:
    """Every take of the playlist once, as the slice has it, in car noise at ``snr_db`` (inf: none)."""
    import torch

    def segments() -> Iterator[Segment]:
        for take in playlist.takes:
            rng = seeded(playlist.seed, "slice", row.name, take["id"])
            samples = read_row(take, playlist.root)
            span_s = word_span_of(take, samples)
            if row.change is not None:
                changed = row.change(np.rint(samples * 32768).astype(np.int16), rng)
                samples = changed.astype(np.float32) / 32768
                span_s = word_span_of({**take, "word_start_s": None}, samples)
            samples, span_s = _in_sentence(samples, span_s, row, playlist, take, rng)
            padded, lead_s = with_gap(samples, rng, TAKE_GAP_S)
            drives = car.draw(rng, 1, padded.size, snr_db=snr_db, cabin=True)
            heard = car.apply(torch.from_numpy(padded)[None], drives)[0].numpy()
            yield Segment(heard, lead_s, samples.size / SAMPLE_RATE_HZ, take, row.name, span_s)

    return join_blocks(segments(), row.name, row.name, seeded(playlist.seed, row.name))


def _in_sentence(
    samples: np.ndarray,
    span_s: tuple[float, float],
    row: Slice,
    playlist: Playlist,
    take: dict[str, Any],
    rng: np.random.Generator,
) -> tuple[np.ndarray, tuple[float, float]]:
    """The word with other speech close to it, as loud as the word."""
    if not (row.before or row.after):
        return samples, span_s
    start, end = (int(t * SAMPLE_RATE_HZ) for t in span_s)
    word, parts = samples[start:end], []
    if row.before:
        parts += [_other(playlist, take, word, rng)[-2 * SAMPLE_RATE_HZ :], _pause(rng)]
    at = sum(part.size for part in parts)
    parts.append(word)
    if row.after:
        parts += [_pause(rng), _other(playlist, take, word, rng)[: 2 * SAMPLE_RATE_HZ]]
    return np.concatenate(parts), (at / SAMPLE_RATE_HZ, (at + word.size) / SAMPLE_RATE_HZ)


def _pause(rng: np.random.Generator) -> np.ndarray:
    return np.zeros(int(rng.uniform(*NEIGHBOUR_GAP_S) * SAMPLE_RATE_HZ), np.float32)


def _other(
    playlist: Playlist, take: dict[str, Any], word: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Other speech without its silence, of the same voice where there is some."""
    speech = [row for row in playlist.negative_rows if row.get("noise_kind") is None]
    same = [row for row in speech if row.get("speaker") and voice_of(row) == voice_of(take)]
    rows = same or speech
    if not rows:
        raise StreamError(f"split {playlist.split!r} holds no speech to put beside the word")
    row = rows[int(rng.integers(len(rows)))]
    samples = read_row(row, playlist.root)
    start_s, end_s = word_span_of({**row, "word_start_s": None, "domain": "general"}, samples)
    spoken = samples[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)]
    level = np.sqrt(np.square(word).mean() / max(float(np.square(spoken).mean()), 1e-12))
    return (spoken * np.float32(min(level, 30.0))).astype(np.float32)


def misses(listener: Listener, seed: int) -> list[dict[str, Any]]:
    """FRR at the model's own threshold for each slice that it heard."""
    result = []
    for name in dict.fromkeys(heard.condition for heard in listener.heard):
        heard = [item for item in listener.heard if item.condition == name]
        outcome = scoring.outcomes([item.track() for item in heard], listener.own_threshold, listener.rule)
        words = [word for item in heard for word in item.words]
        by_voice: dict[str, int] = {}
        for word, hit in zip(words, outcome.hit, strict=True):
            by_voice[word.voice] = by_voice.get(word.voice, 0) + int(not hit)
        result.append(
            {
                "slice": name,
                "takes": len(words),
                "misses": outcome.misses,
                "frr": outcome.frr,
                "by_voice_95": statistics.bootstrap_rate(
                    ~outcome.hit, [w.voice for w in words], seed=seed
                ).as_list(),
                "missed_voices": {voice: n for voice, n in sorted(by_voice.items()) if n},
            }
        )
    return result


def add_parser(sub: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "slices",
        help="misses by seat, voice, pace, place in a sentence, company",
        description=__doc__,
        epilog="example: wakeword slices recordings.parquet --split dev --snr-db 5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", type=Path, help="evaluation manifest")
    parser.add_argument("--split", default="dev", choices=("train", "train_dev", "dev", "test"))
    parser.add_argument("--model", default="smart_mirror", help="a path or a shipped model's name")
    parser.add_argument("--snr-db", type=float, default=5.0, help="of the car noise (default: 5; inf: none)")
    parser.add_argument("--only", action="append", help="only this slice (repeatable)")
    parser.add_argument("--seed", type=int, default=0, help="of cabins, noises and neighbours")
    parser.add_argument("--root", type=Path, help="folder of relative audio paths (default: the manifest's)")
    parser.add_argument("--json", nargs="?", const="-", metavar="OUT", help="JSON: to a file, or to stdout")


def run(args: argparse.Namespace) -> int:
    """Print the table. Raises StreamError, ManifestError, ModelError."""
    from rich.progress import track

    from data_splits.manifest import read_manifest
    from wakeword.evaluate import SIMULATED_CAR, listen, open_models
    from wakeword.tables import print_slices

    chosen = [row for row in slices() if not args.only or row.name in args.only]
    unknown = sorted(set(args.only or []) - {row.name for row in chosen})
    if unknown:
        raise StreamError(f"--only {unknown[0]!r}: known are {', '.join(row.name for row in slices())}")
    listeners, phrase = open_models([args.model], None)
    frame, root = read_manifest(args.manifest), args.root or args.manifest.resolve().parent
    playlist = Playlist(frame, root, args.split, phrase, seed=args.seed)
    cars = SliceCars(frame, root, args.split, phrase, args.seed)
    for row in track(chosen, "listening"):
        listen(listeners, streams(row, playlist, cars.car(row), args.snr_db))
    result = {
        "format": "rearview-slices/1",
        "note": SIMULATED_CAR,
        "model": args.model,
        "split": args.split,
        "snr_db": args.snr_db if math.isfinite(args.snr_db) else None,
        "threshold": listeners[0].own_threshold,
        "slices": misses(listeners[0], args.seed),
    }
    print_slices(result)
    write_json(result, args.json)
    return 0
