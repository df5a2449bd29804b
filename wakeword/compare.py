"""`wakeword compare A B MANIFEST`: two models on the same streams, with a paired interval.

Both are given the same false accepts an hour, each by a threshold read off its own curve on this split; a
verdict is given only where the interval of the FRR difference excludes zero.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wakeword import scoring, statistics
from wakeword.score import add_stream_arguments, listen_to, playlist_from, write_json
from wakeword.streams import parse_conditions

if TYPE_CHECKING:
    from wakeword.evaluate import Listener


def add_parser(sub: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "compare",
        help="two models on the same streams, paired",
        description=__doc__,
        epilog="example: wakeword compare old.onnx new.onnx recordings.parquet --split dev --draws 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", help="a path or a shipped model's name")
    parser.add_argument("b", help="the model compared with it")
    add_stream_arguments(parser)
    parser.add_argument("--json", nargs="?", const="-", metavar="OUT", help="JSON: to a file, or to stdout")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand: 0 whatever the verdict. Raises ValueError or OSError for unusable input."""
    from wakeword.evaluate import open_models, sort_conditions
    from wakeword.tables import print_compare

    conditions = sort_conditions(parse_conditions(args.conditions))
    listeners, phrase = open_models([args.a, args.b], args.keyword)
    playlist, car = playlist_from(args, phrase)
    listen_to(listeners, playlist, car, conditions, args.draws)
    result = {**compare(listeners[0], listeners[1], args.seed), "split": args.split}
    print_compare(result)
    write_json(result, args.json)
    return 0


def compare(a: Listener, b: Listener, seed: int = 0) -> dict[str, Any]:
    """Compare two models that heard the same streams.

    Raises:
        ValueError: they did not, or no negatives were played.
    """
    from wakeword.evaluate import FA_TARGETS, SIMULATED_CAR, hours_of

    if [heard.name for heard in a.heard] != [heard.name for heard in b.heard]:
        raise ValueError(f"{a.path} and {b.path} did not hear the same streams")
    negatives = [heard for heard in a.heard if heard.condition == "negatives"]
    words = [word for heard in a.heard for word in heard.words]
    hours = hours_of(negatives)["hours"]
    if not hours > 0:
        raise ValueError("no negatives were played: models are compared at equal FA/h")
    return {
        "format": "rearview-compare/1",
        "note": SIMULATED_CAR,
        "a": a.path,
        "b": b.path,
        "takes": len({word.take for word in words}),
        "voices": len({word.voice for word in words}),
        "hours": hours,
        "at_fa_per_hour": {f"{target:g}": _at(a, b, target, hours, seed) for target in FA_TARGETS},
    }


def _at(a: Listener, b: Listener, fa_per_hour: float, hours: float, seed: int) -> dict[str, Any]:
    from wakeword.evaluate import missed_takes

    thresholds, accepts = [], []
    for listener in (a, b):
        tracks = [heard.track() for heard in listener.heard if heard.condition == "negatives"]
        threshold = scoring.lowest_threshold(tracks, hours, fa_per_hour, listener.rule)
        thresholds.append(threshold)
        accepts.append(scoring.count_events(tracks, threshold, listener.rule))
    conditions: dict[str, Any] = {}
    pooled: list[tuple[np.ndarray, np.ndarray, list[str]]] = []
    names = dict.fromkeys(heard.condition for heard in a.heard if heard.condition != "negatives")
    for name in names:
        missed_a, takes = missed_takes(a, name, thresholds[0])
        missed_b, _ = missed_takes(b, name, thresholds[1])
        conditions[name] = paired_row(missed_a, missed_b, takes, seed)
        if name != "quiet":
            pooled.append((missed_a, missed_b, takes))
    if len(pooled) > 1:
        conditions["all but quiet"] = paired_row(
            np.concatenate([row[0] for row in pooled]),
            np.concatenate([row[1] for row in pooled]),
            [take for row in pooled for take in row[2]],
            seed,
        )
    return {
        "thresholds": thresholds,
        "false_accepts": accepts,
        "statement": f"A {accepts[0]} and B {accepts[1]} false accepts in {hours:.2f} h",
        "conditions": conditions,
    }


def paired_row(missed_a: np.ndarray, missed_b: np.ndarray, takes: Sequence[str], seed: int) -> dict[str, Any]:
    """Both FRR, their difference, its interval over takes and the verdict."""
    interval = statistics.paired_difference(missed_a, missed_b, takes, seed=seed)
    if interval.holds(0):
        verdict = "no verdict: the interval holds zero"
    else:
        verdict = "B misses more" if interval.low > 0 else "B misses fewer"
    return {
        "frr_a": float(np.mean(missed_a)),
        "frr_b": float(np.mean(missed_b)),
        "difference": float(np.mean(missed_b) - np.mean(missed_a)),
        "interval_95": interval.as_list(),
        "verdict": verdict,
    }
