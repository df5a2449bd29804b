"""`wakeword tune`: reads the threshold for a rate of false accepts off dev and writes it into the model.

wakeword tune smart_mirror.onnx recordings.parquet --fa-per-hour 0.5

Two hours of dev negatives hold one false accept at 0.5 FA/h, so they are heard on several drives: other
cabins, noises and orders, which no other recording could replace but which cost nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from wakeword.score import add_stream_arguments, playlist_from, score_manifest, write_json


def write_threshold(model: Path, column: int, threshold: float, fa_per_hour: float) -> None:
    """Puts the threshold and the FA/h it was tuned for into the model file's metadata, atomically."""
    import onnx

    from wakeword.export import write_model

    proto = onnx.load(str(model))
    metadata = json.loads({p.key: p.value for p in proto.metadata_props}["rearview"])
    metadata["keywords"][column] |= {"threshold": threshold, "fa_per_hour": fa_per_hour}
    write_model(proto, model, metadata)


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "tune",
        help="choose the threshold on the dev part",
        description=__doc__,
        epilog="example: wakeword tune smart_mirror.onnx recordings.parquet --fa-per-hour 0.5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="device model; its threshold is rewritten")
    add_stream_arguments(parser)
    parser.set_defaults(split="dev")
    parser.add_argument("--fa-per-hour", type=float, default=0.5, help="false accepts an hour to allow")
    parser.add_argument("--drives", type=int, default=4, help="times the negatives are heard (default: 4)")
    parser.add_argument("--json", nargs="?", const="-", metavar="OUT", help="JSON of the dev result")
    parser.add_argument("--html", type=Path, metavar="OUT.html", help="page with the DET curve")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import track

    from wakeword import scoring
    from wakeword.evaluate import hours_of, listen, open_models, sort_conditions
    from wakeword.streams import parse_conditions
    from wakeword.tables import print_score

    if args.split == "test":
        raise ValueError("--split test: a threshold is never tuned on test; use dev")
    if args.fa_per_hour <= 0:
        raise ValueError(f"--fa-per-hour {args.fa_per_hour:g}: must be above 0")
    if args.drives < 1:
        raise ValueError(f"--drives {args.drives}: the negatives must be heard at least once")
    listeners, phrase = open_models([str(args.model)], args.keyword)
    playlist, car = playlist_from(args, phrase)
    if playlist.negative_seconds() == 0:
        raise ValueError(
            f"{args.manifest}: split {args.split} has no negatives, so no FA/h can be tuned; add some"
        )
    conditions = sort_conditions(parse_conditions(args.conditions))
    result = score_manifest(listeners, playlist, car, conditions, args.draws)
    for _ in track(range(1, args.drives), "further drives", console=Console(stderr=True)):
        args.seed += 1
        playlist, car = playlist_from(args, phrase)
        listen(listeners, playlist.negatives(car))
    listener = listeners[0]
    negatives = [h for h in listener.heard if h.condition == "negatives"]
    hours = hours_of(negatives)["hours"]
    tracks = [h.track() for h in negatives]
    threshold = scoring.lowest_threshold(tracks, hours, args.fa_per_hour, listener.rule)
    threshold = min(1.0, round(threshold + 5e-5, 4))
    print_score(result)
    write_threshold(args.model, listener.column, threshold, args.fa_per_hour)
    write_json(result, args.json)
    if args.html:
        from wakeword.report import det_plot, score_table, write_report

        write_report(args.html, f"{phrase}: threshold {threshold}", [score_table(result), det_plot(result)])
    print(
        f"{args.model}: threshold {threshold} for {args.fa_per_hour:g} FA/h on {args.split} "
        f"({hours:.2f} h: {args.drives} drives of the same negatives)"
    )
    return 0
