"""Utterances that were left out, and why: counted, and kept in a file for whoever wants to look."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


class SkipLog:
    """`skipped.jsonl` in the output folder: one `{"id", "reason"}` a line; a resumed run adds to it."""

    def __init__(self, path: Path):
        self.path = path
        self.reasons: dict[str, str] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                    self.reasons[row["id"]] = row["reason"]
                except (ValueError, KeyError, TypeError):  # the last line of a run that was killed
                    continue

    def add(self, skipped: Iterable[tuple[str, str]]) -> None:
        """Add (id, reason) pairs; what is known already stays as it was."""
        new = {key: reason for key, reason in skipped if key not in self.reasons}
        if not new:
            return
        self.reasons |= new
        with self.path.open("a", encoding="utf-8") as stream:
            for key, reason in new.items():
                stream.write(json.dumps({"id": key, "reason": reason}, ensure_ascii=False) + "\n")

    def by_reason(self) -> dict[str, list[str]]:
        """Ids by reason, without the details after a colon."""
        found: dict[str, list[str]] = {}
        for key, reason in self.reasons.items():
            found.setdefault(reason.partition(":")[0], []).append(key)
        return found
