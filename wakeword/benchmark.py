"""`wakeword benchmark`: our model and the engines that are installed, over the same streams in one run.

FRR by condition at equal false accepts an hour, latency after the word, processor time and memory. An engine
that only fires is heard at each of its settings; the one with the fewest misses within the limit counts.

wakeword benchmark recordings.parquet --split dev --engine smart_mirror --engine porcupine
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wakeword import scoring, statistics
from wakeword.blocks import SAMPLE_RATE_HZ, Stream, StreamError
from wakeword.cost import peer_cost
from wakeword.peers import ENGINES, Peer, PeerError, find
from wakeword.score import add_stream_arguments, playlist_from, write_json
from wakeword.streams import condition_label, parse_conditions

FORMAT = "rearview-benchmark/1"
COST_S = 120.0
"""Audio that processor time is measured over."""


@dataclass
class Heard:
    """What an engine made of the streams, without their audio."""

    peer: Peer
    streams: list[Stream] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)
    times: list[dict[float, np.ndarray]] = field(default_factory=list)

    @property
    def rule(self) -> scoring.Rule:
        return scoring.Rule(self.peer.step_s, self.peer.refractory_s)

    def listen(self, stream: Stream) -> None:
        """Runs the engine over a stream, at each of its settings."""
        bare = Stream(stream.name, stream.condition, np.zeros(0, np.int16), stream.words, stream.pieces)
        self.streams.append(bare)
        if self.peer.score is not None:
            self.scores.append(self.peer.scores(stream.samples))
        else:
            self.times.append({s: self.peer.times(stream.samples, s) for s in self.peer.settings})

    def events(self, setting: float) -> list[np.ndarray]:
        """Seconds of the events of each stream at a threshold, or at a setting that was heard."""
        if self.peer.score is not None:
            steps = [scoring.event_steps(scores, setting, self.rule) for scores in self.scores]
            return [(step + 1) * self.rule.step_s for step in steps]
        return [times[setting] for times in self.times]

    def candidates(self, hours: float, fa_per_hour: float) -> list[float]:
        """Settings within the limit: one threshold of a scoring engine, any number of a firing one."""
        if self.peer.score is not None:
            tracks = [
                scoring.Track(scores)
                for scores, stream in zip(self.scores, self.streams, strict=True)
                if stream.condition == "negatives"
            ]
            return [scoring.lowest_threshold(tracks, hours, fa_per_hour, self.rule)]
        return [s for s in self.peer.settings if self.false_accepts(s) <= fa_per_hour * hours]

    def false_accepts(self, setting: float) -> int:
        pairs = zip(self.events(setting), self.streams, strict=True)
        return sum(len(times) for times, stream in pairs if stream.condition == "negatives")

    def missed(self, setting: float) -> dict[str, tuple[np.ndarray, np.ndarray, list[str], list[str]]]:
        """By condition: words missed, latencies, takes and voices."""
        found: dict[str, list[Any]] = {}
        for times, stream in zip(self.events(setting), self.streams, strict=True):
            if stream.condition == "negatives":
                continue
            spans = np.array([(word.start_s, word.end_s) for word in stream.words]).reshape(-1, 2)
            hits, _ = scoring.match(times, spans)
            found.setdefault(stream.condition, []).append((hits, spans[:, 1], stream.words))
        result = {}
        for condition, parts in found.items():
            hits = np.concatenate([part[0] for part in parts])
            late = hits - np.concatenate([part[1] for part in parts])
            words = [word for part in parts for word in part[2]]
            result[condition] = (np.isnan(hits), late, [w.take for w in words], [w.voice for w in words])
        return result


def operating_point(heard: Heard, setting: float, hours: float, seed: int = 0) -> dict[str, Any]:
    """FRR by condition with its interval by voice, false accepts and latency at one setting."""
    conditions, latencies = {}, [np.zeros(0)]
    for name, (missed, late, _, voices) in heard.missed(setting).items():
        conditions[name] = {
            "words": len(missed),
            "misses": int(missed.sum()),
            "frr": float(missed.mean()),
            "by_voice_95": statistics.bootstrap_rate(missed, voices, seed=seed).as_list(),
        }
        latencies.append(late)
    accepts = heard.false_accepts(setting)
    p50, p95 = scoring.latency_percentiles(np.concatenate(latencies))
    return {
        "setting": setting,
        "false_accepts": accepts,
        "fa_per_hour": accepts / hours,
        "fa_per_hour_95": statistics.fa_per_hour_interval(accepts, hours).as_list(),
        "latency_p50_s": p50,
        "latency_p95_s": p95,
        "conditions": conditions,
    }


def best_within(heard: Heard, hours: float, fa_per_hour: float, seed: int = 0) -> dict[str, Any] | None:
    """The setting within the limit with the fewest misses; None where none keeps to it."""
    points = [operating_point(heard, s, hours, seed) for s in heard.candidates(hours, fa_per_hour)]
    return min(points, key=lambda p: sum(c["misses"] for c in p["conditions"].values()), default=None)


def versus(ours: Heard, theirs: Heard, mine: float, setting: float, seed: int = 0) -> dict[str, Any]:
    """Our misses against theirs, paired: by condition both counts and the interval of the difference."""
    rows = {}
    a, b = theirs.missed(setting), ours.missed(mine)
    for name, (missed, _, takes, _) in a.items():
        other = b[name][0]
        interval = statistics.paired_difference(missed, other, takes, seed=seed)
        rows[name] = {
            "theirs": int(missed.sum()),
            "ours": int(other.sum()),
            "difference_95": interval.as_list(),
            "significant": not interval.holds(0),
        }
    return rows


def add_parser(sub: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "benchmark",
        help="our model and other engines over the same streams",
        description=__doc__,
        epilog="example: wakeword benchmark recordings.parquet --split dev --json b.json --plot b.svg",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_stream_arguments(parser)
    parser.add_argument(
        "--engine",
        action="append",
        help=f"one of our models, or {', '.join(ENGINES)} (repeatable; default: smart_mirror and all)",
    )
    parser.add_argument("--fa-per-hour", type=float, default=0.5, help="equal for all (default: %(default)s)")
    parser.add_argument("--json", nargs="?", const="-", metavar="OUT", help="JSON: to a file, or to stdout")
    parser.add_argument("--plot", type=Path, metavar="OUT", help="FRR by condition as SVG or PNG")


def run(args: argparse.Namespace) -> int:
    """Listen with every engine that knows the word, and print the table."""
    from rich.console import Console

    from wakeword.benchmark_page import plot
    from wakeword.tables import print_benchmark

    phrase = args.keyword or "smart mirror"
    console = Console(stderr=True)
    peers: dict[str, Peer] = {}
    for engine in args.engine or ["smart_mirror", *ENGINES]:
        try:
            peers[engine] = find(engine, phrase)
        except PeerError as error:
            if args.engine:
                raise
            console.print(f"left out: {error}", style="yellow", highlight=False)
    if not peers:
        raise StreamError(f"no engine knows {phrase!r}")
    result = benchmark(peers, args, phrase)
    print_benchmark(result)
    write_json(result, args.json)
    if args.plot is not None:
        plot(result, args.plot)
    return 0


def benchmark(peers: dict[str, Peer], args: argparse.Namespace, phrase: str) -> dict[str, Any]:
    """Every engine over every stream; the whole result as plain values. Raises StreamError, ManifestError."""
    from rich.progress import track

    from wakeword.evaluate import SIMULATED_CAR

    playlist, car = playlist_from(args, phrase)
    heard = {engine: Heard(peer) for engine, peer in peers.items()}
    sample = np.zeros(0, np.int16)
    for condition in [*parse_conditions(args.conditions), "negatives"]:
        streams = (
            playlist.negatives(car)
            if condition == "negatives"
            else playlist.positives(condition, args.draws, car)
        )
        for stream in track(streams, condition_label(condition) if condition != "negatives" else condition):
            if condition == "negatives" and not sample.size:
                sample = stream.samples[: int(COST_S * SAMPLE_RATE_HZ)]
            for one in heard.values():
                one.listen(stream)
    negatives = [s for s in next(iter(heard.values())).streams if s.condition == "negatives"]
    hours = sum(piece.end_s - piece.start_s for stream in negatives for piece in stream.pieces) / 3600
    words = [word for stream in next(iter(heard.values())).streams for word in stream.words]
    engines = {}
    for engine, one in heard.items():
        engines[engine] = {
            "name": one.peer.name,
            "version": one.peer.version,
            **peer_cost(engine, phrase, sample),
            "default": operating_point(one, nearest(one, one.peer.default), hours, args.seed),
            "best": best_within(one, hours, args.fa_per_hour, args.seed),
        }
    return {
        "format": FORMAT,
        "note": SIMULATED_CAR,
        "phrase": phrase,
        "split": args.split,
        "fa_per_hour": args.fa_per_hour,
        "hours": hours,
        "takes": len({word.take for word in words}),
        "voices": len({word.voice for word in words}),
        "engines": engines,
        "paired": _paired(heard, engines, args.seed),
    }


def nearest(heard: Heard, setting: float) -> float:
    """A setting that was heard, for an engine that only fires."""
    settings: Sequence[float] = heard.peer.settings
    return min(settings, key=lambda s: abs(s - setting)) if settings else setting


def _paired(heard: dict[str, Heard], engines: dict[str, Any], seed: int) -> dict[str, Any]:
    """The first engine against each other one, both at their best within the limit."""
    first, *others = heard
    mine = engines[first]["best"]
    rows = {}
    for engine in others:
        theirs = engines[engine]["best"]
        if mine and theirs:
            rows[engine] = versus(heard[first], heard[engine], mine["setting"], theirs["setting"], seed)
    return rows
