"""`wakeword worst`: the misses and false accepts to look at first, with spectrogram, score and sound.

wakeword worst recordings.parquet --split dev --model smart_mirror --out worst.html

Error analysis is done by eye and ear: what do the ten worst have in common, and what would help them?
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wakeword import scoring
from wakeword.blocks import SAMPLE_RATE_HZ, Stream
from wakeword.score import add_stream_arguments, playlist_from
from wakeword.streams import condition_label, parse_conditions

if TYPE_CHECKING:
    from wakeword.evaluate import Listener

AROUND_S = 1.0
"""Heard before and after."""


@dataclass(frozen=True)
class Case:
    """One error: what was heard, and the scores from step to step."""

    score: float
    title: str
    text: str
    samples: np.ndarray
    steps: np.ndarray


def cases(listener: Listener, streams: Iterable[Stream]) -> tuple[list[Case], list[Case]]:
    """Misses and false accepts at the model's own threshold, and negatives that came within half of it."""
    missed, accepted = [], []
    for stream in streams:
        listener.detector.reset()
        scores = listener.detector.scores(stream.samples)[:, listener.column].copy()
        step_s = listener.rule.step_s
        for word in stream.words:
            first, last = int(word.start_s / step_s), int((word.end_s + scoring.HIT_TAIL_S) / step_s) + 1
            best = float(scores[first:last].max(initial=0.0))
            if best < listener.own_threshold:
                told = f"{word.take}; {condition_label(stream.condition)}"
                missed.append(_case(stream, scores, best, word.voice, told, word.start_s, word.end_s, step_s))
        for piece in stream.pieces:
            first, last = int(piece.start_s / step_s), int(piece.end_s / step_s) + 1
            best = float(scores[first:last].max(initial=0.0))
            if best >= listener.own_threshold / 2:
                at_s = (first + int(scores[first:last].argmax())) * step_s
                told = f"{piece.id}; {piece.kind}, {piece.drive}"
                accepted.append(
                    _case(stream, scores, best, piece.source, told, at_s - 1.0, at_s + 0.2, step_s)
                )
    return sorted(missed, key=lambda c: c.score), sorted(accepted, key=lambda c: -c.score)


def _case(
    stream: Stream,
    scores: np.ndarray,
    best: float,
    title: str,
    text: str,
    start_s: float,
    end_s: float,
    step_s: float,
) -> Case:
    begin, end = max(0.0, start_s - AROUND_S), end_s + AROUND_S
    sound = stream.samples[int(begin * SAMPLE_RATE_HZ) : int(end * SAMPLE_RATE_HZ)].astype(np.float32) / 32768
    return Case(best, title, text, sound, scores[int(begin / step_s) : int(end / step_s)])


def score_line(steps: np.ndarray, threshold: float) -> str:
    """Scores (steps,) in [0, 1] as a small inline SVG over the width of the picture, the threshold dashed."""
    n = max(len(steps) - 1, 1)
    points = " ".join(f"{100 * i / n:.1f},{30 - 28 * float(s):.1f}" for i, s in enumerate(steps))
    level = 30 - 28 * threshold
    return (
        '<svg viewBox="0 0 100 32" preserveAspectRatio="none" style="height:2.4rem" aria-label="score">'
        f'<line x1="0" x2="100" y1="{level:.1f}" y2="{level:.1f}" stroke="#d9822b" stroke-width=".5" '
        f'stroke-dasharray="2 2"/><polyline points="{points}" fill="none" stroke="#3b82c4"/></svg>'
    )


def add_parser(sub: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "worst",
        help="the worst misses and false accepts, to look at and listen to",
        description=__doc__,
        epilog="example: wakeword worst recordings.parquet --split dev --out worst.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_stream_arguments(parser)
    parser.add_argument("--model", default="smart_mirror", help="a path or a shipped model's name")
    parser.add_argument("--count", type=int, default=10, help="of each (default: 10)")
    parser.add_argument("--out", type=Path, default=Path("worst.html"), help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from data_splits.page import block, grid, tile, write_report
    from wakeword.evaluate import SIMULATED_CAR, open_models, sort_conditions

    listeners, phrase = open_models([args.model], args.keyword)
    playlist, car = playlist_from(args, phrase)
    listener = listeners[0]
    missed: list[Case] = []
    for condition in sort_conditions(parse_conditions(args.conditions)):
        missed += cases(listener, playlist.positives(condition, args.draws, car))[0]
    accepted = cases(listener, playlist.negatives(car))[1]
    blocks = []
    missed.sort(key=lambda case: case.score)
    for name, found in (("Misses", missed), ("Highest scores without the word", accepted)):
        shown = [
            tile(
                case.samples,
                case.title,
                f"score {case.score:.3f}; {case.text}",
                score_line(case.steps, listener.own_threshold),
            )
            for case in found[: args.count]
        ]
        text = f"{len(found)} in all, the worst {len(shown)} below. "
        text += f"Dashed: the threshold, {listener.own_threshold:.3f}. "
        blocks.append(block(name, grid(shown), text + SIMULATED_CAR))
    print(write_report(args.out, f"{phrase} on {args.split}: what went worst", blocks))
    return 0
