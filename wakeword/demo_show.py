"""What `wakeword demo` shows at its end: truth and events side by side, a small score table, one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wakeword.demo_drive import SNR_DB, Utterance


@dataclass(frozen=True)
class Heard:
    """What one model made of the drive."""

    label: str
    model: str
    scores: np.ndarray
    """(steps,)"""
    step_s: float
    threshold: float
    events: list[dict[str, Any]]
    """The daemon's, as it printed them."""
    hit_times: np.ndarray
    """(words,) seconds, NaN where the word was missed."""
    false_wakes: list[float]


def print_drive(said: list[Utterance], heard: list[Heard]) -> None:
    """The truth beside the events of each model."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"One minute in the car at {SNR_DB:g} dB (the car is simulated)", title_justify="left"
    )
    for name in ("from", "to", "said", "by", *(f"{item.label} heard it" for item in heard)):
        table.add_column(name)
    words = 0
    rows: list[tuple[float, Utterance | None, list[str]]] = []
    for utterance in said:
        cells = [""] * len(heard)
        if utterance.is_word:
            times = [item.hit_times[words] for item in heard]
            cells = ["missed" if np.isnan(t) else f"at {t:.2f} s" for t in times]
            words += 1
        rows.append((utterance.start_s, utterance, cells))
    for time_s, cells in _false_wake_rows(heard):
        rows.append((time_s, None, cells))
    for time_s, said_then, cells in sorted(rows, key=lambda row: row[0]):
        if said_then is None:
            table.add_row(f"{time_s:.2f}", "", "", "", *cells, style="red")
        else:
            style = "bold" if said_then.is_word else "dim"
            who = Text(said_then.speaker, overflow="ellipsis", no_wrap=True)
            start, end = f"{said_then.start_s:.2f}", f"{said_then.end_s:.2f}"
            table.add_row(start, end, Text(said_then.text), who, *cells, style=style)
    Console(width=120).print(table)


def _false_wake_rows(heard: list[Heard]) -> list[tuple[float, list[str]]]:
    rows = []
    for column, item in enumerate(heard):
        for time_s in item.false_wakes:
            rows.append((time_s, ["false wake" if i == column else "" for i in range(len(heard))]))
    return rows


def print_score(result: dict[str, Any], labels: list[str]) -> None:
    """FRR by condition and FA/h, a row a model: `wakeword score` prints much more."""
    from rich.console import Console
    from rich.table import Table

    from wakeword.streams import condition_label
    from wakeword.tables import percent, percent_interval

    title = (
        f"Test part: {result['takes']} takes of {result['voices']} voices, "
        f"{result['negatives']['hours']:.2f} h of negatives, each model at its own threshold"
    )
    table = Table(title=title, title_justify="left")
    conditions = list(result["models"][0]["own_threshold"]["conditions"])
    for name in ("model", *(f"FRR, {condition_label(c)}" for c in conditions), "false wakes an hour"):
        table.add_column(name)
    for label, model in zip(labels, result["models"], strict=True):
        own = model["own_threshold"]
        points = [own["conditions"][name] for name in conditions]
        rates = [f"{percent(p['frr'])} ({percent_interval(p['wilson_95'])})" for p in points]
        low, high = own["fa_per_hour_95"]
        table.add_row(label, *rates, f"{own['fa_per_hour']:.1f} ({low:.1f}–{high:.1f})")
    Console(width=120).print(table)


def write_page(
    path: Path, runs: dict[str, Path], said: list[Utterance], heard: list[Heard], score: Any
) -> None:
    """The HTML page: training curves, the drive, table and DET curve."""
    from asr_pretrain.training.history import read_history
    from wakeword import report

    spans = [(u.start_s, u.end_s) for u in said if u.is_word]
    blocks = []
    for item in heard:
        text = f"{int(np.isfinite(item.hit_times).sum())} of {len(spans)} words heard, "
        text += f"{len(item.false_wakes)} false wake(s)."
        times = [event["time_s"] for event in item.events]
        title = f"The drive, heard by the model {'we ship' if item.label == 'shipped' else item.label}"
        blocks.append(report.drive_plot(item.scores, item.step_s, spans, times, item.threshold, title, text))
    blocks += [report.score_table(score), report.det_plot(score)]
    for title, run in runs.items():
        blocks.append(report.training_curves(read_history(run), title))
    report.write_report(path, "A wake word in a driving car: the demo", blocks)
