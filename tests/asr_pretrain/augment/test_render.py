"""Rendering: honest rows, the same again, going on where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from asr_pretrain.augment import render as module
from asr_pretrain.augment.render import PerPart, RenderRecipe, render
from asr_pretrain.training.recipe import RecipeError, load_recipe
from data_splits.audio import pcm_sha256, read_audio
from data_splits.manifest import read_manifest, write_manifest

RECIPES = Path(module.__file__).parent.parent / "recipes"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RenderRecipe:
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")
    rng, rows = np.random.default_rng(0), []
    for part in ("train", "dev", "test"):
        for number in range(4):
            name = f"{part}-{number}"
            burst = np.zeros(12000)
            burst[4000:8000] = rng.standard_normal(4000) * 0.1
            soundfile.write(tmp_path / f"{name}.wav", burst, 16000)
            rows.append(
                {
                    "id": name, "audio": f"{name}.wav", "duration_s": 0.75, "domain": "general",
                    "split": part, "text": "smart mirror" if number < 2 else "start",
                    "speaker": f"voice-{part}-{number}",
                    "labels": {"smart mirror": int(number < 2)},
                }
            )  # fmt: skip
    write_manifest(pl.DataFrame(rows), tmp_path / "recordings.parquet")
    few = PerPart(train=2, dev=2, test=2)
    return RenderRecipe(
        recordings=tmp_path / "recordings.parquet", out=tmp_path / "out", positive_share=0.5,
        utterances=PerPart(train=6, dev=3, test=3), cabins=few, procedural_noises=few,
    )  # fmt: skip


def test_rows_say_where_they_come_from(recipe: RenderRecipe):
    frame = read_manifest(render(recipe))
    assert frame.group_by("part").len().sort("part").rows() == [("dev", 3), ("test", 3), ("train", 6)]
    assert frame["domain"].unique().to_list() == ["mirror"] and frame["device"].unique().to_list() == [
        "sim-mirror"
    ]
    clean = {row["id"]: row for row in read_manifest(recipe.recordings).to_dicts()}
    for row in frame.to_dicts():
        parent = clean[row["clean_parent"]]
        assert parent["split"] == row["part"] == row["split"]
        assert row["speaker"] == parent["speaker"] and row["labels"] == parent["labels"]
        assert row["vehicle"] == row["rir_parent"] and f"-{row['part']}-" in row["rir_parent"]
        assert all(f"-{row['part']}-" in name for name in row["noise_parent"] or [])
        pcm = read_audio(row["audio"], recipe.out)
        assert pcm.size / 16000 == row["duration_s"] and pcm_sha256(pcm) == row["pcm_sha256"]
        if row["labels"]["smart mirror"]:
            assert row["word_end_s"] - row["word_start_s"] == pytest.approx(0.26, abs=0.03)
            assert 0.44 <= row["word_start_s"] <= 1.26  # lead of 0.2 to 1.0 s, then a quarter of a second
        else:
            assert row["word_start_s"] is None
    positives = frame.filter(pl.col("labels").struct.field("smart mirror") == 1)
    assert positives.group_by("part").len().sort("part").rows() == [("dev", 1), ("test", 1), ("train", 3)]


def test_interrupted_rendering_goes_on(recipe: RenderRecipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    whole = read_manifest(render(recipe.model_copy(update={"out": tmp_path / "whole"})))
    hear, heard = module._hear, []

    def stop_at_five(job, *rest):
        if len(heard) == 5:
            raise KeyboardInterrupt
        heard.append(job.id)
        return hear(job, *rest)

    monkeypatch.setattr(module, "_hear", stop_at_five)
    with pytest.raises(KeyboardInterrupt):
        render(recipe)
    assert not (recipe.out / "drives.parquet").exists()
    with (recipe.out / "drives.partial.jsonl").open("a") as log:
        log.write('{"id": "drive-tr')  # killed in the middle of a line

    made = []
    monkeypatch.setattr(module, "_hear", lambda job, *rest: made.append(job.id) or hear(job, *rest))
    frame = read_manifest(render(recipe))
    assert len(made) == 7 and not set(made) & set(heard)
    assert frame.drop("audio").equals(whole.drop("audio"))
    assert not (recipe.out / "drives.partial.jsonl").exists()

    made.clear()
    render(recipe)
    assert made == []
    (recipe.out / frame["audio"][3]).unlink()  # a lost file is made again, and nothing else
    assert read_manifest(render(recipe)).equals(frame)
    assert made == [frame["id"][3]]


def test_changed_recipe_is_refused_with_the_difference(recipe: RenderRecipe):
    render(recipe)
    other = recipe.car.model_copy(update={"snr_db": (0.0, 10.0)})
    with pytest.raises(RecipeError, match=r"recipe\.car\.snr_db.*\[-5\.0, 25\.0\] → \[0\.0, 10\.0\]"):
        render(recipe.model_copy(update={"car": other}))


def test_part_without_takes_is_named(recipe: RenderRecipe):
    with pytest.raises(RecipeError, match="part 'train' holds no take of 'alexa'"):
        render(recipe.model_copy(update={"phrase": "alexa"}))


@pytest.mark.parametrize("name", ["drives.yaml", "demo_drives.yaml"])
def test_recipes_are_valid(name: str, tmp_path: Path):
    load_recipe(RECIPES / name, RenderRecipe)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((RECIPES / name).read_text() + "\nsnr: 5\n")
    with pytest.raises(RecipeError, match="snr"):
        load_recipe(wrong, RenderRecipe)
