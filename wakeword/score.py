"""`wakeword score`: how well a model hears its word on continuous streams, by the rules of the design.

wakeword score recordings.parquet --split test --model smart_mirror.onnx --json test.json
wakeword score --stream drive.wav --truth drive.csv --model smart_mirror.onnx
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakeword.blocks import StreamError
from wakeword.streams import DEFAULT_CONDITIONS, Playlist, Renderer, condition_label

if TYPE_CHECKING:
    import polars as pl

    from wakeword.evaluate import Listener

FORMAT = "rearview-score/1"


def add_parser(sub: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "score",
        help="FRR and FA/h on continuous streams",
        description=__doc__,
        epilog="example: wakeword score recordings.parquet --split test --model smart_mirror.onnx "
        "--json test.json --bar quiet=0.08 --bar 10=0.25 --max-fa-per-hour 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_stream_arguments(parser, manifest_optional=True)
    parser.add_argument(
        "--model",
        action="append",
        help="a path or a shipped model's name; may be given several times (default: smart_mirror)",
    )
    parser.add_argument("--json", nargs="?", const="-", metavar="OUT", help="JSON: to a file, or to stdout")
    parser.add_argument("--raw", type=Path, metavar="OUT.npz", help="keep the raw scores of every stream")
    parser.add_argument("--html", type=Path, metavar="OUT.html", help="one page with curve, table and scores")
    parser.add_argument(
        "--max-fa-per-hour", type=float, help="exit 1 when a model's own threshold accepts more on this split"
    )
    parser.add_argument(
        "--bar",
        action="append",
        default=[],
        metavar="CONDITION=FRR",
        help="exit 1 when the misses at the own threshold exceed this significantly (binomial, 95 %%)",
    )
    parser.add_argument("--stream", type=Path, help="score one recorded drive instead of a manifest")
    parser.add_argument("--truth", type=Path, help="CSV of that drive: start_s,end_s[,text]")
    parser.add_argument("--threshold", type=float, help="with --stream: instead of the model's own threshold")


def add_stream_arguments(parser: argparse.ArgumentParser, *, manifest_optional: bool = False) -> None:
    """What `score` and `compare` share: the manifest and how its streams are made."""
    parser.add_argument(
        "manifest", type=Path, nargs="?" if manifest_optional else None, help="evaluation manifest"
    )
    parser.add_argument("--split", default="dev", choices=("train", "train_dev", "dev", "test"))
    parser.add_argument(
        "--conditions", default=",".join(DEFAULT_CONDITIONS), help="quiet, cabin or dB (default: %(default)s)"
    )
    parser.add_argument("--draws", type=int, default=1, help="cars around each take (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of orders, gaps, cabins and noises")
    parser.add_argument(
        "--generator",
        default="seen",
        choices=("seen", "unseen"),
        help="cabins and noises made as training's are (other ones), or by methods that it never hears",
    )
    parser.add_argument(
        "--noise",
        default="mixed",
        choices=("mixed", "recorded", "simulated"),
        help="what drives through: recordings of the part and simulations, or one of them (default: mixed)",
    )
    parser.add_argument("--keyword", help="the phrase (default: the model's first)")
    parser.add_argument("--root", type=Path, help="folder of relative audio paths (default: the manifest's)")
    parser.add_argument("--negative-hours", type=float, help="play a seeded sample of the negatives only")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand: 0 ok, 1 a check failed.

    Raises:
        ValueError, OSError: unusable input; the message says which and the remedy.
    """
    args.model = args.model or ["smart_mirror"]
    return _drive(args) if args.stream else _manifest(args)


def playlist_from(args: argparse.Namespace, phrase: str) -> tuple[Playlist, Renderer]:
    """The playlist and the car of the arguments of `add_stream_arguments`.

    Raises:
        ManifestError, StreamError: the manifest or its split cannot be used.
    """
    from data_splits.manifest import read_manifest
    from wakeword.streams import SimulatedCar

    if args.draws < 1:
        raise StreamError(f"--draws {args.draws}: at least one car around each take is needed")
    frame = read_manifest(args.manifest)
    root = args.root or args.manifest.resolve().parent
    playlist = Playlist(
        frame, root, args.split, phrase, seed=args.seed, max_negative_hours=args.negative_hours
    )
    rows, drawn = noise_rows(frame, args.split), {"generator": args.generator, "noises": args.noise}
    return playlist, SimulatedCar(rows, root, args.split, args.seed, **drawn)


def noise_rows(frame: pl.DataFrame, split: str) -> pl.DataFrame:
    """The recordings from which a part's car noise is cut."""
    import polars as pl

    recorded = (pl.col("domain") == "general") & pl.col("noise_kind").is_not_null()
    return frame.filter(recorded & (pl.col("split") == split))


def listen_to(
    listeners: Sequence[Listener], playlist: Playlist, car: Renderer, conditions: Sequence[str], draws: int
) -> None:
    """Let every model hear all conditions and the negatives, with a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from wakeword.evaluate import listen

    total = playlist.positive_seconds() * draws * len(conditions) + playlist.negative_seconds()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} % {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("listening", total=total, rate="")

        def advance(seconds: float) -> None:
            progress.advance(task, seconds)
            speed = progress.tasks[task].speed
            progress.update(task, rate=f"{speed:.0f} x real time" if speed else "")

        for condition in conditions:
            progress.update(task, description=condition_label(condition))
            listen(listeners, playlist.positives(condition, draws, car), advance)
        progress.update(task, description="negatives")
        listen(listeners, playlist.negatives(car), advance)


def score_manifest(
    listeners: Sequence[Listener],
    playlist: Playlist,
    car: Renderer,
    conditions: Sequence[str],
    draws: int,
) -> dict[str, Any]:
    """Listen and evaluate: the whole result as plain values."""
    from wakeword.evaluate import SIMULATED_CAR, evaluate, hours_of

    listen_to(listeners, playlist, car, conditions, draws)
    words = [word for heard in listeners[0].heard for word in heard.words]
    return {
        "format": FORMAT,
        "note": SIMULATED_CAR,
        "phrase": playlist.phrase,
        "split": playlist.split,
        "seed": playlist.seed,
        "draws": draws,
        "takes": len({word.take for word in words}),
        "voices": len({word.voice for word in words}),
        "negatives": hours_of([heard for heard in listeners[0].heard if heard.condition == "negatives"]),
        "models": [evaluate(listener, playlist.seed) for listener in listeners],
    }


def check(
    result: dict[str, Any], bars: dict[str, float], max_fa_per_hour: float | None
) -> list[dict[str, Any]]:
    """Bars at the models' own thresholds; several cars around a take count as one take.

    Raises:
        StreamError: a bar names a condition that was not played.
    """
    from wakeword.statistics import misses_exceed

    checks = []
    for model in result["models"]:
        own = model["own_threshold"]
        if max_fa_per_hour is not None:
            name = f"FA/h <= {max_fa_per_hour:g}"
            passed = own["fa_per_hour"] <= max_fa_per_hour
            checks.append(
                {"model": model["model"], "check": name, "value": own["fa_per_hour"], "passed": passed}
            )
        for condition, bar in bars.items():
            if condition not in own["conditions"]:
                raise StreamError(f"--bar {condition}={bar:g}: that condition was not played")
            point = own["conditions"][condition]
            misses = round(point["frr"] * point["takes"])
            checks.append(
                {
                    "model": model["model"],
                    "check": f"FRR {condition_label(condition)} <= {bar:g}",
                    "value": point["frr"],
                    "passed": not misses_exceed(misses, point["takes"], bar),
                }
            )
    return checks


def parse_bars(texts: Sequence[str]) -> dict[str, float]:
    """`CONDITION=FRR` texts as a dict.

    Raises:
        StreamError: naming the text that is no such pair.
    """
    bars = {}
    for text in texts:
        condition, _, value = text.partition("=")
        try:
            bars[condition] = float(value)
        except ValueError as error:
            raise StreamError(f"--bar {text!r}: expected CONDITION=FRR such as quiet=0.08") from error
        if not 0 <= bars[condition] <= 1:
            raise StreamError(f"--bar {text!r}: FRR is a rate between 0 and 1")
    return bars


def _manifest(args: argparse.Namespace) -> int:
    from wakeword.evaluate import file_sha256, open_models, save_raw, sort_conditions
    from wakeword.streams import parse_conditions
    from wakeword.tables import print_score

    if args.manifest is None:
        raise StreamError("name an evaluation manifest, or a drive with --stream and --truth")
    bars, conditions = parse_bars(args.bar), sort_conditions(parse_conditions(args.conditions))
    listeners, phrase = open_models(args.model, args.keyword)
    playlist, car = playlist_from(args, phrase)
    result = score_manifest(listeners, playlist, car, conditions, args.draws)
    result |= {"manifest": args.manifest.name, "generator": args.generator, "noise": args.noise}
    result["manifest_sha256"] = file_sha256(args.manifest)
    for model in result["models"]:
        model["sha256"] = file_sha256(model["model"])
    result["checks"] = check(result, bars, args.max_fa_per_hour)
    print_score(result)
    write_json(result, args.json)
    if args.raw:
        save_raw(listeners, args.raw)
    if args.html:
        from wakeword.report import det_plot, score_table, write_report

        write_report(args.html, f"{phrase} on {args.split}", [score_table(result), det_plot(result)])
    return 0 if all(item["passed"] for item in result["checks"]) else 1


def _drive(args: argparse.Namespace) -> int:
    from wakeword.drive import read_drive, read_truth, score_drive, seconds_of
    from wakeword.evaluate import open_models
    from wakeword.tables import print_drive

    if args.truth is None:
        raise StreamError("--stream needs --truth drive.csv (start_s,end_s[,text])")
    listeners, phrase = open_models(args.model, args.keyword)
    samples = read_drive(args.stream)
    truth = read_truth(args.truth, seconds_of(samples))
    results, plots = [], []
    for listener in listeners:
        scores = listener.detector.scores(samples)[:, listener.column]
        threshold = listener.own_threshold if args.threshold is None else args.threshold
        result = score_drive(scores, truth, phrase, threshold, listener.rule)
        results.append({"model": listener.path, **result})
        plots.append((scores, result, listener.rule.step_s))
    print_drive(results)
    write_json({"format": FORMAT, "stream": args.stream.name, "models": results}, args.json)
    if args.html:
        from wakeword.report import drive_block, write_report

        write_report(args.html, args.stream.name, [drive_block(*plot) for plot in plots])
    return 0


def write_json(result: dict[str, Any], target: str | None) -> None:
    """Write to a file, or to stdout for `-`; nothing for None."""
    if target is None:
        return
    text = json.dumps(result, indent=1, allow_nan=False)
    if target == "-":
        print(text)
    else:
        Path(target).write_text(text + "\n", encoding="utf-8")
