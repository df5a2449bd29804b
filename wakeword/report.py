"""One self-contained HTML page: curves, scores over a drive, tables. No network, no scripts.

Figures are inline SVG whose ink is `currentColor`, so that the page reads in light and in dark.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_splits.page import block, page, table, write_report
from wakeword.streams import condition_label
from wakeword.tables import percent, percent_interval, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "PALETTE",
    "block",
    "det_plot",
    "drive_block",
    "drive_plot",
    "page",
    "score_table",
    "table",
    "training_curves",
    "write_report",
]

_INK = "#010203"
"""Stands for the page's text colour until the SVG is inlined."""
PALETTE = ("#3b82c4", "#d9822b", "#2f9e6e", "#c2496b", "#8a63c9", "#8f7a1f", "#4aa5b5")
_MAX_POINTS = 4000


def training_curves(history: Sequence[Mapping[str, Any]], title: str = "Training", text: str = "") -> str:
    """Every numeric key of `history` (list of dicts with `step`) over the steps, one panel a key.

    Keys that differ only by a `train_`, `valid_` or `dev_` prefix share a panel.
    """
    names = dict.fromkeys(
        key
        for row in history
        for key, value in row.items()
        if key not in ("step", "epoch", "time", "seconds") and _is_number(value)
    )
    panels: dict[str, list[str]] = {}
    for name in names:
        panels.setdefault(re.sub(r"^(train|valid|val|dev)_", "", name), []).append(name)
    if not panels:
        return block(title, "", "The history holds no figures.")
    columns = min(2, len(panels))
    figure, axes = _figure(-(-len(panels) // columns), columns, height=2.7)
    for axis, (panel, keys) in zip(axes, panels.items(), strict=False):
        for color, key in zip(_colors(len(keys)), keys, strict=True):
            points = [
                (row.get("step", index), row[key])
                for index, row in enumerate(history)
                if _is_number(row.get(key))
            ]
            x, y = np.array(points, dtype=float).T
            marker = "o" if len(x) < 30 else None
            axis.plot(x, y, color=color, label=key, marker=marker, markersize=3)
        axis.set_title(panel, fontsize=10)
        axis.set_xlabel("step")
        if len(keys) > 1:
            axis.legend(frameon=False)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return block(title, _svg(figure, title), text)


def det_plot(result: Mapping[str, Any]) -> str:
    """DET curves of a `wakeword score` result: one panel a model, one curve a condition."""
    models = result["models"]
    figure, axes = _figure(len(models), 1, height=4.2)
    for axis, model in zip(axes, models, strict=True):
        det = model["det"]
        fa_per_hour, floor = np.asarray(det["fa_per_hour"]), 0.5 / result["negatives"]["hours"]
        for color, (condition, frr) in zip(_colors(len(det["frr"])), det["frr"].items(), strict=True):
            shown = fa_per_hour <= 200
            axis.step(
                np.maximum(fa_per_hour, floor)[shown],
                100 * np.asarray(frr)[shown],
                where="pre",
                color=color,
                label=condition_label(condition),
            )
            own = model["own_threshold"]
            point = own["conditions"].get(condition)
            if point:
                axis.plot(max(own["fa_per_hour"], floor), 100 * point["frr"], "o", color=color, markersize=5)
        axis.set_xscale("log")
        axis.set_ylim(0, 100)
        axis.set_xlabel(f"false accepts an hour (left edge: none in {result['negatives']['hours']:.2f} h)")
        axis.set_ylabel("FRR, %")
        axis.set_title(Path(model["model"]).name, fontsize=10)
        axis.legend(frameon=False)
    text = (
        f"Miss rate against false accepts an hour on {result['split']}; dots: the model's own threshold. "
        f"{result['note']}"
    )
    return block("DET curve", _svg(figure, "DET"), text)


def drive_plot(
    scores: np.ndarray,
    step_s: float,
    truth: Sequence[Sequence[float]],
    events: Sequence[float],
    threshold: float,
    title: str = "Scores over the drive",
    text: str = "",
) -> str:
    """Scores (steps,) over time; truth spans (start_s, end_s) shaded, events (seconds) marked."""
    figure, axes = _figure(1, 1, height=2.8)
    axis = axes[0]
    time, shown = _thinned(np.asarray(scores, dtype=float), step_s)
    for start, end in truth:
        axis.axvspan(start, end, color=PALETTE[2], alpha=0.28, linewidth=0)
    axis.plot(time, shown, color=PALETTE[0], linewidth=1.1)
    axis.axhline(threshold, color=PALETTE[1], linewidth=1, linestyle="--")
    axis.plot(events, np.full(len(events), 1.04), "v", color=PALETTE[3], markersize=6, clip_on=False)
    axis.set_ylim(0, 1.08)
    axis.set_xlim(0, max(len(scores) * step_s, step_s))
    axis.set_xlabel("seconds")
    axis.set_ylabel("score")
    legend = f"Green: the word is spoken. Triangles: events. Dashed: the threshold, {threshold:.3f}. "
    return block(title, _svg(figure, title), legend + text)


def drive_block(scores: np.ndarray, result: Mapping[str, Any], step_s: float, title: str = "") -> str:
    """`drive_plot` and a line of figures from what `wakeword.drive.score_drive` returned."""
    truth = [(row["start_s"], row["end_s"]) for row in result["events"]]
    heard = [row["heard_s"] for row in result["events"] if row["heard_s"] is not None]
    heard += [row["time_s"] for row in result["stray_events"]]
    text = f"{result['hits']} of {result['words']} words heard, {result['strays']} stray(s)."
    return drive_plot(
        scores, step_s, truth, sorted(heard), result["threshold"], title or "Scores over the drive", text
    )


def score_table(result: Mapping[str, Any]) -> str:
    """The table of a `wakeword score` result: a row for each model and condition."""
    targets = list(result["models"][0]["read_off_this_split"])
    header = ["condition", "FRR", "misses", "95 % (Wilson)", "95 % by voice"]
    header += [f"FRR at {target} FA/h\nread off {result['split']}" for target in targets]
    header += ["strays", "latency\np50", "p95"]
    blocks = []
    for model in result["models"]:
        own = model["own_threshold"]
        rows = [
            [
                condition_label(condition),
                percent(point["frr"]),
                f"{point['misses']}/{point['words']}",
                percent_interval(point["wilson_95"]),
                percent_interval(point["by_voice_95"]),
                *(percent(model["read_off_this_split"][t]["conditions"][condition]["frr"]) for t in targets),
                str(point["strays"]),
                seconds(point["latency_p50_s"]),
                seconds(point["latency_p95_s"]),
            ]
            for condition, point in own["conditions"].items()
        ]
        text = (
            f"{result['split']}: {result['takes']} takes of {result['voices']} voices. Own threshold "
            f"{own['threshold']:.4f}: {own['statement']}. {result['note']}"
        )
        name = f"{Path(model['model']).name} ({model['precision'] or 'precision unknown'})"
        blocks.append(block(f"{result['phrase']}: {name}", table(header, rows), text))
    return "\n".join(blocks)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _colors(n: int) -> list[str]:
    return [PALETTE[i % len(PALETTE)] for i in range(n)]


def _thinned(scores: np.ndarray, step_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Time and score of each step; a long drive keeps the maximum of each run of steps."""
    run = max(1, -(-scores.size // _MAX_POINTS))
    if run > 1:
        padded = np.pad(scores, (0, -scores.size % run))
        scores = padded.reshape(-1, run).max(axis=1)
    return (np.arange(scores.size) + 1) * step_s * run, scores


def _figure(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of this page's look, without pyplot and its global state. Inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, height * rows), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axis in axes:
        axis.patch.set_alpha(0)
        axis.grid(True, color=_INK, alpha=0.13, linewidth=0.6)
        axis.tick_params(colors=_INK, labelsize=9, length=3)
        for label in (axis.xaxis.label, axis.yaxis.label, axis.title):
            label.set_color(_INK)
        for side, spine in axis.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(_INK)
            spine.set_alpha(0.4)
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    """The figure as inline SVG with real text in the page's font and ink."""
    from matplotlib import rc_context

    for axis in figure.axes:
        legend = axis.get_legend()
        for text in legend.get_texts() if legend else []:
            text.set_color(_INK)
    out = io.StringIO()
    # A salt of its own: several figures share one page, and ids of clip paths may not meet.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": f"{name}-{id(figure)}", "font.size": 9.5}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(name)}" ', 1)
