"""Listen once with each model, then read everything off the raw scores.

`listen` is the only part that hears audio; `evaluate` turns the scores into the result that
`wakeword score` prints and writes, so that a stored result can be made again with other thresholds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wakeword import scoring, statistics
from wakeword.blocks import SAMPLE_RATE_HZ, Piece, Stream, Word
from wakeword.streams import condition_snr_db

if TYPE_CHECKING:
    from mirror_device import Detector

SIMULATED_CAR = (
    "The car is simulated: cabins, driving noise and microphone are computed, no recording was made in a car."
)
FA_TARGETS = (0.5, 1.0)
TENTH_NEEDS_HOURS = 10.0
"""0.1 FA/h is read off only over at least this much."""
WORST = 20


@dataclass(frozen=True)
class Heard:
    """A stream without its audio, and what the model made of it: (steps,) float32 scores."""

    name: str
    condition: str
    seconds: float
    words: tuple[Word, ...]
    pieces: tuple[Piece, ...]
    scores: np.ndarray

    def track(self) -> scoring.Track:
        """Scores and spans for `wakeword.scoring`."""
        spans = np.array([(word.start_s, word.end_s) for word in self.words], dtype=np.float64)
        return scoring.Track(self.scores, spans.reshape(-1, 2))


@dataclass
class Listener:
    """One model with the scores it gave; `column` is the scored word's column."""

    path: str
    detector: Detector
    column: int
    heard: list[Heard] = field(default_factory=list)

    @property
    def rule(self) -> scoring.Rule:
        """Step and refractory time from the model's metadata."""
        return scoring.Rule(self.detector.step_s, float(self.detector.metadata["refractory_s"]))

    @property
    def own_threshold(self) -> float:
        """The threshold that the model carries."""
        return float(self.detector.metadata["keywords"][self.column]["threshold"])


def open_models(paths: Sequence[str], phrase: str | None) -> tuple[list[Listener], str]:
    """Load models by name or path; the phrase is the first model's first word unless given.

    Raises:
        ModelError: a model cannot be read.
        ValueError: a model does not hear the phrase.
    """
    from mirror_device import Detector

    listeners = []
    for path in paths:
        detector = Detector(path)
        phrases = [word["phrase"] for word in detector.metadata["keywords"]]
        phrase = phrase or phrases[0]
        if phrase not in phrases:
            raise ValueError(f"{path}: hears {', '.join(phrases)}, not {phrase!r}")
        listeners.append(Listener(str(path), detector, phrases.index(phrase)))
    if phrase is None:
        raise ValueError("no model given; name one with --model")
    return listeners, phrase


def listen(
    listeners: Sequence[Listener],
    streams: Iterable[Stream],
    advance: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Run every model over every stream, each from a reset; `advance` is told the seconds heard."""
    for stream in streams:
        seconds = stream.samples.size / SAMPLE_RATE_HZ
        for listener in listeners:
            listener.detector.reset()
            scores = listener.detector.scores(stream.samples)[:, listener.column]
            heard = Heard(stream.name, stream.condition, seconds, stream.words, stream.pieces, scores.copy())
            listener.heard.append(heard)
        advance(seconds)


def hours_of(negatives: Sequence[Heard]) -> dict[str, Any]:
    """Hours of the negative recordings played (gaps not counted), in total and by source, kind and drive."""
    groups: dict[str, dict[str, float]] = {"source": {}, "kind": {}, "drive": {}}
    ids, total = set(), 0.0
    for heard in negatives:
        for piece in heard.pieces:
            hours = (piece.end_s - piece.start_s) / 3600
            drive = piece.drive if piece.drive in ("as it is", "cabin") else "cabin and noise"
            for group, name in (("source", piece.source), ("kind", piece.kind), ("drive", drive)):
                groups[group][name] = groups[group].get(name, 0.0) + hours
            ids.add(piece.id)
            total += hours
    tables = {
        f"by_{group}": {
            name: round(hours, 4) for name, hours in sorted(table.items(), key=lambda item: -item[1])
        }
        for group, table in groups.items()
    }
    return {
        "hours": total,
        "hours_with_gaps": sum(heard.seconds for heard in negatives) / 3600,
        "recordings": len(ids),
        **tables,
    }


def condition_result(
    heard: Sequence[Heard], threshold: float, rule: scoring.Rule, seed: int
) -> dict[str, Any]:
    """Everything about one condition at one threshold."""
    result = scoring.outcomes([item.track() for item in heard], threshold, rule)
    words = [word for item in heard for word in item.words]
    takes, voices, missed = [word.take for word in words], [word.voice for word in words], ~result.hit
    by_voice: dict[str, list[int]] = {}
    for voice, miss in zip(voices, missed, strict=True):
        tally = by_voice.setdefault(voice, [0, 0])
        tally[0] += int(miss)
        tally[1] += 1
    p50, p95 = scoring.latency_percentiles(result.latency_s)
    distinct = len(set(takes))
    # Several cars around one take are no several takes: Wilson's n is the distinct takes.
    interval = statistics.wilson(round(result.frr * distinct), distinct)
    return {
        "words": len(words),
        "takes": distinct,
        "voices": len(by_voice),
        "misses": result.misses,
        "frr": result.frr,
        "wilson_95": interval.as_list(),
        "by_take_95": statistics.bootstrap_rate(missed, takes, seed=seed).as_list(),
        "by_voice_95": statistics.bootstrap_rate(missed, voices, seed=seed).as_list(),
        "misses_by_voice": dict(sorted(by_voice.items(), key=lambda item: (-item[1][0], item[0]))),
        "strays": result.strays,
        "hours": sum(item.seconds for item in heard) / 3600,
        "latency_p50_s": p50,
        "latency_p95_s": p95,
    }


def worst_accepts(
    negatives: Sequence[Heard], own_threshold: float, hours: float, rule: scoring.Rule, limit: int = WORST
) -> list[dict[str, Any]]:
    """The highest-scoring events on negatives, accepted or nearly: which recording, where, in which drive."""
    found: list[dict[str, Any]] = []
    tracks = [heard.track() for heard in negatives]
    threshold = scoring.lowest_threshold(tracks, hours, limit / hours, rule)
    for heard in negatives:
        for step in scoring.event_steps(heard.scores, threshold, rule):
            time = (int(step) + 1) * rule.step_s
            peak = float(heard.scores[step : step + scoring.refractory_steps(rule)].max())
            piece = _piece_at(heard.pieces, time)
            found.append(
                {
                    "id": piece.id if piece else None,
                    "source": piece.source if piece else None,
                    "kind": piece.kind if piece else None,
                    "drive": piece.drive if piece else None,
                    "time_in_recording_s": round(time - piece.start_s, 2) if piece else None,
                    "stream": heard.name,
                    "time_s": round(time, 2),
                    "score": round(peak, 4),
                    "accepted": peak >= own_threshold,
                }
            )
    return sorted(found, key=lambda row: -float(row["score"]))[:limit]


def _piece_at(pieces: Sequence[Piece], time_s: float) -> Piece | None:
    """The last piece that began before: an event answers what has been heard."""
    earlier = [piece for piece in pieces if piece.start_s <= time_s]
    return earlier[-1] if earlier else None


def operating_point(
    groups: dict[str, list[Heard]],
    negatives: Sequence[Heard],
    hours: float,
    threshold: float,
    rule: scoring.Rule,
    seed: int,
) -> dict[str, Any]:
    """One threshold over all conditions and the negatives."""
    accepts = scoring.count_events([heard.track() for heard in negatives], threshold, rule)
    conditions = {name: condition_result(heard, threshold, rule, seed) for name, heard in groups.items()}
    noisy = [result["frr"] for name, result in conditions.items() if name != "quiet"]
    return {
        "threshold": threshold,
        "false_accepts": accepts,
        "fa_per_hour": accepts / hours,
        "fa_per_hour_95": statistics.fa_per_hour_interval(accepts, hours).as_list(),
        "statement": statistics.fa_statement(accepts, hours),
        "mean_frr_but_quiet": float(np.mean(noisy)) if noisy else None,
        "conditions": conditions,
    }


def evaluate(listener: Listener, seed: int = 0) -> dict[str, Any]:
    """One model's result: own threshold, points read off this split's curve, curves, worst accepts.

    Raises:
        ValueError: no negatives were played.
    """
    rule = listener.rule
    negatives = [heard for heard in listener.heard if heard.condition == "negatives"]
    groups: dict[str, list[Heard]] = {}
    for heard in listener.heard:
        if heard.condition != "negatives":
            groups.setdefault(heard.condition, []).append(heard)
    hours = hours_of(negatives)["hours"]
    targets = (*FA_TARGETS, 0.1) if hours >= TENTH_NEEDS_HOURS else FA_TARGETS
    tracks = {name: [item.track() for item in items] for name, items in groups.items()}
    negative_tracks = [heard.track() for heard in negatives]
    curves = scoring.det_curves(tracks, negative_tracks, hours, rule, fa_targets=targets)
    # Thresholds and accepts are common to all conditions: any curve gives the threshold.
    first = next(iter(curves.values()))
    read_off = {}
    for target in targets:
        threshold = scoring.frr_at(first, target).threshold
        read_off[f"{target:g}"] = operating_point(groups, negatives, hours, threshold, rule, seed)
    own = operating_point(groups, negatives, hours, listener.own_threshold, rule, seed)
    metadata, keyword = listener.detector.metadata, listener.detector.metadata["keywords"][listener.column]
    return {
        "model": listener.path,
        "name": metadata.get("name"),
        "version": metadata.get("version"),
        "precision": metadata.get("precision"),
        "tuned_for_fa_per_hour": keyword.get("fa_per_hour"),
        "rule": asdict(rule),
        "own_threshold": own,
        "read_off_this_split": read_off,
        "det": {
            "thresholds": first.thresholds.tolist(),
            "fa_per_hour": first.fa_per_hour.tolist(),
            "frr": {name: curve.frr.tolist() for name, curve in curves.items()},
        },
        "worst_false_accepts": worst_accepts(negatives, listener.own_threshold, hours, rule),
    }


def missed_takes(listener: Listener, condition: str, threshold: float) -> tuple[np.ndarray, list[str]]:
    """(words,) missed, and the take of each word, for a paired comparison."""
    heard = [item for item in listener.heard if item.condition == condition]
    result = scoring.outcomes([item.track() for item in heard], threshold, listener.rule)
    return ~result.hit, [word.take for item in heard for word in item.words]


def sort_conditions(names: Iterable[str]) -> list[str]:
    """Quiet, cabin, then falling SNR."""
    return sorted(names, key=lambda n: (n != "quiet", n != "cabin", -(condition_snr_db(n) or 0.0)))


def save_raw(listeners: Sequence[Listener], path: Path) -> None:
    """Keep the raw scores: one array a model and stream, and `meta`, a JSON text with words and pieces."""
    arrays: dict[str, Any] = {
        f"m{m}_s{s:04d}": heard.scores for m, x in enumerate(listeners) for s, heard in enumerate(x.heard)
    }
    streams = [
        {
            "name": heard.name,
            "condition": heard.condition,
            "seconds": heard.seconds,
            "words": [asdict(word) for word in heard.words],
            "pieces": [asdict(piece) for piece in heard.pieces],
        }
        for heard in listeners[0].heard
    ]
    models = [{"model": x.path, "own_threshold": x.own_threshold, "rule": asdict(x.rule)} for x in listeners]
    meta = json.dumps({"format": "rearview-raw-scores/1", "models": models, "streams": streams})
    with path.open("wb") as stream:
        np.savez_compressed(stream, meta=np.array(meta), **arrays)


def file_sha256(path: str | Path) -> str | None:
    """Hex SHA-256 of a file; None where there is none (a shipped model is named, not a path)."""
    path = Path(path)
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
