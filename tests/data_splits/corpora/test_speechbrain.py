from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_splits.audio import read_audio
from data_splits.corpora import CorpusError, Prepared

KIND = "speechbrain"
Run = Callable[..., tuple[pl.DataFrame, Prepared]]
HEADER = "ID,duration,wav,spk_id,wrd\n"


@pytest.fixture
def timit(tmp_path: Path, write: Callable[..., Path]) -> Path:
    root = tmp_path / "timit"
    write(root / "wavs" / "a.wav", seconds=1.0)
    write(root / "wavs" / "b.wav", seconds=0.5, rate_hz=8000)
    (root / "train.csv").write_text(
        HEADER
        + 'fa, 1.0, $data_root/wavs/a.wav, 7, "WELL, DON\'T ASK"\n'
        + f"fb,0.5,{root}/wavs/b.wav,8,THE JARVIS FILE\n"
    )
    (root / "valid.csv").write_text(HEADER + "fc,1.0,$data_root/wavs/a.wav,9,OH\n")
    (root / "hyperparams.json").write_text('{"lr": 1.0, "sizes": {"a": 1}}')
    return root


def test_csv_rows_with_placeholders_and_quotes(timit: Path, run: Run, tmp_path: Path) -> None:
    frame, prepared = run(KIND, timit, tmp_path / "out", licence="LDC")
    assert frame.select("id", "text", "speaker", "source", "licence").rows() == [
        ("timit/fa", "WELL, DON'T ASK", "timit-7", "timit train", "LDC"),
        ("timit/fb", "THE JARVIS FILE", "timit-8", "timit train", "LDC"),
    ]
    assert [len(read_audio(audio, tmp_path / "out")) for audio in frame["audio"]] == [16_000, 8_000]
    assert prepared.left_out == ["valid"]
    assert prepared.subsets == ["train"]


def test_json_rows_and_parts_of_recordings(timit: Path, run: Run, tmp_path: Path) -> None:
    (timit / "train.csv").unlink()
    rows = {
        "x": {"wav": "{data_root}/wavs/a.wav", "spk_id": 3, "words": "ÜBER ALL"},
        "y": {"wav": {"file": "{data_root}/wavs/a.wav", "start": 4000, "stop": 12000}, "words": "A PART"},
        "z": {"wav": {"file": "{data_root}/wavs/b.wav", "start": 2000, "stop": 2000}, "words": "THE REST"},
        "e": {"wav": "{data_root}/wavs/b.wav", "words": " "},
    }
    (timit / "train.json").write_text(json.dumps(rows))
    frame, prepared = run(KIND, timit, tmp_path / "out", name="corpus")
    assert frame["id"].to_list() == ["corpus/x", "corpus/y", "corpus/z"]
    assert frame["duration_s"].to_list() == [1.0, 0.5, 0.25]
    assert frame["speaker"].to_list() == ["corpus-3", None, None]
    whole = read_audio("wavs/a.wav", timit)
    assert np.array_equal(read_audio(frame["audio"][1], tmp_path / "out"), whole[4000:12000])
    assert prepared.skipped == {"no text": ["corpus/e"]}
    with pytest.raises(CorpusError, match="'corpus/y' is a part of .*only shards can hold it"):
        run(KIND, timit, tmp_path / "files", name="corpus", shards=False)


def test_the_recordings_may_lie_elsewhere_when_their_folder_is_named(
    timit: Path, run: Run, tmp_path: Path
) -> None:
    (timit / "wavs").rename(tmp_path / "wavs")
    with pytest.raises(CorpusError, match="transcripts without audio"):
        run(KIND, timit, tmp_path / "out")
    (timit / "train.csv").write_text(HEADER + "fa,1,$data_root/wavs/a.wav,7,HI\n")
    frame, _ = run(KIND, timit, tmp_path / "out", audio_root=tmp_path)
    assert frame.height == 1
    with pytest.raises(CorpusError, match="nowhere: no such folder; --audio-root"):
        run(KIND, timit, tmp_path / "out", audio_root=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,wav,wrd\na,$data_root/wavs/a.wav,HI\n", "train.csv: missing column ID; found id, wav, wrd"),
        ("ID,wav\na,$data_root/wavs/a.wav\n", "line 2: missing column wrd or words .*found ID, wav"),
        ("ID,wrd\na,HI\n", "line 2: missing column wav or"),
        (HEADER + "a,1,$data_root/wavs/a.wav,7,WELL, NO\n", "line 2: not as many values"),
        (HEADER + "a,1,$data_root/wavs/a.wav\n", "line 2: not as many values"),
        (HEADER + "a,1,/etc/passwd,7,HI\n", "line 2: audio '/etc/passwd' lies outside"),
        (HEADER + "a,1,$data_root/../../x.wav,7,HI\n", "line 2: audio .* lies outside"),
        (HEADER + "a,1,$data_root/$x/a.wav,7,HI\n", "line 2: .* placeholder in its middle"),
        (HEADER + "a,1,$data_root/wavs/a.wav::b,7,HI\n", "line 2: audio .* is not a path"),
        (HEADER + ",1,$data_root/wavs/a.wav,7,HI\n", "line 2: ID is empty"),
        (HEADER + 2 * "a,1,$data_root/wavs/a.wav,7,HI\n", "line 3: id 'timit/a' is also in .* line 2"),
        ("ID,wav,start,stop,wrd\na,$data_root/wavs/a.wav,9,3,HI\n", "line 2: start 9 and stop 3"),
        ("ID,wav,start,stop,wrd\na,$data_root/wavs/a.wav,x,3,HI\n", "line 2: start 'x' .* not numbers"),
    ],
)
def test_a_bad_table_is_named(timit: Path, run: Run, tmp_path: Path, text: str, reason: str) -> None:
    (timit / "train.csv").write_text(text)
    with pytest.raises(CorpusError, match=reason):
        run(KIND, timit, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": {"wav": "w.wav", "words": "HI"', r"train.json: not JSON"),
        ('{"a": {"wav": ["w.wav"], "words": "HI"}}', "id a: audio .* names no single file"),
        ('{"a": {"wav": "a.wav", "words": "x"}, "b": 1}', "'b' is not the id of an object"),
    ],
)
def test_a_bad_json_is_named(timit: Path, run: Run, tmp_path: Path, text: str, reason: str) -> None:
    (timit / "train.csv").unlink()
    (timit / "train.json").write_text(text)
    with pytest.raises(CorpusError, match=reason):
        run(KIND, timit, tmp_path / "out")


def test_a_folder_without_manifests_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.json").write_text('{"a": 1}')
    with pytest.raises(CorpusError, match="x: holds no .csv or .json manifest"):
        run(KIND, tmp_path / "x", tmp_path / "out")
