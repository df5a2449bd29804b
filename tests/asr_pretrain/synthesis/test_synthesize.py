"""The command: shards that depend on recipe and number alone, resume, refusals, a full disk, labels."""

from __future__ import annotations

import errno
import fcntl
import functools
import json
import os
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from asr_pretrain.cli import main
from asr_pretrain.phonemes import PHONES, to_phones
from asr_pretrain.synthesis import folder
from asr_pretrain.synthesis.folder import STAMP, SynthesizeError, locked, shard_path
from asr_pretrain.synthesis.prose import plain
from asr_pretrain.synthesis.recipe import EngineShare, SynthesisRecipe
from asr_pretrain.synthesize import parse_shards, synthesize
from data_splits import shards as shards_module
from data_splits.audio import pcm_sha256, read_audio
from data_splits.errors import ShardError
from data_splits.manifest import read_manifest

FILES = ("speech-00000.tar", "speech-00001.tar", "speech-00001.parquet", "speech-00001.index.npz")


def changed(recipe: SynthesisRecipe, **values: Any) -> SynthesisRecipe:
    return SynthesisRecipe.model_validate(recipe.model_dump() | values)


def test_the_manifest_says_what_the_shards_hold(made: Path, tiny: SynthesisRecipe) -> None:
    frame = read_manifest(made / "recordings.parquet")
    assert frame.height == tiny.shards * tiny.utterances_per_shard
    assert set(frame["split"]) == {"train"} and set(frame["source"]) == {"synthetic-espeak"}
    assert frame["pcm_sha256"].n_unique() == frame.height
    assert frame["text"].n_unique() > 0.85 * frame.height
    low, high = tiny.duration_s
    assert frame["duration_s"].min() >= low and frame["duration_s"].max() <= high
    for row in frame.head(5).iter_rows(named=True):
        samples = read_audio(row["audio"], made)
        assert pcm_sha256(samples) == row["pcm_sha256"] and samples.any()
        assert row["phones"].split() == to_phones(row["text"])


def test_many_voices_each_with_a_name_of_its_own(made: Path, tiny: SynthesisRecipe) -> None:
    frame = read_manifest(made / "recordings.parquet")
    counts = frame.group_by("speaker").len()
    assert counts.height >= frame.height / tiny.utterances_per_voice[1]
    assert counts["len"].max() <= tiny.utterances_per_voice[1]
    assert frame.group_by("speaker").agg(pl.col("voice").n_unique())["voice"].max() == 1


def test_the_wake_phrase_is_labelled_and_stands_nowhere_else(made: Path) -> None:
    frame = read_manifest(made / "recordings.parquet").unnest("labels")
    wake = frame.filter(pl.col("text_kind") == "wake")
    assert wake.height and set(wake["smart mirror"]) == {1}
    others = frame.filter(pl.col("text_kind") != "wake")
    assert set(others["smart mirror"]) == {0}
    assert not others["text"].str.to_lowercase().str.contains("smart mirror").any()
    sounds = " ".join(to_phones("smart mirror"))
    assert not others["phones"].str.contains(sounds, literal=True).any()


def test_a_customers_phrase_is_said_and_labelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "wake.yaml"
    texts = dict.fromkeys(("transcripts", "books", "words", "spoken", "grammar", "short", "wake"), 0)
    texts |= {"confusable": 0.5, "wake_alone": 0.5}
    document = {"out": "unused", "shards": 1, "utterances_per_shard": 12, "engines": {"espeak": {"share": 1}}}
    recipe.write_text(json.dumps({**document, "books": [], "texts": texts, "duration_s": [0.3, 5.0]}))
    words = ["synthesize", str(recipe), "--out", str(tmp_path / "made")]
    assert main([*words, "--phrase", "hello car"]) == 0
    frame = read_manifest(tmp_path / "made" / "recordings.parquet").unnest("labels")
    said = frame.filter(pl.col("hello car") == 1)
    assert set(said["text"]) == {"hello car"} and "smart mirror" not in frame.columns
    assert frame.filter(pl.col("hello car") == 0).height
    assert main([*words, "--phrase", "Hello, Car!"]) == 2
    assert "'Hello, Car!'" in capsys.readouterr().err


def test_a_folder_from_before_a_key_came_is_gone_on_with(
    made: Path, tiny: SynthesisRecipe, tmp_path: Path
) -> None:
    shutil.copytree(made, tmp_path / "old")
    stamp = json.loads((tmp_path / "old" / STAMP).read_text())
    del stamp["recipe"]["phrases"]
    (tmp_path / "old" / STAMP).write_text(json.dumps(stamp))
    synthesize(tiny, tmp_path / "old", quiet=True)
    with pytest.raises(SynthesizeError, match="phrases"):
        synthesize(changed(tiny, phrases=["hello car"]), tmp_path / "old", quiet=True)


def test_a_shard_made_alone_in_two_processes_or_again_is_the_same(
    made: Path, tiny: SynthesisRecipe, tmp_path: Path
) -> None:
    synthesize(tiny, tmp_path / "alone", range(1, 2), quiet=True)
    synthesize(tiny, tmp_path / "two", jobs=2, quiet=True)
    for name in FILES:
        whole = (made / name).read_bytes()
        assert (tmp_path / "two" / name).read_bytes() == whole, name
        if name.startswith("speech-00001"):
            assert (tmp_path / "alone" / name).read_bytes() == whole, name
    assert read_manifest(tmp_path / "alone" / "recordings.parquet").height == tiny.utterances_per_shard


def test_a_second_run_makes_only_what_is_missing(made: Path, tiny: SynthesisRecipe, tmp_path: Path) -> None:
    out = shutil.copytree(made, tmp_path / "corpus")
    for name in FILES[1:]:
        (out / name).unlink()
    before = (out / FILES[0]).stat().st_mtime_ns
    synthesize(tiny, out, quiet=True)
    assert (out / FILES[0]).stat().st_mtime_ns == before
    for name in FILES[1:]:
        assert (out / name).read_bytes() == (made / name).read_bytes()
    assert not [path for path in out.iterdir() if path.suffix in (".lock", ".tmp")]


def test_a_changed_recipe_is_refused_by_the_key_that_changed(made: Path, tiny: SynthesisRecipe) -> None:
    with pytest.raises(SynthesizeError, match=r"recipe\.seed: 0 → 3"):
        synthesize(changed(tiny, seed=3), made, quiet=True)
    texts = tiny.texts.model_dump() | {"wake": 0.2}
    with pytest.raises(SynthesizeError, match=r"recipe\.texts\.wake: 0\.05 → 0\.2"):
        synthesize(changed(tiny, texts=texts), made, quiet=True)


def test_changed_transcripts_and_synthesizers_are_refused(
    made: Path, tiny: SynthesisRecipe, tmp_path: Path
) -> None:
    out = shutil.copytree(made, tmp_path / "corpus")
    stamp = json.loads((out / STAMP).read_text())
    for key, name in (("texts", "transcripts"), ("engines", "flite")):
        other = json.loads(json.dumps(stamp))
        other[key][name] = "something"
        (out / STAMP).write_text(json.dumps(other))
        with pytest.raises(SynthesizeError, match=rf"{key}\.{name}: 'something' → None"):
            synthesize(tiny, out, quiet=True)
    (out / STAMP).write_text("{")
    with pytest.raises(SynthesizeError, match="damaged"):
        synthesize(tiny, out, quiet=True)


def test_an_absent_synthesizer_is_named_with_its_remedy_or_left_out(
    tiny: SynthesisRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # where festival is looked for
    engines = {"espeak": EngineShare(share=1), "festival": EngineShare(share=1)}
    folder.synthesizer("festival").version.cache_clear()  # type: ignore[attr-defined]
    try:
        with pytest.raises(
            SynthesizeError, match="engines.festival: not installed; apt-get install festival"
        ):
            folder.present_engines(changed(tiny, engines=engines))
        engines["festival"] = EngineShare(share=1, optional=True)
        assert list(folder.present_engines(changed(tiny, engines=engines))) == ["espeak"]
        with pytest.raises(SynthesizeError, match="none of festival is installed"):
            folder.present_engines(changed(tiny, engines={"festival": EngineShare(share=1, optional=True)}))
    finally:
        folder.synthesizer("festival").version.cache_clear()  # type: ignore[attr-defined]


def test_a_full_disk_leaves_whole_shards_and_no_half_one(
    made: Path, tiny: SynthesisRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    synthesize(tiny, tmp_path / "corpus", range(1), quiet=True)
    monkeypatch.setattr(shards_module.os, "fsync", full)
    with pytest.raises(ShardError, match=r"speech-00001\.tar: .*No space left.*whole shards are kept"):
        synthesize(tiny, tmp_path / "corpus", quiet=True)
    monkeypatch.undo()
    assert not list((tmp_path / "corpus").glob("*00001*"))
    synthesize(tiny, tmp_path / "corpus", quiet=True)
    assert (tmp_path / "corpus" / FILES[1]).read_bytes() == (made / FILES[1]).read_bytes()


def test_two_runs_do_not_make_one_shard(made: Path, tiny: SynthesisRecipe, tmp_path: Path) -> None:
    out = shutil.copytree(made, tmp_path / "corpus")
    shard_path(out, 0).with_suffix(".parquet").unlink()
    with shard_path(out, 0).with_suffix(".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SynthesizeError, match="another run is making it"):
            synthesize(tiny, out, quiet=True)
    with locked(shard_path(out, 0)):
        pass  # whoever died lets go


def test_coverage_is_reported(made: Path) -> None:
    report = json.loads((made / "coverage.json").read_text())
    assert set(report["phones"]) == set(PHONES) and report["diphones"] > 200
    assert report["real_diphones"] == 0 and report["phone_divergence_bits"] is None


def test_transcripts_of_the_train_part_alone_are_said(
    tiny: SynthesisRecipe, tiny_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = read_manifest(tiny_corpus)
    texts = tiny.texts.model_dump() | dict.fromkeys(tiny.texts.model_dump(), 0.0) | {"transcripts": 1.0}
    recipe = changed(tiny, recordings=tiny_corpus, texts=texts, shards=1, utterances_per_shard=10)
    frame = read_manifest(synthesize(recipe, tmp_path / "corpus"))
    train = {plain(text).lower() for text in real.filter(pl.col("split") == "train")["text"].drop_nulls()}
    assert {text.lower() for text in frame["text"]} <= train
    assert "real diphones" in capsys.readouterr().out


def test_the_command(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = str(Path(__file__).resolve().parents[3] / "asr_pretrain" / "recipes" / "synthesize_tiny.yaml")
    assert main(["synthesize", recipe, "--out", str(made), "--shards", "0-1", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(made / "recordings.parquet")
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert main(["synthesize", recipe, "--out", str(tmp_path)]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert main(["synthesize", recipe, "--out", str(made), "--jobs", "0"]) == 2
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["synthesize", recipe, "--out", str(made), "--ray", "auto"]) == 2
    assert "needs the package ray" in capsys.readouterr().err


def test_a_ray_cluster_makes_the_same_shards(
    made: Path, tiny: SynthesisRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remote(**options: Any) -> Any:
        return lambda work: types.SimpleNamespace(remote=lambda *args: functools.partial(work, *args))

    ray = types.SimpleNamespace(
        init=lambda address, **options: addresses.append(address),
        remote=remote,
        wait=lambda pending: (pending[:1], pending[1:]),
        get=lambda task: task(),
    )
    addresses: list[str] = []
    monkeypatch.setitem(sys.modules, "ray", ray)
    synthesize(tiny, tmp_path / "corpus", ray="ray://head:10001", quiet=True)
    assert addresses == ["ray://head:10001"]
    assert (tmp_path / "corpus" / FILES[0]).read_bytes() == (made / FILES[0]).read_bytes()


@pytest.mark.parametrize("text", ["", "x", "3-", "-3", "5-2", "0-2", "2", "1-1-1"])
def test_shards_that_are_none_of_the_recipe(text: str) -> None:
    with pytest.raises(SynthesizeError, match="--shards"):
        parse_shards(text, 2)


def test_shards_of_the_recipe() -> None:
    assert parse_shards("0-24", 510) == range(25) and parse_shards("7", 8) == range(7, 8)
