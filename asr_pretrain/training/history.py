"""The loss of every step: one JSON line each, appended at a checkpoint and cut back when a run resumes.

The state holds the losses too, so that a run which goes on elsewhere has its whole curve.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asr_pretrain.training.checkpoint import write_atomically

HISTORY = "history.jsonl"


class History:
    """Losses by step; ``rate(step)`` is the learning rate of a step, from 0."""

    def __init__(self, folder: Path, rate: Callable[[int], float]):
        self.path, self.rate = folder / HISTORY, rate
        self.losses: list[float] = []
        self._written = 0

    def _lines(self, first: int) -> str:
        lines = [
            json.dumps({"step": first + i + 1, "loss": loss, "learning_rate": self.rate(first + i)})
            for i, loss in enumerate(self.losses[first:])
        ]
        return "".join(line + "\n" for line in lines)

    def append(self) -> None:
        """Writes the steps since the last call."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self._lines(self._written))
            file.flush()
            os.fsync(file.fileno())
        self._written = len(self.losses)

    def restore(self, losses: list[float], write: bool) -> None:
        """Goes on after ``losses``; what the file holds beyond them was never checkpointed."""
        self.losses, self._written = losses, len(losses)
        if write:
            write_atomically(self.path, self._lines(0).encode())


def read_history(folder: Path) -> list[dict[str, Any]]:
    """``step``, ``loss`` and ``learning_rate`` of the run in ``folder``, step by step; [] before its first.

    A line that is being written is left out.
    """
    path = folder / HISTORY
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
