"""Whatever file is given as a manifest: one sentence that names it, exit status 2, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_splits.cli import main
from data_splits.manifest import ManifestError, read_manifest, write_manifest

ROW = {"id": "a", "audio": "a.wav", "duration_s": 1.0, "domain": "general", "split": "train"}


def line(**values: object) -> bytes:
    return json.dumps(ROW | values).encode() + b"\n"


def endless(path: Path) -> None:
    """A line of one gigabyte that takes no room on the disk."""
    with path.open("wb") as stream:
        stream.write(b'{"id": "')
        stream.truncate(1 << 30)


def loop(path: Path) -> None:
    other = path.with_name("other.jsonl")
    other.symlink_to(path)
    path.symlink_to(other)


def corrupt(path: Path) -> None:
    """A Parquet file whose footer is noise."""
    write_manifest(pl.DataFrame([ROW]), path.with_suffix(".whole.parquet"))
    content = path.with_suffix(".whole.parquet").read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    noise = np.random.default_rng(0).bytes(size)
    path.write_bytes(content[: -8 - size] + noise + content[-8:])


BAD: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...]]] = {
    "a 200-column CSV": (
        "m.csv",
        lambda path: path.write_text(",".join(f"c{i}" for i in range(200)) + "\n"),
        ("a CSV", "data-splits convert"),
    ),
    "a JSON line of a gigabyte": ("m.jsonl", endless, ("line at byte 0 is longer",)),
    "a path that leaves the folder": (
        "m.jsonl",
        lambda path: path.write_bytes(line() + line(id="b", audio="x/../../b.wav")),
        ("x/../../b.wav", "'b'", "may not leave"),
    ),
    "a member with an absolute name": (
        "m.jsonl",
        lambda path: path.write_bytes(line(audio="s.tar::/etc/passwd")),
        ("'a'", "stays inside its tar"),
    ),
    "a link that leads to itself": ("m.jsonl", loop, ("no such file",)),
    "bytes that are no UTF-8": (
        "m.jsonl",
        lambda path: path.write_bytes(line() + b'{"id": "\xff"}\n'),
        ("byte", "UTF-8"),
    ),
    "a duration that is no number": (
        "m.parquet",
        lambda path: pl.DataFrame([ROW, ROW | {"id": "b", "duration_s": float("nan")}]).write_parquet(path),
        ("duration_s nan", "'b'", "finite"),
    ),
    "a corrupt Parquet footer": ("m.parquet", corrupt, ("not readable as Parquet",)),
    "an empty file": ("m.parquet", lambda path: path.touch(), ("empty",)),
    "a folder": ("m.parquet", lambda path: path.mkdir(), ("no such file",)),
}


@pytest.mark.parametrize("command", ["audit", "fix", "diff"])
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, write, words = BAD[name]
    write(tmp_path / file)
    there = sorted(tmp_path.rglob("*"))
    again = [str(tmp_path / file)] if command == "diff" else []
    assert main([command, str(tmp_path / file), *again]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    for word in (file, *words):
        assert word in told.err
    assert sorted(tmp_path.rglob("*")) == there


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_parquet_file_is_an_error_or_a_manifest(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "m.parquet"
    write_manifest(pl.DataFrame([ROW | {"id": f"r{i}"} for i in range(50)]), path)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    tail = int.from_bytes(content[-8:-4], "little") + 8
    for at in rng.integers(len(content) - tail, len(content), 4):
        content[at] = int(rng.integers(256))
    path.write_bytes(content if seed % 2 else content[: -int(rng.integers(1, tail))])
    try:
        read_manifest(path)
    except ManifestError as error:
        assert "m.parquet" in str(error)
