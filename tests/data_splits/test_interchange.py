"""What is written for other tools comes back by the readers of their corpora, and CSV without loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

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


@pytest.mark.parametrize("kind", ["speechbrain", "speechbrain-json", "lhotse"])
def test_the_corpus_reader_of_the_format_reads_it(manifest: Path, kind: str) -> None:
    out = manifest.parent / kind
    assert main(["convert", str(manifest), "--to", kind, "--out", str(out)]) == 0
    corpus = LHOTSE if kind == "lhotse" else SPEECHBRAIN
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


def sound(path: Path, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(int(16000 * seconds))), 16000)


def test_folders_become_a_manifest_and_the_manifest_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    takes, out = tmp_path / "takes", tmp_path / "takes.parquet"
    for name in ("smart_mirror/anna_1.wav", "smart_mirror/bo_1.flac", "jarvis/anna_7.wav"):
        sound(takes / name)
    sound(takes / "jarvis/bo_2.wav", seconds=0.01)
    (takes / "jarvis" / "readme.txt").write_text("no recording")
    (takes / "jarvis" / "loop").symlink_to(takes)
    (takes / "jarvis" / "anna_9.wav").symlink_to(takes / "jarvis" / "anna_7.wav")
    read = ["convert", str(takes), "--tree", "{label}/{speaker}_{*}", "--to", "parquet", "--out", str(out)]
    assert main([*read, "--set", "domain=mirror"]) == 0
    said = capsys.readouterr().err
    assert "jarvis/bo_2.wav: shorter than 0.1 s" in said and "jarvis/anna_9.wav: a link" in said
    frame = read_manifest(out, require_split=False)
    assert frame.select("id", "speaker", "domain", "split", "duration_s", "sample_rate_hz").rows() == [
        ("jarvis/anna_7", "anna", "mirror", None, 0.5, 16000),
        ("smart_mirror/anna_1", "anna", "mirror", None, 0.5, 16000),
        ("smart_mirror/bo_1", "bo", "mirror", None, 0.5, 16000),
    ]
    assert frame["labels"].to_list()[0] == {"jarvis": 1, "smart mirror": 0}
    assert main([*read, "--set", "domain=mirror", "--set", "split=dev"]) == 0
    tree = tmp_path / "tree"
    write = ["convert", str(out), "--to", "tree", "--out", str(tree), "--tree"]
    assert main([*write, "{split}/{speaker}/{label}/{session}"]) == 0
    again = tree / "dev/anna/smart_mirror/unknown.wav"
    assert again.read_bytes() == (takes / "smart_mirror/anna_1.wav").read_bytes()
    assert main([*write, "{split}/{session}"]) == 2
    assert "would be two recordings" in capsys.readouterr().err and not (tree / "dev/unknown.wav").exists()
    assert main([*write, "{split}/{id}"]) == 0 and (tree / "dev/smart_mirror/bo_1.flac").exists()


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (["--tree", "{label}/{speakr}"], "{speakr} is no column"),
        (["--tree", "{label}/{label}"], "stands there twice"),
        (["--tree", "takes"], "names no column"),
        (["--tree", "{{label}}"], "names no column"),
        (["--tree", "{speaker}"], "'a/b.wav' is not '{speaker}'"),
        (["--tree", "{speaker}/{id}", "--set", "speaker=x"], "named by --tree as well"),
        (["--tree", "{speaker}/{id}", "--set", "colour=x"], "--set colour: no column"),
        (["--tree", "{speaker}/{id}", "--set", "domain"], "give COLUMN=VALUE"),
        (["--tree", "{speaker}/{id}"], "missing column domain"),
        (["--tree", "{speaker}/{id}", "--set", "domain=car"], "one of general, mirror"),
        ([], "folders need --tree"),
    ],
)
def test_bad_folders_are_named(
    tmp_path: Path, given: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sound(tmp_path / "takes/a/b.wav")
    out = tmp_path / "m.parquet"
    assert main(["convert", str(tmp_path / "takes"), "--to", "parquet", "--out", str(out), *given]) == 2
    assert word in capsys.readouterr().err and not out.exists()


def test_a_value_that_climbs_stays_out_of_a_tree(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = read_manifest(manifest).with_columns(pl.lit("..").alias("session"))
    write_manifest(frame, manifest)
    out = manifest.parent / "tree"
    given = ["--to", "tree", "--out", str(out), "--tree", "{session}/{id}"]
    assert main(["convert", str(manifest), *given]) == 2
    assert "is no name of a folder" in capsys.readouterr().err and not out.exists()
