from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_splits.audio import read_audio
from data_splits.corpora import CorpusError, Prepared

KIND = "librispeech"
Run = Callable[..., tuple[pl.DataFrame, Prepared]]


def test_every_train_utterance_gets_a_row(librispeech: Path, run: Run, tmp_path: Path) -> None:
    frame, prepared = run(KIND, librispeech, tmp_path / "out")
    assert frame["id"].to_list() == [
        "librispeech/103-1240-0000",
        "librispeech/103-1240-0001",
        "librispeech/1034-121119-0000",
        "librispeech/20-205-0000",
        "librispeech/20-205-0001",
    ]
    first = frame.row(1, named=True)
    assert first["text"] == "THAT HAD ITS SOURCE IN THE OLD O'NEIL PLACE"
    assert (first["speaker"], first["session"]) == ("ls-103", "ls-103-1240")
    assert (first["domain"], first["split"]) == ("general", "train")
    assert (first["source"], first["licence"]) == ("librispeech train-clean-100", "CC BY 4.0")
    assert first["gender"] == "female"
    assert first["sample_rate_hz"] == 16_000
    assert first["duration_s"] == pytest.approx(0.5)
    assert first["audio"].startswith("speech-00000.tar::")
    assert len(read_audio(first["audio"], tmp_path / "out")) == 8000
    assert frame["gender"].to_list() == ["female", "female", "male", "female", "female"]
    assert prepared.left_out == ["dev-clean"]
    assert prepared.speakers == 3


def test_a_text_says_which_wake_words_were_spoken(librispeech: Path, run: Run, tmp_path: Path) -> None:
    frame, _ = run(KIND, librispeech, tmp_path / "out")
    labels = frame["labels"].struct.unnest()
    assert labels["computer"].to_list() == [0, 0, 1, 0, 0]
    assert labels["smart mirror"].to_list() == [0] * 5


def test_held_out_sets_are_read_only_when_named(librispeech: Path, run: Run, tmp_path: Path) -> None:
    frame, _ = run(KIND, librispeech, tmp_path / "out", subsets=("dev-clean",), split="dev")
    assert frame.select("id", "split").rows() == [("librispeech/84-121123-0000", "dev")]
    for name in ("train-clean-100", "train-other-500"):
        for path in (librispeech / name).rglob("*"):
            if path.is_file():
                path.unlink()
    with pytest.raises(CorpusError, match="nothing but dev-clean.*--subset"):
        run(KIND, librispeech, tmp_path / "none")


def test_the_folder_above_will_do_and_others_are_refused(librispeech: Path, run: Run, tmp_path: Path) -> None:
    frame, _ = run(KIND, librispeech.parent, tmp_path / "out", limit=1)
    assert frame.height == 1
    with pytest.raises(CorpusError, match="name the folder LibriSpeech"):
        run(KIND, librispeech / "train-clean-100" / "103", tmp_path / "other")
    with pytest.raises(CorpusError, match="no subset 'train-clean-360'; found dev-clean, train-clean-100"):
        run(KIND, librispeech, tmp_path / "other", subsets=("train-clean-360",))
    with pytest.raises(CorpusError, match="absent: no such folder"):
        run(KIND, tmp_path / "absent", tmp_path / "other")


def test_a_recording_without_transcript_is_named(librispeech: Path, run: Run, tmp_path: Path) -> None:
    transcripts = librispeech / "train-clean-100/103/1240/103-1240.trans.txt"
    transcripts.write_text(transcripts.read_text().splitlines()[0])
    with pytest.raises(CorpusError, match=r"103-1240.trans.txt: no transcript of 103-1240-0001 \(1 in all\)"):
        run(KIND, librispeech, tmp_path / "out")
    transcripts.unlink()
    with pytest.raises(CorpusError, match=r"103-1240.trans.txt: no such file, but recordings lie beside it"):
        run(KIND, librispeech, tmp_path / "out2")


def test_a_transcript_without_recording_is_named_or_left_out(
    librispeech: Path, run: Run, tmp_path: Path
) -> None:
    (librispeech / "train-clean-100/103/1240/103-1240-0001.flac").unlink()
    with pytest.raises(
        CorpusError, match=r"1 transcripts without audio: .*line 2: .*103-1240-0001.*--skip-missing"
    ):
        run(KIND, librispeech, tmp_path / "out")
    frame, prepared = run(KIND, librispeech, tmp_path / "out2", skip_missing=True)
    assert frame.height == 4
    assert prepared.skipped == {"missing audio": ["librispeech/103-1240-0001"]}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("103-1240-0000 AGAIN", "line 3: 103-1240-0000 is there twice"),
        ("103-1241-0002 OTHER CHAPTER", "line 3: '103-1241-0002' is not 103-1240-NUMBER"),
        ("../../x TEXT", "line 3: '../../x' is not"),
    ],
)
def test_a_wrong_line_is_named(librispeech: Path, run: Run, tmp_path: Path, line: str, reason: str) -> None:
    transcripts = librispeech / "train-clean-100/103/1240/103-1240.trans.txt"
    transcripts.write_text(f"{transcripts.read_text()}{line}\n")
    with pytest.raises(CorpusError, match=reason):
        run(KIND, librispeech, tmp_path / "out")


def test_without_the_list_of_speakers_the_gender_is_unknown(
    librispeech: Path, run: Run, tmp_path: Path
) -> None:
    (librispeech / "SPEAKERS.TXT").unlink()
    frame, _ = run(KIND, librispeech, tmp_path / "out")
    assert frame["gender"].null_count() == frame.height
