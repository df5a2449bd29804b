from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from data_splits.audio import pcm_sha256, read_audio
from data_splits.corpora import CorpusError, Prepared, writing
from data_splits.shards import Shard
from data_splits.sources import join_sources

KIND = "librispeech"
Run = Callable[..., tuple[pl.DataFrame, Prepared]]


def content(folder: Path) -> dict[str, bytes]:
    """Name and content of everything that was made."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


def test_shards_hold_what_the_manifest_says(librispeech: Path, run: Run, tmp_path: Path) -> None:
    frame, _ = run(KIND, librispeech, tmp_path / "out", per_shard=2)
    tars = [audio.partition("::")[0] for audio in frame["audio"]]
    assert tars == [f"speech-0000{number}.tar" for number in (0, 0, 1, 1, 2)]
    for audio, digest in frame.select("audio", "pcm_sha256").iter_rows():
        assert pcm_sha256(read_audio(audio, tmp_path / "out")) == digest
    assert len(Shard(tmp_path / "out" / "speech-00001.tar").members) == 4
    # FLAC to FLAC loses nothing.
    source = read_audio("train-other-500/20/205/20-205-0001.flac", librispeech)
    assert np.array_equal(read_audio(frame["audio"][4], tmp_path / "out"), source)


def test_a_stopped_run_goes_on_and_comes_out_the_same(
    librispeech: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(KIND, librispeech, tmp_path / "whole", per_shard=2)
    write, written = writing.write_shard, []

    def stop_at_the_third(path: Path, items: object, **options: object) -> pl.DataFrame:
        written.append(path.name)
        if len(written) == 3:
            raise KeyboardInterrupt
        return write(path, items, **options)

    monkeypatch.setattr(writing, "write_shard", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(KIND, librispeech, tmp_path / "out", per_shard=2)
    assert not (tmp_path / "out" / "recordings.parquet").exists()
    run(KIND, librispeech, tmp_path / "out", per_shard=2)
    assert written == [f"speech-0000{number}.tar" for number in (0, 1, 2, 2)]
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_shard_that_was_damaged_is_made_again(librispeech: Path, run: Run, tmp_path: Path) -> None:
    run(KIND, librispeech, tmp_path / "out", per_shard=2)
    before = content(tmp_path / "out")
    tar = tmp_path / "out" / "speech-00001.tar"
    tar.write_bytes(tar.read_bytes()[:1000])
    (tmp_path / "out" / "speech-00002.parquet").unlink()
    run(KIND, librispeech, tmp_path / "out", per_shard=2)
    assert content(tmp_path / "out") == before


@pytest.mark.slow
def test_two_processes_make_the_same_shards_as_one(librispeech: Path, run: Run, tmp_path: Path) -> None:
    run(KIND, librispeech, tmp_path / "one", per_shard=1)
    run(KIND, librispeech, tmp_path / "two", per_shard=1, jobs=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_what_cannot_be_used_is_counted_and_named(
    librispeech: Path, run: Run, tmp_path: Path, write: Callable[..., Path]
) -> None:
    chapter = librispeech / "train-clean-100" / "103" / "1240"
    texts = "".join(f"103-1240-000{number} WORD\n" for number in range(2, 8))
    (chapter / "103-1240.trans.txt").write_text(texts)
    for old in chapter.glob("*.flac"):
        old.unlink()
    write(chapter / "103-1240-0002.flac", seconds=0)
    (chapter / "103-1240-0003.flac").touch()
    write(chapter / "103-1240-0004.flac", seconds=0.05)
    soundfile.write(chapter / "103-1240-0005.flac", np.zeros(3600 * 8000, dtype=np.int16), 8000)
    (chapter / "103-1240-0006.flac").write_bytes(b"fLaC" + b"\0" * 100)
    whole = write(chapter / "103-1240-0007.flac", seconds=5, rate_hz=16_000).read_bytes()
    (chapter / "103-1240-0007.flac").write_bytes(whole[: len(whole) // 2])
    frame, prepared = run(KIND, librispeech, tmp_path / "out", per_shard=2)
    assert frame.height == 3
    stem = "librispeech/103-1240-000"
    assert {reason: [key.removeprefix(stem) for key in ids] for reason, ids in prepared.skipped.items()} == {
        "empty": ["2", "3"],
        "shorter than 0.1 s": ["4"],
        "longer than 60 s": ["5"],
        "damaged": ["6", "7"],
    }
    listed = [json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()]
    assert "103-1240-0006.flac" in listed[4]["reason"]
    # A second run knows them still, and lists none of them twice.
    again, _ = run(KIND, librispeech, tmp_path / "out", per_shard=2)
    assert again.equals(frame)
    assert len((tmp_path / "out" / "skipped.jsonl").read_text().splitlines()) == 6
    with pytest.raises(
        CorpusError, match="nothing could be used; the first, librispeech/103-1240-0002: empty"
    ):
        run(KIND, librispeech, tmp_path / "none", limit=6)
    with pytest.raises(
        CorpusError, match="nothing could be used; the first, librispeech/103-1240-0002: empty"
    ):
        run(KIND, librispeech, tmp_path / "files", limit=4, shards=False)


def test_a_changed_wish_is_refused_and_the_difference_shown(
    librispeech: Path, run: Run, tmp_path: Path
) -> None:
    run(KIND, librispeech, tmp_path / "out", limit=2)
    with pytest.raises(
        CorpusError, match="was begun with limit 2, now None; split 'train', now 'dev'|limit 2"
    ):
        run(KIND, librispeech, tmp_path / "out", split="dev")
    with pytest.raises(CorpusError, match="per_shard 1000, now 7; give another --out"):
        run(KIND, librispeech, tmp_path / "out", limit=2, per_shard=7)


def test_a_changed_corpus_is_refused(librispeech: Path, run: Run, tmp_path: Path) -> None:
    run(KIND, librispeech, tmp_path / "out")
    chapter = librispeech / "train-clean-100" / "103" / "1240"
    (chapter / "103-1240-0000.flac").rename(chapter / "103-1240-0009.flac")
    (chapter / "103-1240.trans.txt").write_text("103-1240-0001 A\n103-1240-0009 B\n")
    with pytest.raises(
        CorpusError, match="holds 'librispeech/103-1240-0000', which the corpus no longer has"
    ):
        run(KIND, librispeech, tmp_path / "out")


def test_a_folder_with_something_else_and_a_second_run_are_refused(
    librispeech: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(CorpusError, match="full: holds something else"):
        run(KIND, librispeech, tmp_path / "full")
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CorpusError, match="out: another run is writing here"):
            run(KIND, librispeech, tmp_path / "out")
    assert run(KIND, librispeech, tmp_path / "out")[0].height == 5


def test_two_prepared_corpora_are_sources_of_one_plan(librispeech: Path, run: Run, tmp_path: Path) -> None:
    shards, _ = run(KIND, librispeech, tmp_path / "a" / "out")
    files, _ = run(KIND, librispeech, tmp_path / "b", subsets=("dev-clean",), split="test", shards=False)
    joined, _ = join_sources(
        [tmp_path / "a" / "out" / "recordings.parquet", tmp_path / "b" / "recordings.parquet"], tmp_path
    )
    assert joined.height == shards.height + files.height
    for audio in joined["audio"]:
        assert len(read_audio(audio, tmp_path))


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"split": "validation"}, "split 'validation': one of train"),
        ({"limit": 0}, "limit 0: at least 1"),
        ({"per_shard": 0}, "per_shard 0: at least 1"),
        ({"jobs": 0}, "jobs 0: at least 1"),
        ({"max_s": 3600}, "max_s 3600: seconds"),
    ],
)
def test_a_wrong_wish_is_refused(
    librispeech: Path, run: Run, tmp_path: Path, wish: dict[str, object], reason: str
) -> None:
    with pytest.raises(CorpusError, match=reason):
        run(KIND, librispeech, tmp_path / "out", **wish)
