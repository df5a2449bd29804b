"""`wakeword diagnose`: where the error comes from, by the course's table.

human / train / train_dev / dev / test, one metric (FRR) at one threshold. The gaps between neighbours are
named: avoidable bias, variance, data mismatch, overfitting of dev; each with its interval, and a verdict only
where that excludes zero.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wakeword import scoring, statistics
from wakeword.blocks import Stream, StreamError
from wakeword.score import noise_rows, write_json
from wakeword.streams import (
    Renderer,
    SimulatedCar,
    label_of,
    rows_streams,
)

if TYPE_CHECKING:
    import polars as pl

    from wakeword.evaluate import Listener

SPLITS = ("train", "train_dev", "dev", "test")


@dataclass(frozen=True)
class Gap:
    """A gap of the table: from one row to the next, and what the course advises where it is real."""

    name: str
    before: str
    after: str
    remedy: str


GAPS = (
    Gap(
        "avoidable bias",
        "human",
        "train",
        "a larger model, longer training, a better optimiser, or another architecture",
    ),
    Gap(
        "variance",
        "train",
        "train_dev",
        "more data (voices above all), stronger augmentation, regularisation, or another architecture",
    ),
    Gap(
        "data mismatch",
        "train_dev",
        "dev",
        "look at the errors by hand, then make training data more like the mirror: record there, "
        "or synthesise what differs",
    ),
    Gap("dev overfitting", "dev", "test", "a larger dev set, with voices and cars that were never tuned on"),
)


def add_parser(sub: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "diagnose",
        help="bias, variance, mismatch, overfitting of dev",
        description=__doc__,
        epilog="example: wakeword diagnose --model smart_mirror.onnx --plan plan.parquet --human human.json\n"
        'human.json: {"misses": 2, "takes": 190}, what people missed in the same noise',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="a path or a shipped model's name")
    parser.add_argument("--plan", type=Path, required=True, help="planned manifest with all four splits")
    parser.add_argument("--human", type=Path, help='{"misses": …, "takes": …}; without it bias is unknown')
    parser.add_argument("--threshold", type=float, help="one for all splits (default: the model's own)")
    parser.add_argument("--keyword", help="the phrase (default: the model's first)")
    parser.add_argument("--root", type=Path, help="folder of relative audio paths (default: the plan's)")
    parser.add_argument("--recipe", type=Path, help="training recipe whose car train rows are heard in")
    parser.add_argument(
        "--max-rows", type=int, default=2000, help="takes, and negatives, of each split (default: 2000)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", nargs="?", const="-", metavar="OUT", help="JSON: to a file, or to stdout")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand: 0 whatever the verdicts. Raises ValueError or OSError for unusable input."""
    from data_splits.manifest import read_manifest
    from wakeword.evaluate import open_models
    from wakeword.tables import print_diagnose

    human = read_human(args.human) if args.human else None
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise StreamError(f"--threshold {args.threshold}: a score lies in 0..1")
    if args.max_rows < 1:
        raise StreamError(f"--max-rows {args.max_rows}: at least one row a split is needed")
    (listener,), phrase = open_models([args.model], args.keyword)
    frame = read_manifest(args.plan)
    threshold = listener.own_threshold if args.threshold is None else args.threshold
    root = args.root or args.plan.resolve().parent
    tallies = _measure(args, listener, phrase, frame, root, threshold)
    result = diagnosis(tallies, human, threshold, seed=args.seed)
    result = {"model": args.model, "phrase": phrase, **result}
    print_diagnose(result)
    write_json(result, args.json)
    return 0


def read_human(path: Path) -> tuple[int, int]:
    """Misses and takes of human listeners from `{"misses": …, "takes": …}`.

    Raises:
        StreamError: naming the file and what is wrong in it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        misses, takes = found["misses"], found["takes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StreamError(f'{path}: expected {{"misses": 2, "takes": 190}}: {error!r}') from error
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in (misses, takes))
    if not whole or not 0 <= misses <= takes or takes == 0:
        raise StreamError(f"{path}: misses {misses!r} of takes {takes!r}: need 0 <= misses <= takes")
    return misses, takes


@dataclass(frozen=True)
class Tally:
    """One split at the threshold: (words,) missed, with take and voice of each, and its negatives."""

    missed: np.ndarray
    takes: tuple[str, ...]
    voices: tuple[str, ...]
    false_accepts: int = 0
    hours: float = 0.0


def tally(listener: Listener, threshold: float) -> Tally | None:
    """What the listener heard of one split; None without a take."""
    from wakeword.evaluate import hours_of

    words = [word for heard in listener.heard for word in heard.words]
    if not words:
        return None
    positives = [heard.track() for heard in listener.heard if heard.words]
    negatives = [heard for heard in listener.heard if heard.condition == "negatives"]
    return Tally(
        ~scoring.outcomes(positives, threshold, listener.rule).hit,
        tuple(word.take for word in words),
        tuple(word.voice for word in words),
        scoring.count_events([heard.track() for heard in negatives], threshold, listener.rule),
        hours_of(negatives)["hours"],
    )


def diagnosis(
    tallies: dict[str, Tally | None], human: tuple[int, int] | None, threshold: float, *, seed: int = 0
) -> dict[str, Any]:
    """The table and its gaps as plain values. `human`: misses and takes."""
    from wakeword.evaluate import SIMULATED_CAR

    rows: dict[str, Any] = {"human": None}
    if human is not None:
        rows["human"] = {"frr": human[0] / human[1], "misses": human[0], "words": human[1]}
    for split in SPLITS:
        found = tallies.get(split)
        rows[split] = None if found is None else _row(found, seed)
    return {
        "format": "rearview-diagnose/1",
        "note": SIMULATED_CAR,
        "metric": "FRR",
        "threshold": threshold,
        "splits": rows,
        "gaps": [_gap(gap, tallies, human, seed) for gap in GAPS],
    }


def _row(found: Tally, seed: int) -> dict[str, Any]:
    return {
        "frr": float(found.missed.mean()),
        "misses": int(found.missed.sum()),
        "words": len(found.takes),
        "takes": len(set(found.takes)),
        "voices": len(set(found.voices)),
        "by_voice_95": statistics.bootstrap_rate(found.missed, found.voices, seed=seed).as_list(),
        "false_accepts": found.false_accepts,
        "hours": found.hours,
        "fa_per_hour": found.false_accepts / found.hours if found.hours else None,
    }


def _gap(
    gap: Gap, tallies: dict[str, Tally | None], human: tuple[int, int] | None, seed: int
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": gap.name,
        "between": f"{gap.after} − {gap.before}",
        "gap": None,
        "interval_95": None,
        "remedy": None,
    }
    after = tallies.get(gap.after)
    before = _people(human) if gap.before == "human" else tallies.get(gap.before)
    if before is None or after is None:
        missing = gap.before if before is None else gap.after
        return {**row, "verdict": f"unknown: no {missing} error was measured"}
    row["gap"] = float(after.missed.mean() - before.missed.mean())
    interval = statistics.gap_interval(
        before.missed,
        before.voices,
        after.missed,
        after.voices,
        takes_a=len(set(before.takes)),
        takes_b=len(set(after.takes)),
        seed=seed,
    )
    if interval is None:
        return {**row, "verdict": "no verdict: one voice alone gives no interval"}
    row["interval_95"] = interval.as_list()
    if interval.holds(0):
        negative = ", the gap itself is negative" if row["gap"] < 0 else ""
        return {**row, "verdict": f"no verdict: the interval holds zero{negative}"}
    if row["gap"] < 0:
        easier = f"negative gap: {gap.after} is easier than {gap.before}; no {gap.name} shows"
        return {**row, "verdict": easier}
    return {**row, "verdict": gap.name, "remedy": gap.remedy}


def _people(human: tuple[int, int] | None) -> Tally | None:
    """Human listeners, each take a voice of its own: nothing is known of who missed what."""
    if human is None:
        return None
    misses, takes = human
    names = tuple(f"human-{i}" for i in range(takes))
    return Tally(np.arange(takes) < misses, names, names)


def _measure(
    args: argparse.Namespace,
    listener: Listener,
    phrase: str,
    frame: pl.DataFrame,
    root: Path,
    threshold: float,
) -> dict[str, Tally | None]:
    from rich.console import Console
    from rich.progress import Progress

    from wakeword.evaluate import listen

    tallies: dict[str, Tally | None] = {}
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("listening", total=len(SPLITS))
        # Training rows are heard through the training part's cabins and noises: that is what was trained on.
        car = _training_car(args, frame, root)
        for split in SPLITS:
            progress.update(task, description=split)
            listener.heard.clear()
            listen([listener], split_streams(frame, root, split, phrase, car, args.max_rows, args.seed))
            tallies[split] = tally(listener, threshold)
            progress.advance(task)
    return tallies


def _training_car(args: argparse.Namespace, frame: pl.DataFrame, root: Path) -> Renderer:
    recipe = None
    if args.recipe:
        from asr_pretrain.training.recipe import load_recipe
        from wakeword.train import TriggerRecipe

        recipe = load_recipe(args.recipe, TriggerRecipe).surroundings.car
    return SimulatedCar(noise_rows(frame, "train"), root, "train", args.seed, recipe=recipe)


def split_streams(
    frame: pl.DataFrame, root: Path, split: str, phrase: str, car: Renderer, max_rows: int, seed: int
) -> Iterator[Stream]:
    """Takes, then negatives of a split: mirror rows as they are stored, general ones through the car."""
    import polars as pl

    rows, label = frame.filter(pl.col("split") == split), label_of(frame, phrase)
    for takes in (True, False):
        chosen = rows.filter(label == int(takes))
        chosen = chosen.sample(min(max_rows, chosen.height), shuffle=True, seed=seed)
        yield from rows_streams(chosen.to_dicts(), root, split, car, takes=takes, phrase=phrase, seed=seed)
