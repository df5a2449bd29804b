from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile

from data_splits import members
from data_splits.audio import pcm_sha256, read_audio
from data_splits.cli import main
from data_splits.codecs import encode_opus
from data_splits.manifest import read_manifest, write_manifest
from data_splits.members import load_index
from data_splits.shards import Shard, ShardError, is_whole, member_key, write_shard

RATE_HZ = 16_000


def sound(seed: int, seconds: float = 0.3) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ))
    return (noise * 800).astype(np.int16)


def row(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "domain": "general", "split": "train", "text": "hello", **more}


def items(count: int) -> list[tuple[dict[str, Any], np.ndarray]]:
    return [(row(f"u{i}", speaker=None, labels={"smart mirror": 0}), sound(i)) for i in range(count)]


def foreign(path: Path, names: dict[str, bytes], **how: Any) -> None:
    with tarfile.open(path, "w", **how) as tar:
        for name, data in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("codec", ["flac", "opus"])
def test_a_shard_holds_its_utterances_and_their_rows(tmp_path: Path, codec: str) -> None:
    frame = write_shard(tmp_path / "s.tar", items(3), codec=codec)
    assert frame["audio"].to_list() == [f"s.tar::u{i}.{codec}" for i in range(3)]
    assert "speaker" in frame.columns
    assert read_manifest(tmp_path / "s.parquet").equals(frame)
    for audio, seconds, digest in frame.select("audio", "duration_s", "pcm_sha256").iter_rows():
        samples = read_audio(audio, tmp_path)
        assert pcm_sha256(samples) == digest
        assert len(samples) == round(seconds * RATE_HZ) == int(0.3 * RATE_HZ)
    with tarfile.open(tmp_path / "s.tar") as tar:  # what any other reader of tars sees
        assert tar.getnames() == [f"u{i}.{suffix}" for i in range(3) for suffix in (codec, "json")]
        said = json.loads(tar.extractfile("u1.json").read())  # type: ignore[union-attr]
    assert said["text"] == "hello" and said["pcm_sha256"] == frame["pcm_sha256"][1]
    if codec == "flac":
        assert np.array_equal(read_audio("s.tar::u2.flac", tmp_path), sound(2))


@pytest.mark.parametrize("codec", ["flac", "opus"])
def test_the_same_utterances_give_the_same_bytes(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path / "a" / "s.tar", items(2), codec=codec)
    monkeypatch.setattr("time.time", lambda: 1e9)
    write_shard(tmp_path / "b" / "s.tar", items(2), codec=codec)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["s.index.npz", "s.parquet", "s.tar"]
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_opus_pages_keep_a_right_checksum() -> None:
    data = encode_opus(sound(0, 3.0))
    assert data[14:18] == bytes(4)
    whole = soundfile.read(io.BytesIO(data))[0]
    assert len(whole) == 3 * RATE_HZ and np.abs(whole).max() > 0.01
    # libogg drops pages whose checksum is wrong, so that decoding is the proof of a right one.
    damaged = bytearray(data)
    damaged[damaged.rfind(b"OggS", 0, damaged.rfind(b"OggS")) + 22] ^= 1
    with contextlib.suppress(soundfile.LibsndfileError):
        broken = soundfile.read(io.BytesIO(bytes(damaged)))[0]
        assert len(broken) < len(whole) or not np.array_equal(broken, whole)


def test_ids_become_names_that_any_tar_can_hold() -> None:
    assert member_key("synthetic-0001_a") == "synthetic-0001_a"
    odd = ["a/b", "a.b", "a b", "../a", "ü", "x" * 500, "a_b-"]
    keys = [member_key(name) for name in odd]
    assert len(set(keys)) == len(odd)
    assert all(key.isascii() and len(key) <= 80 and not set(key) & set("./\\ ") for key in keys)


def test_an_utterance_that_cannot_be_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    wrong = [
        ([(row("a"), sound(0)), (row("a"), sound(1))], "'a' is there twice"),
        ([(row("a"), np.zeros(0, np.int16))], "id 'a'.*n > 0"),
        ([(row("a"), np.zeros(5))], "float64"),
        ([], "no utterance"),
        ([({"id": None}, sound(0))], "id is None"),
    ]
    for given, message in wrong:
        with pytest.raises(ShardError, match=message):
            write_shard(tmp_path / "s.tar", given)
    with pytest.raises(ValueError, match="split 'other'"):
        write_shard(tmp_path / "s.tar", [(row("a") | {"split": "other"}, sound(0))])
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_maker_goes_through_and_the_older_shard_stays(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.tar", items(1))
    before = (tmp_path / "s.tar").read_bytes()

    def broken() -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        yield row("b"), sound(5)
        raise OSError("the synthesizer died")

    with pytest.raises(OSError, match="the synthesizer died"):
        write_shard(tmp_path / "s.tar", broken())
    assert (tmp_path / "s.tar").read_bytes() == before and is_whole(tmp_path / "s.tar")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_full_disk_leaves_no_half_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ShardError, match=r"s.tar: cannot be written: No space left.*free some space"):
        write_shard(tmp_path / "s.tar", items(2))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ShardError, match=r"x.tar: cannot be written: (Not a directory|File exists)"):
        write_shard(tmp_path / "file" / "x.tar", items(1))


def test_a_shard_without_its_manifest_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    assert not is_whole(path)
    write_shard(path, items(2))
    assert is_whole(path)
    (tmp_path / "s.parquet").rename(tmp_path / "elsewhere")
    assert not is_whole(path)
    (tmp_path / "elsewhere").rename(tmp_path / "s.parquet")
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(ShardError, match=r"s.tar: truncated"):
        is_whole(path)
    path.unlink()
    with pytest.raises(ShardError, match=r"s.tar: cannot be opened: No such file"):
        is_whole(path)


@pytest.mark.parametrize("keep", [0, 100, 512, 700, 9000, -1024, -10240])
def test_a_truncated_shard_is_noticed_when_it_is_opened(tmp_path: Path, keep: int) -> None:
    write_shard(tmp_path / "s.tar", items(2))
    whole = (tmp_path / "s.tar").read_bytes()
    (tmp_path / "s.tar").write_bytes(whole[:keep])
    if keep == -1024:  # only padding after the end mark is lost
        assert Shard(tmp_path / "s.tar").members
        return
    with pytest.raises(ShardError, match=r"s.tar: (truncated|not a tar)"):
        Shard(tmp_path / "s.tar")


def test_a_shard_cut_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.tar", items(3))
    shard = Shard(tmp_path / "s.tar")
    os.truncate(tmp_path / "s.tar", 9000)
    with pytest.raises(ShardError, match=r"s.tar: truncated: it ends inside 'u2.flac'"):
        shard.read("u2.flac")


def test_a_stale_index_is_not_believed(tmp_path: Path) -> None:
    """Of another length, of another tar of this length, and one that lies."""
    path = tmp_path / "s.tar"
    foreign(path, {"a.flac": b"a" * 600, "b.flac": b"b" * 600})
    shard = Shard(path)
    assert (tmp_path / "s.index.npz").exists() and shard.read("b.flac") == b"b" * 600
    foreign(path, {"a.flac": b"a" * 600, "b.flac": b"b" * 600, "c.flac": b"c" * 12_000})
    assert Shard(path).members == ("a.flac", "b.flac", "c.flac")
    foreign(path, {"b.flac": b"B" * 600, "c.flac": b"C" * 12_000, "a.flac": b"A" * 600})
    assert Shard(path).read("a.flac") == b"A" * 600
    size = path.stat().st_size
    for places in ({"a.flac": (512, 10**15)}, {"a.flac": (2**62, 2**62)}, {"a.flac": (-512, 5)}):
        (tmp_path / "s.index.npz").write_bytes(members.index_bytes(places, size))
        assert load_index(path, size) is None
        assert Shard(path).read("a.flac") == b"A" * 600
    for data in (b"", b"not a zip", b"PK\3\4"):
        (tmp_path / "s.index.npz").write_bytes(data)
        assert Shard(path).members == ("b.flac", "c.flac", "a.flac")


@pytest.mark.parametrize("how", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_others_are_read(tmp_path: Path, how: int) -> None:
    names = {"x/a.flac": b"1" * 700, "./b.wav": b"2", "d" * 60 + "/" + "e" * 90 + ".flac": b"3" * 512}
    if how != tarfile.USTAR_FORMAT:
        names |= {"long/" * 40 + "ö.flac": b"4" * 513}
    foreign(tmp_path / "s.tar", names | {"empty.flac": b""}, format=how)
    for _ in range(2):  # scanned, then by the index
        shard = Shard(tmp_path / "s.tar")
        assert shard.members == (*names, "empty.flac")
        assert {name: shard.read(name) for name in names} == names


def test_what_is_not_a_plain_file_is_passed_over(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    with tarfile.open(tmp_path / "s.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo(f"member-{kind.decode()}")
            info.type, info.linkname = kind, str(secret)
            tar.addfile(info)
        info = tarfile.TarInfo("../../a.flac")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    assert Shard(tmp_path / "s.tar").members == ("../../a.flac",)  # a name, never a path
    with pytest.raises(ValueError, match="stays inside its tar"):
        read_audio("s.tar::../../a.flac", tmp_path)
    with pytest.raises(ShardError, match="has no member 'member-2'"):
        read_audio("s.tar::member-2", tmp_path)
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(ShardError, match=r"pipe.tar: not a file"):
        Shard(tmp_path / "pipe.tar")


def test_hostile_headers_are_refused_without_reading_much(tmp_path: Path) -> None:
    def header(name: str, size: int, kind: bytes) -> bytes:
        info = tarfile.TarInfo(name)
        info.size, info.type = size, kind
        return info.tobuf(tarfile.GNU_FORMAT)

    def pax(text: bytes) -> bytes:
        return header("pax", len(text), b"x") + text + bytes(-len(text) % 512) + header("a", 1, b"0")

    end = bytes(10_240)
    hostile = {
        "ends at byte": header("a", 2**40, b"0") + end,
        "extended header": header("a", 2**23, b"L") + bytes(2**23) + end,
        "ends at": header("a", 2**30, b"x") + end,
        "not a number": pax(b"30 size=" + b"9" * 21 + b"\n") + end,
        "not a tar": b"\x1f\x8b" + bytes(600) + end,
        "without an end mark": header("a", 0, b"0"),
        "damaged at byte 512": header("a", 0, b"0") + b"x" * 512 + end,
    }
    for message, data in hostile.items():
        (tmp_path / "s.tar").write_bytes(data)
        with pytest.raises(ShardError, match=f"s.tar: .*{message}"):
            Shard(tmp_path / "s.tar")
    for text in (b"9" * 30 + b" path=b\n", b"0 path=b\n", b"x path=b\n", b"12 path=b\0c\n"):
        (tmp_path / "s.tar").write_bytes(pax(text) + bytes(512) + end)
        assert set(Shard(tmp_path / "s.tar").members) <= {"a"}


def test_reading_is_bounded(tmp_path: Path) -> None:
    foreign(tmp_path / "s.tar", {"a.flac": bytes(5000)})
    with pytest.raises(ShardError, match="5000 bytes, more than the 100 allowed"):
        Shard(tmp_path / "s.tar").read("a.flac", max_bytes=100)


def test_threads_and_forked_processes_share_an_open_shard(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.tar", items(20))
    wanted = {f"u{i}.flac": sound(i) for i in range(20)}
    wrong: list[str] = []

    def check(seed: int) -> None:
        for name in np.random.default_rng(seed).permutation(np.array(list(wanted))).tolist():
            if not np.array_equal(read_audio(f"s.tar::{name}", tmp_path), wanted[name]):
                wrong.append(name)

    check(0)
    child = os.fork()
    if child == 0:
        check(1)
        os._exit(len(wrong))
    threads = [threading.Thread(target=check, args=(seed,)) for seed in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert wrong == []


def test_shards_in_use_are_closed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shard(tmp_path / "s0.tar", items(1))
    for number in range(1, members.OPEN_SHARDS + 20):
        for end in ("tar", "index.npz"):
            os.link(tmp_path / f"s0.{end}", tmp_path / f"s{number}.{end}")
    for number in range(members.OPEN_SHARDS + 20):
        read_audio(f"s{number}.tar::u0.flac", tmp_path)
    held = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    assert sum(str(tmp_path) in target for target in held) <= members.OPEN_SHARDS


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A manifest of five recordings, one of them at another rate."""
    rows = []
    for number in range(5):
        rate = 8000 if number == 3 else RATE_HZ
        soundfile.write(tmp_path / f"a{number}.wav", sound(number, 0.5), rate)
        rows.append(
            row(f"r/{number}", audio=f"a{number}.wav", duration_s=0.5, noise_kind=None, snr_db=None)
            | {"labels": {"smart mirror": None, "alexa": 0}, "licence": "CC0" if number == 4 else None}
        )
    write_manifest(pl.DataFrame(rows, infer_schema_length=None), tmp_path / "source.parquet")
    return tmp_path / "source.parquet"


def test_the_command_shards_a_manifest(source: Path, tmp_path: Path) -> None:
    assert main(["shard", str(source), "--out", str(tmp_path / "out"), "--per-shard", "2"]) == 0
    made = read_manifest(tmp_path / "out" / "manifest.parquet")
    before = read_manifest(source)
    assert made["id"].to_list() == before["id"].to_list()
    assert made["audio"][4].startswith("source-00002.tar::")
    same = ["text", "split", "labels", "licence", "noise_kind"]
    assert made.select(same).equals(before.select(same))
    for old, new in zip(before["audio"], made["audio"], strict=True):
        assert np.array_equal(read_audio(old, tmp_path), read_audio(new, tmp_path / "out"))
    assert made["duration_s"].to_list() == [0.5, 0.5, 0.5, 1.0, 0.5]
    # Its shards are a manifest of their own, so sharding can be done again.
    again = ["shard", str(tmp_path / "out" / "manifest.parquet"), "--out", str(tmp_path / "twice")]
    assert main([*again, "--codec", "opus"]) == 0


def test_the_command_goes_on_where_it_was_stopped(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["shard", str(source), "--out", str(tmp_path / "out"), "--per-shard", "2"]
    assert main(command) == 0
    kept = tmp_path / "out" / "source-00000.tar"
    stamp, digest = kept.stat().st_mtime_ns, (tmp_path / "out" / "source-00001.tar").read_bytes()
    (tmp_path / "out" / "source-00001.parquet").unlink()
    (tmp_path / "out" / "source-00001.tar").write_bytes(b"half")
    (tmp_path / "out" / "source-00002.tar").write_bytes(b"damaged")
    capsys.readouterr()
    assert main(command) == 0
    assert kept.stat().st_mtime_ns == stamp
    assert (tmp_path / "out" / "source-00001.tar").read_bytes() == digest
    said = capsys.readouterr().err
    assert "source-00002.tar: truncated" in said and "it is written again" in said
    assert "1 of them were there" in said


def test_other_options_or_rows_are_refused_by_name(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["shard", str(source), "--out", str(tmp_path / "out")]
    assert main([*command, "--per-shard", "2"]) == 0
    assert main([*command, "--per-shard", "3", "--codec", "opus"]) == 2
    assert "per_shard: 2 → 3; codec: 'flac' → 'opus'" in capsys.readouterr().err
    write_manifest(read_manifest(source).head(4), source)
    assert main([*command, "--per-shard", "2"]) == 2
    error = capsys.readouterr().err
    assert "manifest_sha256: " in error and "rows: 5 → 4" in error and "--out" in error
    assert main(["shard", str(source), "--out", str(tmp_path), "--per-shard", "0"]) == 2
    source.rename(tmp_path / "manifest.parquet")
    assert main(["shard", str(tmp_path / "manifest.parquet"), "--out", str(tmp_path)]) == 2
    assert "would be overwritten" in capsys.readouterr().err


def test_a_recording_that_cannot_be_read_is_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a3.wav").write_bytes(b"")
    assert main(["shard", str(source), "--out", str(tmp_path / "out"), "--per-shard", "2"]) == 2
    assert "id 'r/3': a3.wav: the file is empty" in capsys.readouterr().err
    whole = {"source-00000.tar", "source-00002.tar"}
    assert {p.name for p in (tmp_path / "out").glob("*.tar")} <= whole
    assert not list((tmp_path / "out").glob(".*"))
    frame = read_manifest(source).with_columns(pl.lit("0" * 64).alias("pcm_sha256"))
    write_manifest(frame, source)
    assert main(["shard", str(source), "--out", str(tmp_path / "other")]) == 2
    assert "id 'r/0': a0.wav does not hold" in capsys.readouterr().err
