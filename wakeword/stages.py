"""Stages that are done once: a folder each, and a marker that says what it was made from."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("data_splits", "asr_pretrain", "wakeword", "mirror_device")


def code_sha256() -> str:
    """Hash of the four packages' code and recipes: what was made by other code is made again."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in (".py", ".yaml"):
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


class Stages:
    """Runs each stage in its own folder of `folder`, or skips it where its marker says it is done.

    A stage that was cut off finds its folder as it left it, so that a training resumes; one made from
    something else starts with an empty folder, and so does every stage after it.
    """

    def __init__(self, folder: Path, made_from: str):
        self.folder, self.chain = folder, made_from
        self.number = 0

    def run(self, name: str, work: Callable[[Path], None], *made_from: str) -> Path:
        """Run `work(folder of the stage)` unless it is done; returns that folder.

        Args:
            made_from: inputs beside those of the stages before, such as a file's hash.
        """
        self.number += 1
        self.chain = hashlib.sha256(json.dumps([self.chain, name, *made_from]).encode()).hexdigest()
        place = self.folder / f"{self.number}-{name}"
        marker = place / "stage.json"
        before = json.loads(marker.read_text(encoding="utf-8")) if marker.is_file() else {}
        if before.get("made_from") != self.chain:
            shutil.rmtree(place, ignore_errors=True)
            before = {}
        if before.get("done"):
            print(
                f"\n[{self.number}] {name}: done before, {before['seconds']:.0f} s; outputs in {place}",
                flush=True,
            )
            return place
        print(f"\n[{self.number}] {name}", flush=True)
        place.mkdir(parents=True, exist_ok=True)
        marker.write_text(json.dumps({"made_from": self.chain, "done": False}), encoding="utf-8")
        started_s = time.monotonic()
        work(place)
        seconds = time.monotonic() - started_s
        marker.write_text(
            json.dumps({"made_from": self.chain, "done": True, "seconds": round(seconds, 1)}),
            encoding="utf-8",
        )
        print(f"    {seconds:.0f} s", flush=True)
        return place
