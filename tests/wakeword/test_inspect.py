"""What a manifest would teach wrongly is named, with its remedy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from scipy.signal import resample_poly

from asr_pretrain.synthesis.espeak import engine
from wakeword.cli import main


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("inspect"), np.random.default_rng(0)
    said = {text: speak(text) for text in ("smart mirror", "open the window please")}
    hiss = (rng.standard_normal(32000) * 600).astype(np.int16)
    sounds = {
        "take": (said["smart mirror"], 1, None),
        "not a take": (said["open the window please"], 1, None),
        "speech": (said["open the window please"], 0, None),
        "rain": (hiss, None, "rain"),
        "radio": (np.concatenate([hiss[:8000], said["smart mirror"], hiss]), None, "radio"),
        "nothing": (np.zeros(16000, np.int16), None, "rain"),
        "too loud": (np.clip(hiss.astype(np.int32) * 40, -9000, 9000).astype(np.int16), None, "rain"),
    }
    rows = []
    for name, (samples, label, kind) in sounds.items():
        soundfile.write(folder / f"{name}.wav", samples, 16000)
        rows.append(
            {
                "id": name, "audio": f"{name}.wav", "duration_s": len(samples) / 16000, "domain": "general",
                "split": "train", "noise_kind": kind, "labels": {"smart mirror": label},
            }
        )  # fmt: skip
    frame = pl.DataFrame(rows, schema_overrides={"noise_kind": pl.String})
    frame.write_parquet(folder / "recordings.parquet")
    return folder / "recordings.parquet"


def speak(text: str) -> np.ndarray:
    """int16 (n,) by espeak-ng, with a little silence around."""
    samples, rate_hz = engine().synthesize(text, rate_wpm=150)
    spoken = resample_poly(samples.astype(np.float64), 16000, rate_hz)
    return np.pad(spoken * 0.5, 4000).astype(np.int16)


def test_every_doubt_is_named(manifest: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(manifest), "--json"]) == 1
    found = {(d["kind"], d["id"]) for d in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found == {
        ("little noise", ""),
        ("phrase not found", "not a take"),
        ("phrase found", "radio"),
        ("silent", "nothing"),
        ("clipped", "too loud"),
    }


def test_an_unknown_phrase_is_refused(manifest: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(manifest), "--phrase", "hello car"]) == 2
    assert "labels no 'hello car'" in capsys.readouterr().err
