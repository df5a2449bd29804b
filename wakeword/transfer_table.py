"""The transfer table: folds pooled at one threshold, in Markdown and as a plot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wakeword import scoring, statistics
from wakeword.blocks import Stream
from wakeword.evaluate import Heard
from wakeword.rendered import Rendered
from wakeword.streams import condition_label

RULE = scoring.Rule(step_s=0.08, refractory_s=1.0)
DEPTHS = ("head", "last", "half", "all")
STEADY_FA_PER_HOUR = (0.5, 1.0, 2.0, 4.0)
"""At 0.5 one recording more or less sets a fold's threshold; variants are compared over all of these."""


def pooled(heard: Sequence[Heard], fa_per_hour: float) -> dict[str, Any]:
    """Misses over all folds at the lowest threshold that keeps to ``fa_per_hour`` over their negatives.

    ``frr`` is over every condition but quiet, ``latency_s`` (median and 95th percentile, from the word's end)
    over all of them.
    """
    negatives = [item for item in heard if item.condition == "negatives"]
    hours = hours_of(negatives)
    tracks = [item.track() for item in negatives]
    threshold = scoring.lowest_threshold(tracks, hours, fa_per_hour, RULE)
    outcomes = {}
    for condition in dict.fromkeys(item.condition for item in heard if item.condition != "negatives"):
        items = [item for item in heard if item.condition == condition]
        outcome = scoring.outcomes([item.track() for item in items], threshold, RULE)
        voices = [word.voice for item in items for word in item.words]
        outcomes[condition] = (~outcome.hit, outcome.latency_s, voices)
    accepts = scoring.count_events(tracks, threshold, RULE)
    return {"threshold": threshold, "hours": hours, "false_accepts": accepts, **_misses(outcomes)}


def hours_of(streams: Iterable[Heard | Rendered | Stream]) -> float:
    """What is played in them, gaps left out."""
    return sum(piece.end_s - piece.start_s for stream in streams for piece in stream.pieces) / 3600


Outcome = tuple[np.ndarray, np.ndarray, list[str]]
"""For each word of a condition: whether it was missed, seconds from its end to the hit, its voice."""


def _misses(outcomes: dict[str, Outcome]) -> dict[str, Any]:
    result: dict[str, Any] = {"conditions": {}}
    missed, voices, latencies_s = [], [], []
    for condition, (miss, latency_s, theirs) in outcomes.items():
        latencies_s.append(latency_s)
        result["conditions"][condition] = round(float(miss.mean()), 4)
        result["takes"] = len(miss)
        if condition != "quiet" or len(outcomes) == 1:  # the number that chooses is of the car
            missed.append(miss)
            voices += theirs
    result["latency_s"] = scoring.latency_percentiles(np.concatenate(latencies_s))
    every = np.concatenate(missed)
    result["frr"] = float(every.mean())
    result["missed_by_voice"] = {
        voice: [int(every[np.array(voices) == voice].sum()), voices.count(voice)]
        for voice in sorted(set(voices))
    }
    result["by_voice_95"] = statistics.bootstrap_rate(every, voices).as_list()
    result["judges"] = len(set(voices))
    return result


def steady(folds: Sequence[Sequence[Heard]]) -> float:
    """Misses but in quiet, each fold at thresholds of its own, averaged over `STEADY_FA_PER_HOUR`."""
    rates, takes = [], []
    for heard in folds:
        found = [pooled(heard, fa_per_hour) for fa_per_hour in STEADY_FA_PER_HOUR]
        rates.append(np.mean([row["frr"] for row in found]))
        takes.append(found[0]["takes"])
    return float(np.average(rates, weights=takes))


def engine_row(
    by_setting: dict[float, tuple[int, dict[str, Outcome]]], hours: float, fa_per_hour: float
) -> dict[str, Any] | None:
    """The same of an engine that only fires, at its setting with the fewest misses within ``fa_per_hour``.

    Args:
        by_setting: false accepts and outcomes at each; all voices are new to it, so there are no folds.

    Returns None where no setting keeps to it.
    """

    def best(limit: float) -> dict[str, Any] | None:
        within = [
            {"threshold": setting, "hours": hours, "false_accepts": accepts, **_misses(outcomes)}
            for setting, (accepts, outcomes) in by_setting.items()
            if accepts <= limit * hours
        ]
        return min(within, key=lambda row: row["frr"], default=None)

    row, limits = best(fa_per_hour), [best(limit) for limit in STEADY_FA_PER_HOUR]
    if row is None or None in limits:
        return None
    return {**row, "steady_frr": float(np.mean([found["frr"] for found in limits if found]))}


def change(row: dict[str, Any], other: dict[str, Any]) -> tuple[float, statistics.Interval]:
    """How much more of the same takes ``row`` misses than ``other``, with its interval: voices resampled."""
    changes, voices = [], []
    for voice, (missed, words) in row["missed_by_voice"].items():
        changes.append(np.full(words, (missed - other["missed_by_voice"][voice][0]) / words))
        voices += [voice] * words
    every = np.concatenate(changes)
    return float(every.mean()), statistics.bootstrap_rate(every, voices)


def _than_scratch(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """Points more or less than from scratch, with as many voices and the same seed."""
    if row["encoder"] == "scratch":
        return ""
    alike = (row["voices"], row["seed"])
    for other in rows:
        if other["encoder"] == "scratch" and (other["voices"], other["seed"]) == alike:
            points, interval = change(row, other)
            return f"{100 * points:+.0f} ({100 * interval.low:+.0f} to {100 * interval.high:+.0f})"
    return ""


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table: FRR over all conditions with its interval by voice, then each condition."""
    conditions = list(rows[0]["conditions"]) if rows else []
    head = ["encoder", "learns", "voices", "seed", "FRR", "95 %", "than scratch"]
    head += ["own thresholds, 0.5–4 FA/h", *map(condition_label, conditions), "latency, 95th", "CPU-h"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        low, high = row["by_voice_95"]
        name = _name(row)
        cells = [name, row["unfreeze"], _voices(row), str(row["seed"])]
        cells += [f"{row['frr']:.1%}", f"{low:.0%}–{high:.0%}", _than_scratch(row, rows)]
        cells += [f"{row['steady_frr']:.1%}", *(f"{row['conditions'][c]:.0%}" for c in conditions)]
        latest_s = row["latency_s"][1]
        cells += ["" if latest_s is None else f"{1000 * latest_s:.0f} ms", f"{row['cpu_h']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _voices(row: dict[str, Any]) -> str:
    return "all" if row["voices"] is None else str(row["voices"])


def _name(row: dict[str, Any]) -> str:
    return ", ".join(filter(None, [row["encoder"], row["variant"], row.get("model"), row.get("smoothing")]))


def by_voice(rows: Sequence[dict[str, Any]]) -> str:
    """Misses by voice, quiet not counted: a column for each row of the table, the worst voices first."""
    if not rows:
        return ""
    counts = {voice: words for voice, (_, words) in rows[0]["missed_by_voice"].items()}
    missed = {voice: [row["missed_by_voice"][voice][0] for row in rows] for voice in counts}
    order = sorted(counts, key=lambda voice: (-sum(missed[voice]) / counts[voice], voice))
    heads = [f"{_name(row)}, {row['unfreeze']}, {_voices(row)}, {row['seed']}" for row in rows]
    lines = ["| voice | words | " + " | ".join(heads) + " |", "|" + "---|" * (2 + len(heads))]
    for voice in order:
        cells = " | ".join(f"{count / counts[voice]:.0%}" for count in missed[voice])
        lines.append(f"| {voice} | {counts[voice]} | {cells} |")
    return "\n".join(lines)


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """FRR over the encoders, a panel for each number of voices and a line for each depth; seeds as dots."""
    from matplotlib.figure import Figure

    from wakeword.report import PALETTE

    untrained = {row["encoder"]: 100 * row["frr"] for row in rows if row["unfreeze"] == "none"}
    rows = [row for row in rows if row["unfreeze"] != "none"] or list(rows)
    voices = list(dict.fromkeys(row["voices"] for row in rows))
    encoders = [name for name in dict.fromkeys(row["encoder"] for row in rows) if name != "scratch"]
    figure = Figure(figsize=(2.9 * len(voices) + 1.9, 3.4), layout="constrained")
    panels = figure.subplots(1, len(voices), sharey=True, squeeze=False)[0]
    for axes, count in zip(panels, voices, strict=True):
        mine = [row for row in rows if row["voices"] == count]
        scratch = [100 * row["frr"] for row in mine if row["encoder"] == "scratch"]
        if scratch:
            axes.axhline(np.mean(scratch), color="#808890", linestyle="--", linewidth=1, label="from scratch")
        known = [(place, untrained[name]) for place, name in enumerate(encoders) if name in untrained]
        if known:
            axes.plot(*zip(*known, strict=True), "k:", linewidth=1.2, label="nothing (phones spotted)")
        for depth, color in zip(DEPTHS, PALETTE, strict=False):
            points = [
                (encoders.index(r["encoder"]), 100 * r["frr"])
                for r in mine
                if r["unfreeze"] == depth and r["encoder"] != "scratch"
            ]
            if points:
                places = sorted({x for x, _ in points})
                means = [float(np.mean([y for x, y in points if x == place])) for place in places]
                axes.plot(places, means, color=color, linewidth=1.5, label=depth)
                axes.plot(*zip(*points, strict=True), "o", color=color, markersize=4)
        axes.set_xticks(range(len(encoders)), encoders, rotation=30, ha="right")
        axes.set_title(f"{count or 'all'} voice{'' if count == 1 else 's'}", fontsize=10)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("FRR in the cabin, %")
    figure.legend(
        *panels[-1].get_legend_handles_labels(), loc="outside right center", fontsize=8, frameon=False
    )
    figure.savefig(path, metadata={"Date": None})
