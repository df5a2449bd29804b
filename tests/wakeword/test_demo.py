"""The demo's pieces: stages that are done once, the drive and its truth, the verdict."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from data_splits.manifest import normalise
from wakeword import demo, demo_drive, stages
from wakeword.demo_show import Heard

RATE = 16000


def count_runs(folder: Path, made_from: str, extra: str = "") -> tuple[list[str], Path]:
    ran: list[str] = []
    todo = stages.Stages(folder, made_from)

    def work(place: Path) -> None:
        ran.append(place.name)
        (place / "out").write_text("done", encoding="utf-8")

    todo.run("first", work)
    return ran, todo.run("second", work, extra)


def test_a_stage_is_done_once_and_again_when_what_it_is_made_from_changes(tmp_path: Path) -> None:
    assert count_runs(tmp_path, "code 1")[0] == ["1-first", "2-second"]
    assert count_runs(tmp_path, "code 1")[0] == []
    assert count_runs(tmp_path, "code 1", "another model")[0] == ["2-second"]
    assert count_runs(tmp_path, "code 2", "another model")[0] == ["1-first", "2-second"]


def test_a_stage_that_was_cut_off_finds_its_folder_as_it_left_it(tmp_path: Path) -> None:
    def cut_off(place: Path) -> None:
        (place / "checkpoint").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.Stages(tmp_path, "code").run("train", cut_off)
    seen = []
    stages.Stages(tmp_path, "code").run("train", lambda place: seen.append((place / "checkpoint").exists()))
    stages.Stages(tmp_path, "other").run("train", lambda place: seen.append((place / "checkpoint").exists()))
    assert seen == [True, False]


class Quiet:
    """A car that changes nothing."""

    def render(self, clean: np.ndarray, rng: np.random.Generator, snr_db: float | None) -> np.ndarray:
        return clean


@pytest.fixture
def recordings(tmp_path: Path) -> pl.DataFrame:
    """Four takes of two voices and six other utterances: bursts of noise between silences."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(10):
        take, name = number < 4, f"{number}.wav"
        speech = 0.02 * 2.0 ** (number % 3) * rng.standard_normal(int((0.9 if take else 1.5) * RATE))
        faint = 1e-4 * rng.standard_normal((2, RATE // 2))
        soundfile.write(tmp_path / name, np.concatenate([faint[0], speech, faint[1]]), RATE, subtype="PCM_16")
        rows.append(
            {
                "id": str(number),
                "audio": name,
                "duration_s": 1 + speech.size / RATE,
                "domain": "general",
                "split": "test",
                "text": "smart mirror" if take else f"other {number}",
                "speaker": "ab"[number % 2],
                "labels": {"smart mirror": int(take)},
            }
        )
    return normalise(pl.DataFrame(rows), "test")


def test_the_drive_holds_ten_words_where_its_truth_says(tmp_path: Path, recordings: pl.DataFrame) -> None:
    said = demo_drive.build_drive(recordings, tmp_path, "smart mirror", Quiet(), tmp_path / "out")
    samples, rate = soundfile.read(tmp_path / "out/drive.wav")
    assert (samples.size / rate, rate) == (60.0, RATE)
    words = [u for u in said if u.is_word]
    assert (len(said), len(words)) == (20, 10)
    assert {u.speaker for u in words} == {"a", "b"}
    levels = [samples[int(u.start_s * rate) : int(u.end_s * rate)].std() for u in said]
    assert np.ptp(20 * np.log10(levels)) < 1.5  # everybody speaks at one level
    for u in words:
        assert u.end_s - u.start_s == pytest.approx(0.9, abs=0.06)
        assert samples[int((u.end_s + 0.1) * rate) : int((u.end_s + 1.0) * rate)].std() < 1e-3
    with (tmp_path / "out/drive.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [u.text for u in said]


def test_a_part_without_takes_is_refused(tmp_path: Path, recordings: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="0 takes of 'smart mirror'"):
        demo_drive.build_drive(recordings[4:], tmp_path, "smart mirror", Quiet(), tmp_path)


def heard(label: str, hits: int, false_wakes: int) -> Heard:
    times = np.where(np.arange(10) < hits, 1.0, np.nan)
    return Heard(label, "model", np.zeros(1), 0.08, 0.5, [], times, [0.0] * false_wakes)


@pytest.mark.parametrize(
    ("label", "hits", "false_wakes", "wrong"),
    [
        ("shipped", 8, 2, 0),
        ("shipped", 7, 2, 1),
        ("shipped", 10, 3, 1),
        ("just trained", 5, 2, 0),
        ("just trained", 4, 3, 2),
    ],
)
def test_verdict(label: str, hits: int, false_wakes: int, wrong: int) -> None:
    assert len(demo.verdict([heard(label, hits, false_wakes)])) == wrong
