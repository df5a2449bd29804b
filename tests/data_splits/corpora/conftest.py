"""Small trees laid out exactly like the originals, of tones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile

from data_splits.corpora import CORPORA, Prepared, Wish, prepare
from data_splits.manifest import read_manifest

Write = Callable[..., Path]
Run = Callable[..., tuple[pl.DataFrame, Prepared]]


@pytest.fixture
def write() -> Write:
    """Write a tone: `write(path, seconds=0.5, rate_hz=16000, hz=440, channels=1)`; suffix is format."""

    def _write(
        path: Path, seconds: float = 0.5, rate_hz: int = 16_000, hz: float = 440.0, channels: int = 1
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        time_s = np.arange(round(seconds * rate_hz)) / rate_hz
        tones = [0.3 * np.sin(2 * np.pi * hz * (channel + 1) * time_s) for channel in range(channels)]
        soundfile.write(path, np.stack(tones, axis=1), rate_hz, format=path.suffix[1:].upper())
        return path

    return _write


LIBRISPEECH = {
    "train-clean-100/103/1240": (
        "CHAPTER ONE MISSUS RACHEL LYNDE IS SURPRISED",
        "THAT HAD ITS SOURCE IN THE OLD O'NEIL PLACE",
    ),
    "train-clean-100/1034/121119": ("THE COMPUTER OF A HUNDRED YEARS AGO",),
    "train-other-500/20/205": ("NO", "YES"),
    "dev-clean/84/121123": ("GO DO YOU HEAR",),
}
SPEAKERS = """; LibriSpeech
;ID  |SEX| SUBSET           |MINUTES| NAME
20   | F | train-other-500  | 30.03 | Gunn | of the pipe
103  | F | train-clean-100  | 25.11 | Karen Savage
1034 | M | train-clean-100  | 25.13 | Kevin O'Coin
"""


@pytest.fixture
def librispeech(tmp_path: Path, write: Write) -> Path:
    """A tree of six utterances, three subsets, four speakers."""
    root = tmp_path / "LibriSpeech"
    for folder, texts in LIBRISPEECH.items():
        _, speaker, chapter = folder.split("/")
        lines = []
        for number, text in enumerate(texts):
            key = f"{speaker}-{chapter}-{number:04d}"
            write(root / folder / f"{key}.flac", seconds=0.4 + number / 10)
            lines.append(f"{key} {text}\n")
        (root / folder / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines), encoding="utf-8")
    (root / "SPEAKERS.TXT").write_text(SPEAKERS, encoding="utf-8")
    (root / "README.TXT").write_text("LibriSpeech")
    return root


@pytest.fixture
def run() -> Run:
    """Prepare a corpus: `run(kind, folder, out, **wish)` gives the manifest and what was reported."""

    def _run(kind: str, folder: Path, out: Path, **wish: Any) -> tuple[pl.DataFrame, Prepared]:
        prepared = prepare(CORPORA[kind], folder, out, Wish(**wish))
        frame = read_manifest(prepared.manifest)
        assert frame.height == prepared.utterances
        return frame, prepared

    return _run
