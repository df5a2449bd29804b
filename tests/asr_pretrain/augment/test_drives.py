"""The page of drives: one self-contained file with a picture and a player a drive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from asr_pretrain.cli import main


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for name, kind in (("<b>one</b>", None), ("two", None), ("wet road", "rain")):
        path = tmp_path / f"{len(rows)}.wav"
        soundfile.write(path, rng.standard_normal(24000) * 0.05, 16000)
        rows.append(
            {
                "id": name, "audio": str(path), "duration_s": 1.5, "domain": "general", "split": "train",
                "noise_kind": kind, "labels": {"wake": 0}, "source": "made",
            }
        )  # fmt: skip
    frame = pl.DataFrame(rows, schema_overrides={"noise_kind": pl.String})
    frame.write_parquet(tmp_path / "recordings.parquet")
    return tmp_path / "recordings.parquet"


def test_a_page_of_drives(manifest: Path, tmp_path: Path):
    out = tmp_path / "drives.html"
    assert main(["drives", str(manifest), "--out", str(out), "--count", "2"]) == 0
    text = out.read_text(encoding="utf-8")
    assert text.count("<audio") == 3 and text.count("data:image/png") == 3
    assert "&lt;b&gt;one" in text and "<b>one" not in text
    assert "http" not in text and "ms" in text


def test_a_part_without_speech_is_named(manifest: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["drives", str(manifest), "--part", "dev"]) == 2
    assert "'dev' holds no speech" in capsys.readouterr().err
