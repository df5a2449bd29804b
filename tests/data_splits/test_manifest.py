from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_splits import files
from data_splits.manifest import COLUMNS, ManifestError, read_manifest, write_manifest

ROW: dict[str, Any] = {"id": "a", "audio": "a.wav", "duration_s": 1.5, "domain": "general", "split": "train"}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_round_trip_keeps_every_value(tmp_path: Path, honest: pl.DataFrame, suffix: str) -> None:
    frame = honest.with_columns(pl.lit("CC0-1.0").alias("licence"))
    write_manifest(frame, tmp_path / f"m.{suffix}")
    again = read_manifest(tmp_path / f"m.{suffix}")
    assert again.equals(frame)
    assert again.columns[: len(COLUMNS)] == list(COLUMNS)
    assert [path.name for path in tmp_path.iterdir()] == [f"m.{suffix}"]


def test_optional_columns_may_be_absent_or_of_any_null_type(tmp_path: Path) -> None:
    frame = read_manifest(
        write(tmp_path / "m.jsonl", {**ROW, "speaker": None, "snr_db": None, "labels": None})
    )
    assert frame["snr_db"].dtype == pl.Float64
    assert frame["speaker"].to_list() == [None]


def test_numbers_of_any_width_strings_as_ints_and_dates_are_taken(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            **{name: [value] for name, value in ROW.items()},
            "speaker": [1272],
            "snr_db": pl.Series([5], dtype=pl.Int8),
            "sample_rate_hz": pl.Series([16000], dtype=pl.UInt16),
            "labels": pl.Series([{"smart mirror": 1}], dtype=pl.Struct({"smart mirror": pl.UInt64})),
        }
    )
    frame.write_parquet(tmp_path / "m.parquet")
    again = read_manifest(tmp_path / "m.parquet")
    assert again["speaker"][0] == "1272"
    assert again["snr_db"][0] == 5.0
    assert again["labels"][0] == {"smart mirror": 1}


def test_recorded_at_is_an_instant_and_parents_are_lists(tmp_path: Path) -> None:
    rows = (
        {**ROW, "noise_parent": "rain", "recorded_at": "2025-03-01T08:30:00Z"},
        {**ROW, "id": "b", "noise_parent": ["rain", "road"], "recorded_at": "2025-03-01T09:30:00+01:00"},
        {**ROW, "id": "c", "noise_parent": [], "speaker": ""},
    )
    frame = read_manifest(write(tmp_path / "m.jsonl", *rows))
    assert frame["noise_parent"].to_list() == [["rain"], ["rain", "road"], None]
    assert frame["recorded_at"][0] == frame["recorded_at"][1]
    assert frame["speaker"][2] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": "eval"}, ["split", "'eval'", "'a'", "train_dev"]),
        ({"domain": "car"}, ["domain", "'car'", "mirror"]),
        ({"split": None}, ["split", "empty"]),
        ({"id": " "}, ["id", "empty"]),
        ({"duration_s": 0}, ["duration_s", "greater than zero"]),
        ({"duration_s": "long"}, ["duration_s", "numbers"]),
        ({"sample_rate_hz": 0}, ["sample_rate_hz", "greater than zero"]),
        ({"sample_rate_hz": 16000.5}, ["sample_rate_hz", "16000.5", "whole"]),
        ({"audio": "../other/a.wav"}, ["audio", "../other/a.wav", "leave"]),
        ({"audio": "x/../../a.wav"}, ["leave"]),
        ({"audio": "..\\a.wav"}, ["leave"]),
        ({"audio": "s.tar::../a.wav"}, ["tar"]),
        ({"audio": "s.tar::/etc/a.wav"}, ["tar"]),
        ({"labels": {"smart mirror": 2}}, ["labels", "smart mirror"]),
        ({"labels": {"smart mirror": 0.5}}, ["labels", "smart mirror"]),
        ({"labels": "yes"}, ["labels"]),
        ({"recorded_at": "yesterday"}, ["recorded_at", "yesterday", "ISO"]),
        ({"noise_parent": 5}, ["noise_parent", "string"]),
    ],
)
def test_a_bad_value_is_named_with_its_row_and_remedy(tmp_path: Path, change: dict, words: list[str]) -> None:
    message = refused(write(tmp_path / "m.jsonl", {**ROW, **change}))
    for word in words:
        assert word in message


@pytest.mark.parametrize("audio", ["a/../b.wav", "/data/a.wav", "s.tar::x/a.wav", "a..b.wav"])
def test_paths_that_stay_inside_or_are_absolute_are_taken(tmp_path: Path, audio: str) -> None:
    assert read_manifest(write(tmp_path / "m.jsonl", {**ROW, "audio": audio}))["audio"][0] == audio


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("column", ["duration_s", "snr_db", "word_end_s"])
def test_numbers_that_are_none_are_refused(tmp_path: Path, column: str, value: float) -> None:
    pl.DataFrame([{**ROW, column: value}]).write_parquet(tmp_path / "m.parquet")
    message = refused(tmp_path / "m.parquet")
    assert column in message
    assert "finite" in message


def test_nan_in_jsonl_is_refused(tmp_path: Path) -> None:
    assert "NaN is not JSON" in refused(write(tmp_path / "m.jsonl", {**ROW, "duration_s": float("nan")}))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "m.jsonl", {"id": "a", "audio": "a.wav", "domain": "mirror"}))
    assert "missing column duration_s, split" in message


def test_duplicated_ids_are_named(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "m.jsonl", ROW, {**ROW, "audio": "b.wav"}))
    assert "unique" in message
    assert "'a'" in message


@pytest.mark.parametrize("name", ["m.parquet", "m.jsonl"])
@pytest.mark.parametrize("content", [b"", b"garbage \xff\x00", b"PAR1"])
def test_files_that_are_no_manifest_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name)


def test_a_missing_or_truncated_file_is_refused(tmp_path: Path, honest: pl.DataFrame) -> None:
    assert "no such file" in refused(tmp_path / "none.parquet")
    write_manifest(honest, tmp_path / "m.parquet")
    whole = (tmp_path / "m.parquet").read_bytes()
    (tmp_path / "m.parquet").write_bytes(whole[: len(whole) // 2])
    assert "Parquet" in refused(tmp_path / "m.parquet")


def test_a_manifest_without_rows_is_refused(tmp_path: Path, honest: pl.DataFrame) -> None:
    honest.head(0).write_parquet(tmp_path / "m.parquet")
    assert "no rows" in refused(tmp_path / "m.parquet")


def test_a_failed_write_keeps_the_older_file(
    tmp_path: Path, honest: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.parquet"
    write_manifest(honest, path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_manifest(honest.head(3), path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["m.parquet"]


def test_an_invalid_frame_is_not_written(tmp_path: Path, honest: pl.DataFrame) -> None:
    with pytest.raises(ManifestError, match="unique"):
        write_manifest(pl.concat([honest, honest]), tmp_path / "m.parquet")
    assert not list(tmp_path.iterdir())


def test_lines_without_end_and_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    row = b'{"id": "a", "audio": "a.wav", "duration_s": 1.0, "domain": "general", "split": "train"}\n'
    path.write_bytes(row + b'{"id": "' + b"x" * (5 << 20))
    with pytest.raises(ManifestError, match=rf"m.jsonl: the line at byte {len(row)} is longer than"):
        read_manifest(path)
    latin = row.replace(b'"a"', b'"\xc3\xa4"') + row.replace(b"a.wav", b"\xe4.wav")
    path.write_bytes(latin)
    byte = latin.index(b"\xe4.wav")
    with pytest.raises(ManifestError, match=rf"m.jsonl: byte {byte} is not UTF-8"):
        read_manifest(path)
    path.write_bytes(row.replace(b'"a"', b'"' + "ä".encode() * (2 << 20) + b'"') + row)
    with pytest.raises(ManifestError, match="line at byte 0 is longer"):
        read_manifest(path)


def test_a_manifest_of_many_short_lines_passes_whatever_falls_on_the_chunks(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    row = '{{"id": "{}ä", "audio": "a.wav", "duration_s": 1.0, "domain": "general", "split": "train"}}\n'
    path.write_text("".join(row.format(i) for i in range(30_000)), encoding="utf-8")
    assert read_manifest(path).height == 30_000


def test_a_damaged_parquet_and_a_loop_of_links_are_named(tmp_path: Path, honest: pl.DataFrame) -> None:
    path = tmp_path / "m.parquet"
    write_manifest(honest, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ManifestError, match="m.parquet: not readable as Parquet"):
        read_manifest(path)
    loop = tmp_path / "loop.parquet"
    loop.symlink_to(loop)
    with pytest.raises(ManifestError, match="loop.parquet: no such file"):
        read_manifest(loop)
