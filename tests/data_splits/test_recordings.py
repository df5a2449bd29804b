from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from data_splits.manifest import ManifestError
from data_splits.recordings import collect, find_recordings

KEYS = ("path", "kind", "corpus", "speaker", "text", "label", "licence", "seconds", "part")
ROWS = [
    (
        "keywords/smart_mirror/0.flac",
        "keyword",
        "wake",
        "v1",
        "smart mirror",
        "smart mirror",
        "A",
        1.0,
        "train",
    ),
    ("keywords/alexa/0.opus", "keyword", "wake", "v1", "alexa", "alexa", "A", 1.0, "train"),
    ("speech/l/1.opus", "speech", "l", "l1", "MEET ALEXANDER, MY COMPUTER", None, "B", 2.0, "dev"),
    ("speech/v/1.opus", "speech", "picovoice-speech-to-intent", None, None, None, "A", 2.0, "test"),
    ("speech/p/1.opus", "speech", "precise-community-data", None, None, "heycomputer", "P", 2.0, "dev"),
    ("noise/moodist/rain_on-window.opus", "noise", "moodist", None, None, "rain", "C", 9.0, "train"),
    ("noise/moodist/urban_road.opus", "noise", "moodist", None, None, "road", "C", 9.0, "test"),
    ("music/librosa/song.opus", "music", "librosa", None, None, None, "C", 9.0, "train"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = (json.dumps(dict(zip(KEYS, row, strict=True))) for row in ROWS)
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_collect_gives_manifest_rows_of_the_general_domain(folder: Path) -> None:
    frame = collect(folder)
    assert frame["id"].to_list()[:2] == ["keywords/smart_mirror/0", "keywords/alexa/0"]
    assert frame["audio"][0] == str(folder.resolve() / ROWS[0][0])
    assert frame["domain"].unique().to_list() == ["general"]
    assert frame["split"].to_list() == [row[-1] for row in ROWS] == frame["part"].to_list()
    assert frame["noise_kind"].to_list() == [None] * 5 + ["rain", "road", "music"]
    assert frame["session"].to_list()[3:6] == ["picovoice-speech-to-intent", "precise-community-data", None]


def test_labels_say_what_is_known_and_no_more(folder: Path) -> None:
    labels = collect(folder)["labels"].struct.unnest()
    assert labels["smart mirror"].to_list() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert labels["alexa"].to_list() == [0, 1, 0, None, None, None, None, None]
    assert labels["computer"].to_list() == [0, 0, 1, None, 1, None, None, None]


def test_the_folder_is_looked_for_in_order(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home") / "project"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.delenv("REARVIEW_DATA", raising=False)
    assert find_recordings() is None
    shared = home.parent / "shared" / "data"
    shared.mkdir(parents=True)
    (shared / "manifest.jsonl").touch()
    assert find_recordings() == shared.resolve()
    (home / "data").mkdir()
    (home / "data" / "manifest.jsonl").touch()
    assert find_recordings() == (home / "data").resolve()
    monkeypatch.setenv("REARVIEW_DATA", str(folder))
    assert find_recordings() == folder.resolve()


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="REARVIEW_DATA"):
        collect(tmp_path)
    (tmp_path / "manifest.jsonl").write_text('{"path": "a.wav"}')
    with pytest.raises(ManifestError, match="missing column kind"):
        collect(tmp_path)


def test_the_development_recordings_collect() -> None:
    found = find_recordings()
    if found is None:
        pytest.skip("the development recordings are not at $REARVIEW_DATA, ./data or ../shared/data")
    frame = collect(found)
    assert frame.height > 10_000
    positive = pl.col("labels").struct.field("smart mirror") == 1
    assert dict(frame.filter(positive).group_by("part").len().iter_rows()) == {
        "train": 115,
        "dev": 37,
        "test": 38,
    }
    parts = frame.drop_nulls("speaker").group_by("speaker").agg(pl.col("part").n_unique())
    assert parts["part"].max() == 1
