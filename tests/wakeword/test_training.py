from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from asr_pretrain.augment.listening import change_speed
from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.loading.batches import build_car
from asr_pretrain.logmel import LogMel
from asr_pretrain.targets import Targets
from asr_pretrain.train import Recogniser
from asr_pretrain.training.checkpoint import CheckpointError, file_sha256, load_checkpoint, save_checkpoint
from asr_pretrain.training.recipe import Optimisation, RecipeError, Surroundings
from data_splits.manifest import read_manifest, write_manifest
from mirror_device import Detector
from mirror_device.logmel import STEP_SAMPLES
from wakeword.advice import MISSED, depth_for
from wakeword.cuts import CutBatches, CutConfig, Group
from wakeword.model import HeadConfig, TriggerModel, load_trigger, transfer, trigger_loss
from wakeword.quantize import quantize
from wakeword.spans import tight_span
from wakeword.tasks import TaskConfig
from wakeword.train import TriggerRecipe, train

SHAPE = EncoderConfig(channels=16, dilations=(1, 2))


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("recogniser") / "encoder.safetensors"
    model = Recogniser(SHAPE)
    sidecar = {"kind": "recogniser", "encoder": SHAPE.model_dump(mode="json"), **Targets().card()}
    save_checkpoint(path, model.state_dict(), sidecar)
    return path


def recipe_for(corpus: Path, out: Path, **changes: object) -> TriggerRecipe:
    return TriggerRecipe(
        manifests=[corpus],
        out=out,
        encoder=SHAPE,
        batch_size=6,
        optimisation=Optimisation(steps=3, warmup_steps=1, checkpoint_every_steps=2, workers=0),
        surroundings=Surroundings(cabins=3, procedural_noises=3),
    ).model_copy(update=changes)


@pytest.fixture(scope="module")
def trained(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe_for(tiny_corpus, tmp_path_factory.mktemp("trigger")))


def test_the_output_layer_is_dropped_and_the_encoder_kept(recogniser: Path) -> None:
    model = TriggerModel(SHAPE, HeadConfig(), ["smart mirror"])
    transfer(model, recogniser)
    theirs = load_checkpoint(recogniser)[0]
    assert all(torch.equal(v, theirs[f"encoder.{k}"]) for k, v in model.encoder.state_dict().items())
    with pytest.raises(CheckpointError, match="the recipe asks for"):
        transfer(TriggerModel(EncoderConfig(channels=8), HeadConfig(), ["smart mirror"]), recogniser)


def test_frozen_layers_do_not_move(tiny_corpus: Path, recogniser: Path, tmp_path: Path) -> None:
    path = train(recipe_for(tiny_corpus, tmp_path, init=recogniser, unfreeze="last"))
    before, after = load_checkpoint(recogniser)[0], load_checkpoint(path)[0]
    moved = {k for k, v in after.items() if k.startswith("encoder.") and not torch.equal(v, before[k])}
    assert moved
    assert all(k.startswith("encoder.blocks.1.") for k in moved)


def test_the_number_of_voices_says_what_learns(
    tiny_corpus: Path, recogniser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(recipe_for(tiny_corpus, tmp_path, init=recogniser, unfreeze="auto"))
    said = capsys.readouterr().out
    depth, why = depth_for(4)
    assert f"unfreeze {depth}: {why}" in said, said
    assert depth_for(1000)[0] == min(MISSED[16], key=lambda name: MISSED[16][name])


def test_loss_wants_the_word_at_its_end_and_silence_elsewhere() -> None:
    start, end = torch.tensor([20, -1]), torch.tensor([40, -1])
    right, early = torch.full((2, 80), -6.0), torch.full((2, 80), -6.0)
    right[0, 41:44], early[0, 10:13] = 6.0, 6.0
    false = right.clone()
    false[1, 50] = 6.0
    losses = [float(trigger_loss(x, end, start, (-1, 6))) for x in (right, early, false)]
    assert losses[0] < 0.1
    assert losses[1] > 3 and losses[2] > 2
    spike = torch.full((2, 80), -6.0)
    spike[0, 42] = 6.0
    losses = [float(trigger_loss(spike, end, start, (-1, 6), frames)) for frames in (1, 3)]
    assert losses[0] < 0.1 and losses[1] > 1  # a lone frame is enough where nothing is averaged


def test_batches_repeat_from_their_seed(tiny_corpus: Path, tmp_path: Path) -> None:
    recipe = recipe_for(tiny_corpus, tmp_path)
    car = build_car(recipe.manifests, recipe.surroundings, "train")
    first, second = (
        CutBatches(
            recipe.manifests,
            recipe.phrase,
            recipe.cuts,
            car,
            recipe.perturbation,
            TriggerModel(SHAPE, HeadConfig(), ["w"]).encoder.normalise,
            6,
            seed=1,
        )
        for _ in range(2)
    )
    one, two, other = first.batch(5, 0, 1), second.batch(5, 0, 1), second.batch(6, 0, 1)
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert not torch.equal(one["features"], other["features"])


@pytest.mark.parametrize(("early", "soonest_s"), [(0.0, 1.4), (1.0, 0.2)])
def test_a_word_may_come_as_soon_as_the_stream_begins(
    tiny_corpus: Path, tmp_path: Path, early: float, soonest_s: float
) -> None:
    words = CutConfig(early_share=early, groups=[Group(name="takes", share=1, label="word")])
    recipe = recipe_for(tiny_corpus, tmp_path, cuts=words)
    car = build_car(recipe.manifests, recipe.surroundings, "train")
    normalise = TriggerModel(SHAPE, HeadConfig(), ["w"]).encoder.normalise
    batches = CutBatches.of(recipe.manifests, recipe.model_dump(mode="json"), car, normalise, 60)
    ends_s = batches.place(np.random.default_rng(0)).spans[:, 1]
    assert soonest_s <= ends_s.min() and (ends_s.max() <= 1.41 if early else ends_s.max() > 2)


def test_pieces_are_as_short_as_asked_and_alone(tiny_corpus: Path, tmp_path: Path) -> None:
    pieces = Group(name="pieces", share=1, label="other", piece_s=(0.2, 0.4))
    recipe = recipe_for(tiny_corpus, tmp_path, cuts=CutConfig(groups=[pieces]))
    car = build_car(recipe.manifests, recipe.surroundings, "train")
    document = recipe.model_dump(mode="json")
    placed = CutBatches.of(recipe.manifests, document, car, torch.nn.Identity(), 40).place(
        np.random.default_rng(0)
    )
    sounding = [np.flatnonzero(cut) for cut in placed.speech]
    lengths_s = [(at[-1] - at[0]) / 16000 for at in sounding if len(at)]
    assert len(lengths_s) > 35 and max(lengths_s) < 0.4 / 0.88 + 0.01 and min(lengths_s) > 0.1
    assert (placed.whole == -1).all() and (placed.spans == -1).all()  # nothing to spell, and no word


def test_a_small_source_is_not_lost_beside_a_large_one(tiny_corpus: Path, tmp_path: Path) -> None:
    every_fifth = pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("small")).otherwise(pl.lit("large"))
    audio = f"{tiny_corpus.parent}/" + pl.col("audio")
    frame = read_manifest(tiny_corpus).with_columns(every_fifth.alias("source"), audio.alias("audio"))
    write_manifest(frame, manifest := tmp_path / "two.parquet")
    sources = dict(frame.select("id", "source").iter_rows())

    def odds(even: bool) -> float:
        speech = Group(name="speech", share=1, label="other", even_sources=even)
        recipe = recipe_for(manifest, tmp_path, cuts=CutConfig(groups=[speech]))
        car = build_car([manifest], recipe.surroundings, "train")
        document = recipe.model_dump(mode="json")
        batches = CutBatches.of([manifest], document, car, torch.nn.Identity(), 2)
        ((_, rows, weights),) = batches.groups
        small = weights[[sources[batches.ids[row]] == "small" for row in rows]].sum()
        return float(small / (1 - small))

    assert odds(even=False) < 0.7 and odds(even=True) == pytest.approx(odds(even=False) ** 0.5)


def test_no_take_of_the_word_is_said(tiny_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no train row has label 1 for 'open sesame'"):
        train(recipe_for(tiny_corpus, tmp_path, phrase="open sesame"))


def test_tight_span_finds_the_word_in_noise() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(48000) * 40
    samples[16000:28000] += rng.standard_normal(12000) * 3000
    start, end = tight_span(samples.astype(np.int16))
    assert abs(start - 1.0) < 0.05 and abs(end - 1.75) < 0.05
    assert len(change_speed(samples, 1.1)) == pytest.approx(48000 / 1.1, rel=0.01)


def test_the_device_model_streams_what_training_computes(
    trained: Path, tiny_corpus: Path, tmp_path: Path
) -> None:
    int8, plain = tmp_path / "int8.onnx", tmp_path / "float.onnx"
    quantize(trained, [tiny_corpus], int8, cuts=6, float_out=plain)
    samples = (np.random.default_rng(1).standard_normal(STEP_SAMPLES * 30) * 800).astype(np.int16)
    model, _ = load_trigger(trained)
    with torch.inference_mode():
        log_mel = LogMel()(torch.from_numpy(samples.astype(np.float32) / 32768)[None])
        frames = torch.sigmoid(model.logits(log_mel))[0, 0].numpy()
    raw = frames.reshape(-1, 2).max(1)
    smoothed = (raw + np.concatenate([[0.0], raw[:-1]])) / 2
    detector = Detector(str(plain))
    assert np.abs(detector.scores(samples)[:, 0] - smoothed).max() < 1e-4
    quantized = Detector(str(int8))
    assert quantized.metadata["precision"] == "int8"
    assert quantized.metadata["calibration_ids"]
    assert quantized.metadata["checkpoint_sha256"] == file_sha256(trained)
    assert quantized.metadata["audit"]["manifest_sha256"] == [file_sha256(tiny_corpus)]
    assert np.abs(quantized.scores(samples)[:, 0] - smoothed).max() < 0.2


@pytest.mark.parametrize("drop", [False, True])
def test_the_spotting_model_is_trained_and_quantized(
    tiny_corpus: Path, recogniser: Path, tmp_path: Path, drop: bool
) -> None:
    changes = {
        "init": recogniser,
        "head": HeadConfig(hidden=8, spot=True, drop=drop),
        "tasks": TaskConfig(phones_weight=0.1),
    }
    path = train(recipe_for(tiny_corpus, tmp_path / "run", **changes))
    before, after = load_checkpoint(recogniser)[0], load_checkpoint(path)[0]
    assert not torch.equal(after["spotter.phones.weight"], before["output.weight"])
    quantize(path, [tiny_corpus], tmp_path / "int8.onnx", cuts=6, float_out=tmp_path / "float.onnx")
    samples = (np.random.default_rng(1).standard_normal(STEP_SAMPLES * 30) * 800).astype(np.int16)
    plain, int8 = (Detector(tmp_path / f"{name}.onnx").scores(samples) for name in ("float", "int8"))
    assert np.abs(plain - int8).max() < 0.2
    assert any(name.startswith("head.") for name in after) != drop
    again = train(recipe_for(tiny_corpus, tmp_path / "second", **(changes | {"init": path})))
    assert load_trigger(again)[0].spotter is not None


@pytest.mark.parametrize("head", [{"layers": 0}, {"drop": True}, {"layers": 0, "spot": True, "drop": True}])
def test_a_model_that_hears_nothing_is_refused(head: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="spot"):
        HeadConfig(**head)


def test_a_teacher_is_learnt_from_and_left_behind(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asr_pretrain.teachers import teacher
    from asr_pretrain.teachers.frozen import Frozen
    from asr_pretrain.training.recipe import TeacherConfig

    class Loudness(Frozen):
        def features(self, waveform: torch.Tensor) -> torch.Tensor:
            return waveform.unfold(1, 1280, 1280).square().mean(-1, keepdim=True).expand(-1, -1, 4)

    monkeypatch.setattr(teacher, "load_frozen", lambda config: (Loudness().freeze(), "0" * 64))
    config = TeacherConfig(kind="torchaudio", path=Path("large.safetensors"), licence="MIT")
    tensors, sidecar = load_checkpoint(train(recipe_for(tiny_corpus, tmp_path / "a", teacher=config)))
    assert sidecar["teacher"]["licence"] == "MIT" and not any("projection" in name for name in tensors)
    alone = load_checkpoint(train(recipe_for(tiny_corpus, tmp_path / "b")))[0]
    assert not torch.equal(tensors["encoder.stem.conv.weight"], alone["encoder.stem.conv.weight"])
    cached = recipe_for(tiny_corpus, tmp_path / "c", teacher=config, cached_batches=2)
    with pytest.raises(RecipeError, match="leave cached_batches out"):
        train(cached)
