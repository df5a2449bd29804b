"""How fast a run goes and which of the two waits: the loader's workers or the device."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

THROUGHPUT = "throughput.jsonl"


class Step(NamedTuple):
    """What one process reports of one step."""

    utterances: float
    audio_s: float
    for_loader_s: float
    """Waited for its own loader."""
    for_others_s: float
    """Waited, its batch in hand, for another process to have one."""
    wall_s: float


class Throughput:
    """Sums steps by rank; `line` says what came together since the last line."""

    def __init__(self, every_s: float, world: int):
        self.every_s = every_s
        self.totals = {"heard_utterances": 0.0, "heard_audio_s": 0.0, "training_s": 0.0}
        """Of the run, over all its stretches and processes; they travel in the state."""
        self._sums = [Step(0, 0, 0, 0, 0)] * world
        self._since = time.monotonic()

    def add(self, rows: Sequence[Step]) -> None:
        """A step's reports, by rank."""
        self._sums = [
            Step(*map(sum, zip(before, row, strict=True)))
            for before, row in zip(self._sums, rows, strict=True)
        ]
        self.totals["heard_utterances"] += sum(row.utterances for row in rows)
        self.totals["heard_audio_s"] += sum(row.audio_s for row in rows)
        self.totals["training_s"] += max(row.wall_s for row in rows)

    def due(self) -> bool:
        return time.monotonic() - self._since >= self.every_s

    def take(self) -> dict[str, Any]:
        """Figures since the last call: utterances/s and hours of audio an hour, over all and by rank."""
        ranks = [_figures(sums) for sums in self._sums]
        total = {key: sum(rank[key] for rank in ranks) for key in ("utterances_per_s", "audio_h_per_h")}
        shares = {key: max(rank[key] for rank in ranks) for key in ("waited_for_loader", "waited_for_others")}
        self._sums = [Step(0, 0, 0, 0, 0)] * len(ranks)
        self._since = time.monotonic()
        return {**total, **shares, "ranks": ranks}


def _figures(sums: Step) -> dict[str, float]:
    wall_s = max(sums.wall_s, 1e-9)
    return {
        "utterances_per_s": sums.utterances / wall_s,
        "audio_h_per_h": sums.audio_s / wall_s,
        "waited_for_loader": sums.for_loader_s / wall_s,
        "waited_for_others": sums.for_others_s / wall_s,
    }


def describe(figures: dict[str, Any]) -> str:
    """`Throughput.take` in words; the shares are rank 0's when it is alone, else by rank."""
    rate, hours, ranks = (figures[key] for key in ("utterances_per_s", "audio_h_per_h", "ranks"))
    text = f"{rate:.0f} utterances/s, {hours:.0f} h of audio an hour"
    if len(ranks) == 1:
        return f"{text}; {_waits(ranks[0], alone=True)}"
    by_rank = [
        f"{index}: {rank['utterances_per_s']:.0f}/s, {_waits(rank, alone=False)}"
        for index, rank in enumerate(ranks)
    ]
    return f"{text}; by rank " + "; ".join(by_rank)


def _waits(rank: dict[str, float], alone: bool) -> str:
    loader, others = rank["waited_for_loader"], rank["waited_for_others"]
    for_others = "" if alone else f", for other ranks {others:.0%}"
    return f"waited for the loader {loader:.0%}{for_others}, computing {1 - loader - others:.0%}"


def write_figures(folder: Path, step: int, figures: dict[str, Any]) -> None:
    """Appends one line to ``throughput.jsonl``: a record of the machine, so a resumed run adds to it."""
    line = {"step": step, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **figures}
    with (folder / THROUGHPUT).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
