"""Triggers and near misses kept for labelling: a WAV and a JSON each, in a folder of bounded size.

Nothing of this is on unless the configuration names the folder, and nothing of it leaves the device.
"""

from __future__ import annotations

import json
from pathlib import Path

from mirror_device.service.config import Capture, ConfigError
from mirror_device.service.outlets import Heard, Queued

MEGABYTE = 1_000_000


class Keeper(Queued):
    """Writes what it is told to, the oldest making room.

    Raises ConfigError: the folder cannot be made or written to.
    """

    name = "keeper"

    def __init__(self, config: Capture) -> None:
        self._folder, self._most_bytes = config.folder, config.most_mb * MEGABYTE
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / ".writable").touch()
        except OSError as error:
            raise ConfigError(
                f"capture.folder: {self._folder} cannot be written to ({error.strerror})"
            ) from error
        numbers = [
            int(path.stem.split("-")[0]) for path in self._files() if path.stem.split("-")[0].isdigit()
        ]
        self._number = max(numbers, default=0)
        super().__init__()

    def give(self, heard: Heard) -> None:
        self._number += 1
        content = heard.wav()
        self._make_room(len(content) + len(heard.line))
        stem = self._folder / f"{self._number:08d}-{heard.event['event']}"
        written = stem.with_suffix(".tmp")
        written.write_bytes(content)
        stem.with_suffix(".json").write_text(json.dumps(heard.event) + "\n", encoding="utf-8")
        written.rename(stem.with_suffix(".wav"))

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if path.suffix in (".wav", ".json", ".tmp"))

    def _make_room(self, needed_bytes: int) -> None:
        files = self._files()
        total = sum(path.stat().st_size for path in files)
        for path in files:
            if total + needed_bytes <= self._most_bytes:
                return
            total -= path.stat().st_size
            path.unlink()
        if total + needed_bytes > self._most_bytes:
            raise ValueError("one recording is larger than capture.most_mb")
