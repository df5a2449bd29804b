"""Installs a bundle again and again, and each time the power fails at another step of it.

power_cut.py FOLDER BUNDLE EVERY   (test_bundle.py runs it; EVERY 3 takes each third step)

FOLDER has a version installed that passed its trial.

A step is a call that reaches the disk: making, renaming or removing a name, writing (the power fails half-way
through), syncing. What was written and not synced is lost: cut to half its length. Prints one JSON object a
cut: which version is active after it, whether it opens, and whether the update goes through the next time.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirror_device import (
    files,
    onnx_runtime,  # noqa: F401  # once, not in every child
)
from mirror_device.detector import Detector
from mirror_device.update import slots as slots_module
from mirror_device.update.archive import unpack
from mirror_device.update.slots import Slots, open_slot

CUT = 9
NAME = "tiny"


class Disk:
    """Counts steps, and at the fatal one loses what was not synced."""

    def __init__(self, fatal: int) -> None:
        self.fatal, self.steps = fatal, 0
        self.unsynced: set[str] = set()

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.fatal:
            for path in filter(os.path.exists, self.unsynced):
                os.truncate(path, Path(path).stat().st_size // 2)
            os._exit(CUT)

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.step()
            return function(*arguments, **options)

        return call

    def write(self, path: Path, content: bytes) -> None:
        """As `files.write_synced`, in pieces of which any may be the last."""
        self.unsynced.add(str(path))
        with path.open("wb") as file:
            for part in (content[: len(content) // 2], content[len(content) // 2 :]):
                self.step()
                file.write(part)
                file.flush()
            self.step()
            os.fsync(file.fileno())
        self.unsynced.discard(str(path))

    def install_into(self) -> None:
        files.write_synced = slots_module.write_synced = self.write
        for name in ("replace", "rename", "mkdir", "unlink", "rmdir"):
            setattr(os, name, self.wrapped(getattr(os, name)))
        files.sync_folder = slots_module.sync_folder = self.wrapped(files.sync_folder)


def in_a_child(work: Callable[[], Any]) -> tuple[int, Any]:
    """Exit status and result of ``work`` in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = json.dumps(work()).encode()
            os.write(writing, result)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        content = file.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), json.loads(content) if content else None


def main() -> None:
    folder, content = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
    bundle = unpack(content)
    copy = folder.with_name("cut")

    def cut() -> int:
        disk = Disk(fatal)
        disk.install_into()
        Slots(copy, NAME).install(bundle)
        return disk.steps

    def look() -> dict[str, Any]:
        source, detector = open_slot(Slots(copy, NAME), notes := [])
        return {"version": detector.metadata["version"], "shipped": source == NAME, "notes": notes}

    def again() -> str:
        slots = Slots(copy, NAME)
        if slots.state().active is None or bundle.version not in (slots.state().active or ""):
            slots.install(bundle)
        return str(Detector(slots.model(slots.state().active or "")).metadata["version"])

    fatal = 1
    while True:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        status, steps = in_a_child(cut)
        seen = in_a_child(look)[1]
        print(json.dumps({"cut": fatal, "status": status, "after": seen, "again": in_a_child(again)[1]}))
        if status == 0:
            print(json.dumps({"steps": steps}))
            return
        fatal += int(sys.argv[3])


if __name__ == "__main__":
    main()
