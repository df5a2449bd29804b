from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_splits.audio import read_audio
from data_splits.corpora import CorpusError, Prepared

KIND = "lhotse"
Run = Callable[..., tuple[pl.DataFrame, Prepared]]


def recording(key: str, path: str, duration: float = 2.0, channels: tuple[int, ...] = (0,)) -> dict[str, Any]:
    return {
        "id": key,
        "sources": [{"type": "file", "channels": list(channels), "source": path}],
        "sampling_rate": 16000,
        "num_samples": round(16000 * duration),
        "duration": duration,
        "channel_ids": list(channels),
    }


def supervision(
    key: str, of: str, start: float, duration: float, text: str | None, **more: Any
) -> dict[str, Any]:
    return {
        "id": key,
        "recording_id": of,
        "start": start,
        "duration": duration,
        "channel": 0,
        "text": text,
        **more,
    }


def cut(
    key: str, start: float, duration: float, supervisions: list[dict[str, Any]], of: Any
) -> dict[str, Any]:
    return {
        "id": key,
        "start": start,
        "duration": duration,
        "channel": 0,
        "supervisions": supervisions,
        "recording": of,
        "type": "MonoCut",
    }


def lines(path: Path, *rows: dict[str, Any]) -> None:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def manifests(tmp_path: Path, write: Callable[..., Path]) -> Path:
    """`manifests/` beside `download/`, as icefall has them."""
    write(tmp_path / "download" / "a.flac", seconds=2.0)
    write(tmp_path / "download" / "b.wav", seconds=2.0, channels=2)
    folder = tmp_path / "manifests"
    lines(
        folder / "yesno_recordings_train.jsonl.gz",
        recording("a", "download/a.flac"),
        recording("b", str(tmp_path / "download" / "b.wav"), channels=(0, 1)),
    )
    lines(
        folder / "yesno_supervisions_train.jsonl.gz",
        supervision("a-1", "a", 0, 2.0, "Ne,  לא", speaker="s1", language="he", gender="F"),
        supervision("b-1", "b", 0.5, 1.0, "second channel", speaker="s2") | {"channel": 1},
        supervision("b-2", "b", 0.0, 0.5, None),
    )
    for kind in ("recordings", "supervisions"):
        lines(folder / f"yesno_{kind}_test.jsonl.gz")
    return folder


def test_recordings_and_supervisions(manifests: Path, run: Run, tmp_path: Path) -> None:
    frame, prepared = run(KIND, manifests, tmp_path / "out", audio_root=tmp_path)
    assert frame.select("id", "text", "speaker", "session", "language", "gender").rows() == [
        ("yesno/a-1", "Ne, לא", "yesno-s1", "yesno-a", "he", "F"),
        ("yesno/b-1", "second channel", "yesno-s2", "yesno-b", None, None),
    ]
    assert frame["source"].unique().to_list() == ["yesno train"]
    assert prepared.skipped == {"no text": ["yesno/b-2"]}
    assert prepared.left_out == ["test"]
    heard = read_audio(frame["audio"][1], tmp_path / "out").astype(float)
    assert len(heard) == 16_000
    # The second channel of the fixture's tone is an octave up.
    assert np.abs(np.fft.rfft(heard)).argmax() == 880


def test_audio_outside_the_named_folder_is_refused(manifests: Path, run: Run, tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match="recordings_train.jsonl.gz line 2: audio .* lies outside .*--audio-root"
    ):
        run(KIND, manifests, tmp_path / "out")


def test_cuts_are_cut_from_long_recordings(manifests: Path, run: Run, tmp_path: Path) -> None:
    of = recording("a", "download/a.flac")
    lines(
        manifests / "cuts_train-more.jsonl",
        cut("c1", 0.5, 1.0, [supervision("s1", "a", 0.25, 0.5, "INSIDE")], of),
        cut("c2", 0.5, 1.0, [supervision("s2", "a", -0.5, 1.0, "PARTLY")], of),
        cut(
            "c3", 0, 2.0, [supervision("s3", "a", 0, 2, "FASTER")], {**of, "transforms": [{"name": "Speed"}]}
        ),
        {"id": "m1", "type": "MixedCut", "tracks": []},
        {**cut("c4", 0, 1.0, [], of), "recording": None, "features": {}},
    )
    frame, prepared = run(
        KIND, manifests, tmp_path / "out", subsets=("train-more",), name="x", audio_root=tmp_path
    )
    assert frame.select("id", "text", "duration_s").rows() == [("x/s1", "INSIDE", 0.5)]
    whole = read_audio("download/a.flac", tmp_path)
    heard = read_audio(frame["audio"][0], tmp_path / "out")
    assert np.abs(heard.astype(int) - whole[12_000:20_000]).max() <= 1
    assert prepared.skipped == {
        "only partly in its cut": ["x/s2"],
        "a copy with transforms, such as another speed": ["x/s3"],
        "a MixedCut, not a plain cut": ["x/m1"],
        "a cut without recording": ["x/c4"],
    }


def test_recordings_are_preferred_to_cuts(manifests: Path, run: Run, tmp_path: Path) -> None:
    lines(manifests / "yesno_cuts_train.jsonl.gz", {"id": "never read"})
    frame, _ = run(KIND, manifests, tmp_path / "out", audio_root=tmp_path)
    assert frame.height == 2


def shar(folder: Path, write: Callable[..., Path], member: str = "c1.flac") -> None:
    placeholder = recording("a", "") | {"sources": [{"type": "shar", "channels": [0], "source": ""}]}
    lines(
        folder / "cuts.000000.jsonl.gz",
        cut("c1", 0, 2.0, [supervision("s1", "a", 0, 2.0, "IN A SHAR")], placeholder),
    )
    audio = write(folder / "c1.flac", seconds=2.0)
    with tarfile.open(folder / "recording.000000.tar", "w") as tar:
        for name, data in ((member, audio.read_bytes()), (f"{member.split('.')[0]}.json", b"{}\n")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    audio.unlink()


@pytest.mark.parametrize("inner", [".", "train"])
def test_a_shar_folder(tmp_path: Path, write: Callable[..., Path], run: Run, inner: str) -> None:
    shar(tmp_path / "shar" / inner, write)
    frame, _ = run(KIND, tmp_path / "shar", tmp_path / "out")
    assert frame.select("id", "text", "duration_s").rows() == [("shar/s1", "IN A SHAR", 2.0)]
    assert len(read_audio(frame["audio"][0], tmp_path / "out")) == 32_000
    pointing, _ = run(KIND, tmp_path / "shar", tmp_path / "files", shards=False)
    assert pointing["audio"][0].endswith("recording.000000.tar::c1.flac")


def test_a_shar_without_the_audio_of_a_cut_is_named(
    tmp_path: Path, write: Callable[..., Path], run: Run
) -> None:
    shar(tmp_path / "shar", write, member="other.flac")
    with pytest.raises(CorpusError, match="cuts.000000.jsonl.gz line 1: no audio of cut 'c1'"):
        run(KIND, tmp_path / "shar", tmp_path / "out")
    tar = tmp_path / "shar" / "recording.000000.tar"
    tar.write_bytes(tar.read_bytes()[:700])
    with pytest.raises(CorpusError, match="recording.000000.tar: truncated"):
        run(KIND, tmp_path / "shar", tmp_path / "out")
    tar.unlink()
    with pytest.raises(CorpusError, match="recording.000000.tar: cannot be opened"):
        run(KIND, tmp_path / "shar", tmp_path / "out")


def source(kind: str) -> dict[str, Any]:
    return {**recording("a", "x"), "sources": [{"type": kind, "channels": [0], "source": "touch /tmp/never"}]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (source("command"), "line 1: source of type 'command': only files are read"),
        (source("url"), "line 1: source of type 'url'"),
        ({**recording("a", "download/a.flac"), "duration": "2"}, "line 1: duration '2' is not a number"),
        ({**recording("a", "download/a.flac"), "sources": []}, "line 1: no 'sources'|has no sources"),
        (recording("other", "download/a.flac"), "supervisions_bad.jsonl line 1: recording_id 'a' is not in"),
        (recording("a", "download/a.flac", channels=(3,)), r"'s' is in channel 0, its recording has \[3\]"),
        (recording("a", "download/gone.flac"), "1 transcripts without audio: .*gone.flac"),
    ],
)
def test_a_bad_recording_is_named(
    manifests: Path, run: Run, tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    lines(manifests / "recordings_bad.jsonl", row)
    lines(manifests / "supervisions_bad.jsonl", supervision("s", "a", 0, 2, "HI"))
    with pytest.raises(CorpusError, match=reason):
        run(KIND, manifests, tmp_path / "out", subsets=("bad",), audio_root=tmp_path)


def test_a_truncated_gzip_and_a_broken_line_are_named(manifests: Path, run: Run, tmp_path: Path) -> None:
    path = manifests / "yesno_supervisions_train.jsonl.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-12])
    with pytest.raises(CorpusError, match="supervisions_train.jsonl.gz: damaged or truncated after line"):
        run(KIND, manifests, tmp_path / "out", audio_root=tmp_path)
    path.write_bytes(whole[:10] + b"garbage" + whole[17:])
    with pytest.raises(CorpusError, match="supervisions_train.jsonl.gz: damaged or truncated"):
        run(KIND, manifests, tmp_path / "out", audio_root=tmp_path)
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-9]))
    with pytest.raises(CorpusError, match="supervisions_train.jsonl.gz line 3: not JSON"):
        run(KIND, manifests, tmp_path / "out", audio_root=tmp_path)
