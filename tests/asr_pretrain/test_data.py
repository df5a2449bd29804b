"""Batches of loose files and shards, heard in a car."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader, Dataset

from asr_pretrain.augment.cabin import cabin_bank
from asr_pretrain.augment.car import Car, CarRecipe
from asr_pretrain.augment.listening import tilted
from asr_pretrain.augment.noise import NoiseBank
from asr_pretrain.encoder import SUBSAMPLING, RunningMean
from asr_pretrain.loading.batches import SpeechBatches, measure_loader, read_rows, transcribed
from asr_pretrain.loading.ragged import Ragged
from asr_pretrain.loading.waveforms import Waveforms
from asr_pretrain.phonemes import PHONES, phone_ids
from asr_pretrain.targets import TargetError
from asr_pretrain.training.recipe import Perturbation, RecipeError
from data_splits.audio import AudioError, ShardError, read_audio
from data_splits.manifest import read_manifest, write_manifest
from data_splits.shards import write_shard

TEXTS = ("smart mirror", "turn on the light", "one two three", "good morning", "left at the corner")
Change = Callable[[pl.DataFrame], pl.DataFrame]


def sound(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(int(rng.uniform(1.2, 2.5) * 16000)) * 1000).astype(np.int16)


def row(number: int) -> dict[str, Any]:
    return {"id": f"u{number}", "text": TEXTS[number % 5], "domain": "general", "split": "train"}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 utterances in four shards with a `phones` column, and 15 loose ones without, of another source."""
    from asr_pretrain.phonemes import to_phones

    folder = tmp_path_factory.mktemp("shards")
    frames = []
    for shard in range(4):
        items = [
            (row(n) | {"phones": " ".join(to_phones(row(n)["text"]))}, sound(n))
            for n in range(10 * shard, 10 * shard + 10)
        ]
        frames.append(write_shard(folder / f"s{shard}.tar", items))
    loose = []
    for number in range(40, 55):
        soundfile.write(folder / f"u{number}.flac", sound(number), 16000)
        seconds = len(sound(number)) / 16000
        loose.append(
            row(number)
            | {"audio": f"u{number}.flac", "duration_s": seconds, "source": "real", "phones": None}
        )
    frames.append(pl.DataFrame(loose))
    write_manifest(pl.concat(frames, how="diagonal_relaxed"), folder / "m.parquet")
    return folder / "m.parquet"


@pytest.fixture(scope="session")
def car() -> Car:
    noise = NoiseBank.build(None, None, part="train", procedural=3)
    return Car(CarRecipe(), cabin_bank("train", 3), noise)


def load(manifest: Path, **weights: float) -> Any:
    return transcribed([manifest], "train", 5.0, weights)


def batches(data: Any, car: Car, world: int = 1, accumulate: int = 1, **more: Any) -> SpeechBatches:
    normalise = RunningMean(1.5, 4.0)
    return SpeechBatches(
        data,
        car,
        Perturbation(),
        normalise,
        15,
        world,
        3,
        accumulate=accumulate,
        chapter_shards=2,
        **more,
    )


def listed(made: Any) -> list[dict[str, Any]]:
    return made if isinstance(made, list) else [made]


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    assert one.keys() == other.keys()
    return all(
        torch.equal(v, other[k]) if isinstance(v, torch.Tensor) else v == other[k] for k, v in one.items()
    )


def test_loose_files_and_shards_are_one_training_set(corpus: Path) -> None:
    data = load(corpus, real=2.5)
    frame = read_manifest(corpus)
    assert len(data.spoken) == len(data.waveforms) == 55
    for index in (0, 17, 39, 40, 54):
        assert data.spoken[index].tolist() == phone_ids(frame["text"][index])
        assert np.array_equal(data.waveforms[index], read_audio(frame["audio"][index], corpus.parent))
        assert data.waveforms.duration_s(index) == pytest.approx(frame["duration_s"][index])
    assert data.shard.tolist() == [n // 10 for n in range(40)] + [-1] * 15
    assert data.weights.tolist() == [1.0] * 40 + [2.5] * 15
    assert data.hours == pytest.approx(frame["duration_s"].sum() / 3600)
    assert data.waveforms.ends[-1] == data.waveforms.n_samples.sum()


def test_a_batch_is_what_it_says(corpus: Path, car: Car) -> None:
    data = load(corpus)
    made = batches(data, car, waveform=True)
    lengths = set()
    for step in range(made.steps_in(1)):
        batch = made.batch(step, 0, 1)
        assert isinstance(batch, dict)
        count, frames, mels = batch["features"].shape
        lengths.add(frames)
        assert mels == 40 and frames in made.plan.buckets.frames and count * frames <= 1500
        assert batch["features"].isfinite().all()
        assert (batch["n_frames"] <= frames // SUBSAMPLING).all() and (batch["n_frames"] > 0).all()
        rows = made.plan.group(step).rows
        assert batch["targets"].tolist() == [p for r in rows for p in data.spoken[int(r)].tolist()]
        assert batch["target_lengths"].tolist() == [len(data.spoken[int(r)]) for r in rows]
        assert batch["seconds"] == pytest.approx(sum(data.waveforms.duration_s(int(r)) for r in rows))
        assert batch["waveform"].shape == (count, frames * 160)
        heard = (batch["waveform"] != 0).sum(1)
        assert (heard <= batch["n_frames"] * SUBSAMPLING * batch["hop"] - 6400 + SUBSAMPLING * 189).all()
    assert 1 < len(lengths) <= 12


def test_a_voice_is_tilted_about_1_khz() -> None:
    speech = np.random.default_rng(0).normal(0, 0.1, (2, 32_000)).astype(np.float32)
    change = np.fft.rfft(tilted(speech, np.array([-4.0, 2.0]))) / np.fft.rfft(speech)
    hz = np.fft.rfftfreq(32_000, 1 / 16_000)
    for row, tilt in zip(20 * np.log10(np.abs(change)), (-4.0, 2.0), strict=True):
        for centre_hz, octaves in ((500, -1), (1000, 0), (4000, 2)):
            assert np.median(row[np.abs(hz - centre_hz) < 20]) == pytest.approx(tilt * octaves, abs=0.3)


def test_an_unspoken_utterance_is_a_car_with_nothing_to_spell(corpus: Path, car: Car) -> None:
    data = load(corpus)
    spoken, made = batches(data, car, waveform=True), batches(data, car, waveform=True, silent_share=0.4)
    emptied = []
    for step in range(made.steps_in(1)):
        batch, before = made.batch(step, 0, 1), spoken.batch(step, 0, 1)
        assert isinstance(batch, dict) and isinstance(before, dict)
        silent = batch["waveform"].abs().amax(1) == 0
        emptied += silent.tolist()
        assert torch.equal(batch["target_lengths"] == 0, silent)
        assert torch.equal(batch["target_lengths"][~silent], before["target_lengths"][~silent])
        rows = made.plan.group(step).rows[~silent.numpy()]
        assert batch["targets"].tolist() == [p for r in rows for p in data.spoken[int(r)].tolist()]
        assert (batch["features"][silent].abs().amax((1, 2)) > 0).all()  # there is the car
    assert 0.2 < np.mean(emptied) < 0.6


def test_features_are_those_of_the_plain_front_end(corpus: Path) -> None:
    """One utterance in a car that does nothing, at every tempo, against the front end called on it alone."""
    nothing = CarRecipe(
        quiet_share=1, dry_share=1, speech_level_dbfs=None, clip_share=0, microphone_share=0, floor_dbfs=None
    )
    bank = NoiseBank.build(None, None, part="train", procedural=3)
    made = batches(load(corpus), Car(nothing, cabin_bank("train", 3), bank), waveform=True)
    made.perturbation = Perturbation(mask_bands=0, mask_frames=0)
    made.listening.front_end.banks[:] = made.listening.front_end.banks[8].clone()
    batch = made.batch(0, 0, 1)
    assert isinstance(batch, dict)
    assert len(set(batch["hop"].tolist())) > 1
    for index, hop in enumerate(batch["hop"].tolist()):
        warp = torch.tensor([8])
        alone = made.normalise(made.listening.front_end(batch["waveform"][[index]], warp, hop))
        n_frames = int(batch["n_frames"][index]) * SUBSAMPLING
        assert torch.allclose(batch["features"][index, :n_frames], alone[0, :n_frames], atol=2e-2)


@pytest.mark.parametrize("product", [2, 6])
def test_processes_and_accumulation_are_exchangeable(corpus: Path, car: Car, product: int) -> None:
    data = load(corpus)
    alone = batches(data, car, 1, product)
    steps = (0, 4) if product == 2 else (2,)
    wanted = [listed(alone.batch(step, 0, 1)) for step in steps]
    for world in (2, 3, 6):
        if product % world:
            continue
        shared = batches(data, car, world, product // world)
        for step, expected in zip(steps, wanted, strict=True):
            made = [batch for rank in range(world) for batch in listed(shared.batch(step, rank, world))]
            assert all(equal(a, b) for a, b in zip(made, expected, strict=True))
            assert len({batch["features"].shape for batch in made}) == 1
    with pytest.raises(ValueError, match=r"planned for 1 process\(es\), asked by one of 2"):
        alone.batch(0, 1, 2)


class Steps(Dataset):
    def __init__(self, made: SpeechBatches, rank: int):
        self.made, self.rank = made, rank

    def __getitem__(self, step: int) -> Any:
        try:
            return self.made.batch(step, self.rank, self.made.world)
        except ShardError as error:  # as training does: an error travels as a value, lest a worker hangs
            return str(error)


def loader(made: SpeechBatches, first: int, last: int, workers: int, rank: int = 0) -> DataLoader:
    return DataLoader(Steps(made, rank), batch_size=None, sampler=range(first, last), num_workers=workers)


@pytest.mark.parametrize(("world", "workers"), [(1, 2), (2, 0), (3, 2)])
def test_workers_change_nothing_and_a_resumed_run_hears_the_same(
    corpus: Path, car: Car, world: int, workers: int
) -> None:
    rank = world - 1
    whole = list(loader(batches(load(corpus), car, world), 0, 9, 0, rank))
    for first in (0, 5, 8):
        resumed = list(loader(batches(load(corpus), car, world), first, 9, workers, rank))
        assert all(equal(a, b) for a, b in zip(whole[first:], resumed, strict=True))


def copied(corpus: Path, folder: Path, change: Change = lambda frame: frame) -> Path:
    for path in corpus.parent.iterdir():
        os.link(path, folder / path.name)
    manifest = folder / "m.parquet"
    frame = change(read_manifest(manifest))
    manifest.unlink()
    write_manifest(frame, manifest)
    return manifest


def test_a_missing_or_truncated_shard_stops_the_start_by_name(corpus: Path, tmp_path: Path) -> None:
    manifest = copied(corpus, tmp_path)
    tar = tmp_path / "s2.tar"
    whole = tar.read_bytes()
    tar.unlink()
    with pytest.raises(ShardError, match=r"s2.tar: cannot be opened: No such file"):
        load(manifest)
    tar.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ShardError, match=r"s2.tar: truncated"):
        load(manifest)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("how", ["missing", "truncated"])
def test_a_shard_lost_in_the_middle_stops_the_run_by_name(
    corpus: Path, tmp_path: Path, car: Car, workers: int, how: str
) -> None:
    made = batches(load(copied(corpus, tmp_path)), car)
    tar = tmp_path / "s1.tar"
    whole = tar.read_bytes()
    tar.unlink()
    if how == "truncated":
        tar.write_bytes(whole[:50_000])
    got = list(loader(made, 0, made.steps_in(1), workers))
    failed = [text for text in got if isinstance(text, str)]
    assert 0 < len(failed) < len(got)
    assert all(f"{tar}: {'cannot be opened' if how == 'missing' else 'truncated'}" in text for text in failed)


def test_clips_that_cannot_be_learnt_from_are_left_out_by_name(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        seconds, texts = frame["duration_s"].to_list(), frame["text"].to_list()
        seconds[3], seconds[42] = 0.01, 3600.0
        texts[44], texts[45] = "…", "word " * 60
        return frame.with_columns(pl.Series("duration_s", seconds), pl.Series("text", texts))

    with caplog.at_level(logging.WARNING):
        data = load(copied(corpus, tmp_path, change))
    assert len(data.spoken) == len(data.waveforms) == len(data.weights) == 51
    said = caplog.text
    for reason in (
        "shorter than 0.2 s: 'u3'",
        "longer than 5 s: 'u42'",
        "has no phones: 'u44'",
        "more phones than their audio can hold: 'u45'",
    ):
        assert reason in said
    for index, number in ((38, 39), (39, 40), (40, 41), (41, 43), (42, 46)):
        assert data.spoken[index].tolist() == phone_ids(TEXTS[number % 5])
        assert np.array_equal(data.waveforms[index], sound(number))


def test_audio_that_is_not_as_long_as_stated_is_an_error(corpus: Path, tmp_path: Path) -> None:
    def longer(which: int) -> Change:
        off = pl.when(pl.int_range(pl.len()) == which).then(pl.col("duration_s") + 1).otherwise("duration_s")
        return lambda frame: frame.with_columns(off)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    data = load(copied(corpus, tmp_path / "a", longer(5)))
    with pytest.raises(AudioError, match=r"s0.tar::u5.flac.*audit --audio"):
        data.waveforms[5]
    with pytest.raises(AudioError, match=r"'u50': .* s long where its manifest says"):
        load(copied(corpus, tmp_path / "b", longer(50)))
    rows = read_rows([corpus], lambda frame: frame.head(1)).with_columns(pl.lit(0.5).alias("duration_s"))
    with pytest.raises(AudioError, match="longer than 0.6 s"):
        Waveforms.of(rows)[0]


def test_the_phones_column_is_believed_and_checked(corpus: Path, tmp_path: Path) -> None:
    def phones(text: str) -> Change:
        new = pl.when(pl.col("id") == "u7").then(pl.lit(text)).otherwise("phones").alias("phones")
        return lambda frame: frame.with_columns(new)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    data = load(copied(corpus, tmp_path / "a", phones("K AE  T")))
    assert data.spoken[7].tolist() == [PHONES.index(p) + 1 for p in ("K", "AE", "T")]
    with pytest.raises(TargetError, match=r"m.parquet: train: id 'u7' has phones 'K AX T'"):
        load(copied(corpus, tmp_path / "b", phones("K AX T")))


def test_a_split_without_texts_is_refused(corpus: Path) -> None:
    with pytest.raises(RecipeError, match=r"m.parquet: dev: no row with a text"):
        transcribed([corpus], "dev", 5.0, {})


def test_the_loaders_rate_is_a_figure_a_stage(corpus: Path, car: Car) -> None:
    rates = measure_loader(batches(load(corpus), car, accumulate=2), seconds=0.2)
    assert set(rates) == {"decode", "cabin_and_noise", "car", "batches"}
    assert all(rate > 0 for rate in rates.values())
    assert rates["decode"] > rates["car"]
    json.dumps(rates)


def test_ragged_rows_are_what_they_were() -> None:
    parts = [b"ab", b"", b"cde", b"f"]
    ragged = Ragged.of(parts)
    assert [bytes(ragged[i]) for i in range(4)] == parts and len(ragged) == 4
    taken = ragged.take(np.array([2, 0, 1, 2]))
    assert [bytes(taken[i]) for i in range(4)] == [b"cde", b"ab", b"", b"cde"]
    assert len(ragged.take(np.array([], dtype=int))) == 0
    emptied = ragged.without(np.array([True, False, False, True]))
    assert [bytes(emptied[i]) for i in range(4)] == [b"", b"", b"cde", b""]
