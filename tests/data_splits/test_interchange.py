"""What is written for other tools comes back by the readers of their corpora, and CSV without loss."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from data_splits.cli import main
from data_splits.corpora.corpus import Place
from data_splits.corpora.lhotse import CORPUS as LHOTSE
from data_splits.corpora.speechbrain import CORPUS as SPEECHBRAIN
from data_splits.manifest import read_manifest, rooted, write_manifest


@pytest.fixture
def manifest(tmp_path: Path, honest: pl.DataFrame) -> Path:
    path = tmp_path / "m.parquet"
    text = pl.when(pl.col("domain") == "mirror").then(pl.lit('say "smart", mirror')).otherwise("text")
    stamp = pl.lit("2026-03-01T08:30:00Z").str.to_datetime(time_unit="us", time_zone="UTC")
    rate = pl.lit(16000, pl.Int64).alias("sample_rate_hz")
    write_manifest(honest.with_columns(text.alias("text"), rate, stamp.alias("recorded_at")), path)
    return path


def test_a_csv_comes_back_as_the_manifest_it_was(manifest: Path) -> None:
    table, again = manifest.with_name("m.csv"), manifest.with_name("again.parquet")
    assert main(["convert", str(manifest), "--to", "csv", "--out", str(table)]) == 0
    assert main(["convert", str(table), "--to", "parquet", "--out", str(again)]) == 0
    assert read_manifest(again).equals(rooted(read_manifest(manifest), manifest))


@pytest.mark.parametrize("kind", ["speechbrain", "lhotse"])
def test_the_corpus_reader_of_the_format_reads_it(manifest: Path, kind: str) -> None:
    out = manifest.parent / kind
    assert main(["convert", str(manifest), "--to", kind, "--out", str(out)]) == 0
    corpus = {"speechbrain": SPEECHBRAIN, "lhotse": LHOTSE}[kind]
    assert set(corpus.subsets(out)) == {"train", "train_dev", "dev", "test"}
    place = Place(out, manifest.parent, "x")
    rows = read_manifest(manifest).filter(pl.col("split") == "dev").sort("id")
    found = sorted(corpus.read(place, "dev"), key=lambda utterance: utterance.id)
    assert [u.audio for u in found] == [str(manifest.parent / name) for name in rows["audio"]]
    assert [u.text for u in found] == rows["text"].to_list()
    assert all(u.speaker is not None and "dev-s" in u.speaker for u in found)


def test_what_a_format_cannot_hold_is_refused_and_nothing_is_written(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = read_manifest(manifest)
    packed = manifest.with_name("packed.parquet")
    write_manifest(frame.with_columns(("s.tar::" + pl.col("audio")).alias("audio")), packed)
    unrated = manifest.with_name("unrated.parquet")
    write_manifest(frame.drop("sample_rate_hz"), unrated)
    for source, kind, word in (
        (packed, "speechbrain", "member of a tar"),
        (unrated, "lhotse", "sample_rate_hz"),
    ):
        out = manifest.parent / "none"
        assert main(["convert", str(source), "--to", kind, "--out", str(out)]) == 2
        assert word in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (",".join(f"c{i}" for i in range(200)) + "\n", "200 columns"),
        ("id,audio,duration_s,domain,split\na,a.wav,long,general,train\n", "'long' is no number"),
        ("id,audio,duration_s,domain,split\na,a.wav,nan,general,train\n", "finite"),
        ("id,audio,duration_s,domain,split\na,../a.wav,1,general,train\n", "may not leave"),
        ("id,audio\na,b,c\n", "not a CSV table"),
        ("id,audio\n", "missing column"),
    ],
)
def test_a_bad_csv_is_named(
    tmp_path: Path, content: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.csv").write_text(content)
    assert (
        main(["convert", str(tmp_path / "m.csv"), "--to", "parquet", "--out", str(tmp_path / "m.parquet")])
        == 2
    )
    error = capsys.readouterr().err
    assert "m.csv: " in error and word in error
    assert not (tmp_path / "m.parquet").exists()
