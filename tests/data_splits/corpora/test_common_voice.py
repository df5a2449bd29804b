from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_splits.audio import read_audio
from data_splits.corpora import CorpusError, Prepared

KIND = "common-voice"
Run = Callable[..., tuple[pl.DataFrame, Prepared]]
COLUMNS = (
    "client_id",
    "path",
    "sentence_id",
    "sentence",
    "sentence_domain",
    "up_votes",
    "down_votes",
    "age",
    "gender",
    "accents",
    "variant",
    "locale",
    "segment",
)
CLIPS = {
    1: ("train", "a" * 128, "“It’s déjà vu,” she said.", "thirties", "female_feminine", "England English"),
    2: ("train", "b" * 128, '"An unclosed quote, and a comma', "", "", ""),
    3: ("dev", "c" * 128, "Hey Jarvis!", "", "", ""),
    4: ("test", "d" * 128, "Zażółć gęślą jaźń.", "", "", ""),
    5: ("validated", "d" * 128, "Another of a test speaker.", "", "", ""),
    6: ("validated", "e" * 128, "Of nobody held out.", "", "", ""),
}


def table(root: Path, subset: str, clips: list[int]) -> None:
    lines = ["\t".join(COLUMNS)]
    for clip in clips:
        _, speaker, text, age, gender, accents = CLIPS[clip]
        file = f"common_voice_en_{clip}.mp3"
        lines.append(
            "\t".join((speaker, file, "f00", text, "", "2", "0", age, gender, accents, "", "en", ""))
        )
    (root / f"{subset}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def common_voice(tmp_path: Path, write: Callable[..., Path]) -> Path:
    root = tmp_path / "cv-corpus-20.0" / "en"
    for clip in CLIPS:
        write(root / "clips" / f"common_voice_en_{clip}.mp3", rate_hz=32_000)
    for subset in ("train", "dev", "test"):
        table(root, subset, [clip for clip, row in CLIPS.items() if row[0] == subset])
    table(root, "validated", list(CLIPS))
    (root / "clip_durations.tsv").write_text("clip\tduration[ms]\n")
    return root


def test_the_train_set_is_read(common_voice: Path, run: Run, tmp_path: Path) -> None:
    frame, prepared = run(KIND, common_voice, tmp_path / "out")
    assert frame["id"].to_list() == ["common-voice/common_voice_en_1", "common-voice/common_voice_en_2"]
    assert frame["text"].to_list() == [CLIPS[1][2], CLIPS[2][2]]
    assert frame["speaker"].to_list() == ["a" * 128, "b" * 128]
    assert frame.select("accents", "age", "gender", "language").rows() == [
        ("England English", "thirties", "female_feminine", "en"),
        (None, None, None, "en"),
    ]
    assert frame["source"].unique().to_list() == ["common-voice en train"]
    assert frame["licence"].unique().to_list() == ["CC0-1.0"]
    assert frame["duration_s"][0] == pytest.approx(0.5, abs=0.1)
    assert prepared.left_out == ["dev", "test"]
    assert abs(read_audio(frame["audio"][0], tmp_path / "out")).max() > 5000


def test_validated_is_read_without_held_out_speakers(common_voice: Path, run: Run, tmp_path: Path) -> None:
    frame, _ = run(KIND, common_voice, tmp_path / "out", subsets=("validated",))
    assert [row_id[-1] for row_id in frame["id"]] == ["1", "2", "6"]
    frame, _ = run(KIND, common_voice, tmp_path / "test", subsets=("test",), split="test")
    assert frame["text"].to_list() == ["Zażółć gęślą jaźń."]


def test_the_release_folder_will_do_unless_it_holds_two_languages(
    common_voice: Path, run: Run, tmp_path: Path
) -> None:
    assert run(KIND, common_voice.parent, tmp_path / "out")[0].height == 2
    (common_voice.parent / "cy").mkdir()
    (common_voice.parent / "cy" / "train.tsv").write_text("client_id\tpath\tsentence\n")
    with pytest.raises(CorpusError, match=r"several languages \(cy, en\); name one"):
        run(KIND, common_voice.parent, tmp_path / "other")


def test_without_shards_rows_point_at_the_mp3_files(common_voice: Path, run: Run, tmp_path: Path) -> None:
    frame, _ = run(KIND, common_voice, tmp_path / "out", shards=False)
    assert frame["audio"][0] == str(common_voice / "clips" / "common_voice_en_1.mp3")
    assert frame["sample_rate_hz"].to_list() == [32_000, 32_000]
    assert len(read_audio(frame["audio"][0], "/")) == pytest.approx(frame["duration_s"][0] * 16_000, abs=2)
    assert not list((tmp_path / "out").glob("*.tar"))


def test_an_old_release_without_accents_and_suffixes_is_read(
    common_voice: Path, run: Run, tmp_path: Path
) -> None:
    (common_voice / "train.tsv").write_text(
        "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent\n"
        "abc\tcommon_voice_en_1\tHello\t2\t0\ttwenties\tmale\tus\n"
    )
    frame, _ = run(KIND, common_voice, tmp_path / "out")
    assert frame.select("id", "accents", "language").row(0) == ("common-voice/common_voice_en_1", "us", "en")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "client_id\tpath\tage\nx\ty.mp3\tz\n",
            r"train.tsv: missing column sentence; found client_id, path, age",
        ),
        ("", "train.tsv: missing column client_id, path, sentence; found nothing"),
        ("client_id\tpath\tsentence\na\tb.mp3\tc\td\n", "train.tsv: not a tab-separated table"),
        ("client_id\tpath\tsentence\n\tcommon_voice_en_1.mp3\tc\n", "train.tsv line 2: client_id is empty"),
        ("client_id\tpath\tsentence\na\t../../x.mp3\tc\n", "train.tsv line 2: audio .* lies outside"),
        ("client_id\tpath\tsentence\na\tgone.mp3\tc\n", "1 transcripts without audio: .*train.tsv line 2"),
        (
            "client_id\tpath\tsentence\na\tcommon_voice_en_1.mp3\tc\nb\tcommon_voice_en_1.mp3\td\n",
            "line 3: id 'common-voice/common_voice_en_1' is also in .*line 2",
        ),
        ("client_id\tpath\tsentence\na\tcommon_voice_en_1.mp3\t\n", "nothing to prepare: .*no text"),
    ],
)
def test_a_bad_table_is_named(common_voice: Path, run: Run, tmp_path: Path, text: str, reason: str) -> None:
    (common_voice / "train.tsv").write_text(text)
    with pytest.raises(CorpusError, match=reason):
        run(KIND, common_voice, tmp_path / "out")
