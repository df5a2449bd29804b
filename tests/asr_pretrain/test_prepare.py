from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from asr_pretrain.cli import main


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    chapter = tmp_path / "LibriSpeech" / "train-clean-100" / "103" / "1240"
    chapter.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(3):
        soundfile.write(chapter / f"103-1240-000{number}.flac", 0.1 * rng.standard_normal(8000), 16_000)
    soundfile.write(chapter / "103-1240-0003.flac", np.zeros(0), 16_000)
    lines = "".join(f"103-1240-000{number} IT ISN'T FAR\n" for number in range(4))
    (chapter / "103-1240.trans.txt").write_text(lines)
    (tmp_path / "LibriSpeech" / "test-clean" / "1" / "2").mkdir(parents=True)
    (tmp_path / "LibriSpeech" / "test-clean" / "1" / "2" / "1-2.trans.txt").touch()
    return tmp_path / "LibriSpeech"


def test_the_command_prints_the_manifest_and_what_it_left_out(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["prepare", "librispeech", str(corpus), "--out", str(out), "--jobs", "1"]) == 0
    output = capsys.readouterr()
    assert output.out == f"{out / 'recordings.parquet'}\n"
    assert "3 utterances, 0.00 h, 1 speakers of train-clean-100" in output.err
    assert "held out and not read: test-clean" in output.err
    assert "warning: 1 skipped, empty: librispeech/103-1240-0003" in output.err
    frame = pl.read_parquet(out / "recordings.parquet")
    assert frame["text"].to_list() == ["IT ISN'T FAR"] * 3
    assert main(["prepare", "librispeech", str(corpus), "--out", str(out), "--jobs", "1"]) == 0


def test_options_reach_the_manifest(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = "--no-shards --subset train-clean-100 --split train_dev --limit 2 --licence mine --max-s 5"
    assert main(["prepare", "librispeech", str(corpus), "--out", str(out), *words.split()]) == 0
    frame = pl.read_parquet(out / "recordings.parquet")
    assert frame.select("split", "licence").unique().rows() == [("train_dev", "mine")]
    assert frame.height == 2
    assert frame["audio"][0].startswith(str(corpus))


def test_unusable_input_is_exit_code_2(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (corpus / "train-clean-100" / "103" / "1240" / "103-1240-0001.flac").unlink()
    assert main(["prepare", "librispeech", str(corpus), "--out", str(tmp_path / "out")]) == 2
    assert "error: 1 transcripts without audio" in capsys.readouterr().err
