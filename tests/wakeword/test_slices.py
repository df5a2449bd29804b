"""Slices: the same takes otherwise, each with its misses and the voices that were missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_splits.manifest import read_manifest
from wakeword.cli import main
from wakeword.slices import SliceCars, slices, streams
from wakeword.streams import Playlist

ROWS = ("all takes", "far seat", "another talker", "middle of a sentence", "telephone band")


def test_the_table_holds_every_slice(
    tiny_corpus: Path, loud_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    only = [word for name in ROWS for word in ("--only", name)]
    words = ["slices", str(tiny_corpus), "--model", str(loud_model()), "--json", str(tmp_path / "s.json")]
    assert main([*words, *only]) == 0
    result = json.loads((tmp_path / "s.json").read_text())
    takes = read_manifest(tiny_corpus).filter(
        (pl.col("split") == "dev") & (pl.col("labels").struct.field("smart mirror") == 1)
    )
    assert [row["slice"] for row in result["slices"]] == list(ROWS)
    for row in result["slices"]:
        assert row["takes"] == len(takes) and sum(row["missed_voices"].values()) == row["misses"]
    assert "far seat" in capsys.readouterr().err
    assert main([*words, "--only", "upside down"]) == 2
    assert "'upside down'" in capsys.readouterr().err


def test_a_word_in_a_sentence_stands_between_others(tiny_corpus: Path):
    frame, root = read_manifest(tiny_corpus), tiny_corpus.parent
    playlist = Playlist(frame, root, "dev", "smart mirror")
    cars = SliceCars(frame, root, "dev", "smart mirror", 0)
    rows = {row.name: row for row in slices()}
    for name, before, after in (("start of a sentence", False, True), ("end of a sentence", True, False)):
        row = rows[name]
        for stream in streams(row, playlist, cars.car(row), np.inf):
            for word in stream.words:
                assert _level(stream.samples, word.start_s - 0.6, word.start_s) > 100 or not before
                assert _level(stream.samples, word.end_s, word.end_s + 0.6) > 100 or not after
                assert _level(stream.samples, word.start_s, word.end_s) > 100


def _level(samples: np.ndarray, start_s: float, end_s: float) -> float:
    part = samples[int(start_s * 16000) : int(end_s * 16000)].astype(np.float64)
    return float(np.sqrt(np.square(part).mean()))
