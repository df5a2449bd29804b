"""The synthetic corpus: a valid manifest, disjoint voices, exact repetition, nothing lost or overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from asr_pretrain.cli import main
from asr_pretrain.phonemes import to_phones
from asr_pretrain.synthesis.casting import tasks
from asr_pretrain.synthesis.corpus import CorpusError, make_corpus
from data_splits.audio import pcm_sha256, read_audio
from data_splits.manifest import read_manifest


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("made") / "corpus", size="tiny", quiet=True)


def test_the_manifest_is_valid_and_its_files_are_what_it_says(corpus: Path) -> None:
    frame = read_manifest(corpus)
    assert set(frame["split"]) == {"train", "dev", "test"}
    for row in frame.iter_rows(named=True):
        samples = read_audio(row["audio"], corpus.parent)
        assert len(samples) / 16000 == pytest.approx(row["duration_s"])
        assert pcm_sha256(samples) == row["pcm_sha256"]
        assert samples.any()


def test_labels_follow_the_text(corpus: Path) -> None:
    frame = read_manifest(corpus).unnest("labels")
    takes = frame.filter(pl.col("text") == "smart mirror")
    assert takes.height == 12 and set(takes["smart mirror"]) == {1} and set(takes["alexa"]) == {0}
    assert set(frame.filter(pl.col("text") != "smart mirror")["smart mirror"]) == {0}
    assert set(frame.filter(pl.col("text") == "jarvis")["jarvis"]) == {1}
    assert (takes["word_start_s"] > 0.1).all() and (takes["word_end_s"] < takes["duration_s"]).all()


def test_the_word_is_where_the_manifest_says(corpus: Path) -> None:
    row = read_manifest(corpus).filter(pl.col("text") == "smart mirror").row(0, named=True)
    samples = read_audio(row["audio"], corpus.parent).astype(float)
    start, end = int(row["word_start_s"] * 16000), int(row["word_end_s"] * 16000)
    outside = np.concatenate([samples[:start], samples[end:]])
    assert np.sqrt(np.mean(samples[start:end] ** 2)) > 10 * np.sqrt(np.mean(outside**2))


def test_no_voice_crosses_parts(corpus: Path) -> None:
    frame = read_manifest(corpus).filter(pl.col("speaker").is_not_null())
    variants = {
        part: {name.partition("+")[2] for name in frame.filter(pl.col("split") == part)["speaker"]}
        for part in ("train", "dev", "test")
    }
    assert not variants["train"] & variants["dev"]
    assert not variants["train"] & variants["test"]
    assert not variants["dev"] & variants["test"]


def test_noise_has_a_kind_and_foreign_speech_no_english_text(corpus: Path) -> None:
    frame = read_manifest(corpus)
    noise = frame.filter(pl.col("noise_kind").is_not_null())
    assert noise.height == 3 and noise["speaker"].null_count() == noise["text"].null_count() == 3
    foreign = frame.filter(pl.col("foreign_text").is_not_null())
    assert foreign.height == 8 and foreign["text"].null_count() == 8
    assert all(to_phones(text) for text in frame["text"].drop_nulls())


def test_a_second_run_changes_nothing(corpus: Path) -> None:
    before = corpus.stat().st_mtime_ns
    assert make_corpus(corpus.parent, size="tiny", quiet=True) == corpus
    assert corpus.stat().st_mtime_ns == before


def test_an_unfinished_corpus_is_made_again_and_is_the_same(corpus: Path, tmp_path: Path) -> None:
    out = shutil.copytree(corpus.parent, tmp_path / "corpus")
    (out / "recordings.parquet").unlink()
    (out / "corpus.json").write_text("{", encoding="utf-8")
    (out / "train" / "takes-00000.flac").write_bytes(b"half")
    assert read_manifest(make_corpus(out, size="tiny", quiet=True)).equals(read_manifest(corpus))
    assert read_audio("train/takes-00000.flac", out).any()


def test_another_seed_says_other_things_with_other_voices() -> None:
    one, other = list(tasks("tiny", 0)), list(tasks("tiny", 1))
    assert one == list(tasks("tiny", 0))
    assert {task.voice for task in one} & {task.voice for task in other} == {None}
    assert [task.text for task in one] != [task.text for task in other]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(CorpusError, match="something else"):
        make_corpus(tmp_path, size="tiny", quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_command(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", "--out", str(corpus.parent), "--size", "tiny"]) == 0
    assert capsys.readouterr().out.strip() == str(corpus)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert main(["corpus", "--out", "file"]) == 2
    assert main(["corpus", "--out", "new", "--seed", "-1"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
