import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.train import KEPT_ENCODER
from mirror_device import Detector
from wakeword.blocks import StreamError
from wakeword.cached import CachedCuts, activations, draw
from wakeword.cli import main
from wakeword.folds import hold_out, some_voices, takes_by_voice, voice_folds
from wakeword.model import HeadConfig, TriggerModel
from wakeword.transfer_table import change

TAKES = {"a": 9, "b": 5, "c": 4, "d": 4, "e": 1, "f": 1}


def test_folds_hold_each_voice_once_and_about_as_many_takes() -> None:
    folds = voice_folds(TAKES, 3)
    assert sorted(voice for fold in folds for voice in fold) == sorted(TAKES)
    assert sorted(sum(TAKES[voice] for voice in fold) for fold in folds) == [7, 8, 9]
    assert folds == voice_folds(dict(reversed(TAKES.items())), 3)
    with pytest.raises(StreamError, match="6 voices cannot be dealt to 7 folds"):
        voice_folds(TAKES, 7)


def test_a_voice_of_one_take_does_not_stand_for_all() -> None:
    assert some_voices(TAKES, list("abef"), None, 0) == list("abef")
    assert set(some_voices(TAKES, list("abef"), 2, 0)) == {"a", "b"}
    with pytest.raises(StreamError, match="3 voices asked for, 2 have 3 takes"):
        some_voices(TAKES, list("abef"), 3, 0)


def test_a_held_out_voice_is_in_no_training_row() -> None:
    frame = pl.DataFrame(
        {
            "speaker": ["a", "a", "b", None, "t"],
            "split": ["train", "train", "dev", "dev", "test"],
            "labels": [{"w": 1}, {"w": 0}, {"w": 1}, {"w": 0}, {"w": 1}],
        }
    )
    assert takes_by_voice(frame, "w", ("train", "dev")) == {"a": 1, "b": 1}
    held = hold_out(frame, ["a", "b"], ["a"])
    assert held["split"].to_list() == ["dev", "dev", "train", "dev"]
    assert takes_by_voice(frame, "w", ("train", "dev", "test")) == {"a": 1, "b": 1, "t": 1}
    assert hold_out(frame, ["a", "b", "t"], ["a"])["split"].to_list()[-1] == "train"


def test_rows_are_compared_on_the_same_takes() -> None:
    scratch = {"encoder": "scratch", "missed_by_voice": {"a": [3, 4], "b": [2, 2], "c": [1, 2]}}
    own = {"encoder": "own", "missed_by_voice": {"a": [1, 4], "b": [1, 2], "c": [0, 2]}}
    points, interval = change(own, scratch)
    assert points == pytest.approx(-4 / 8) and interval.low == interval.high == pytest.approx(-0.5)
    own["missed_by_voice"]["c"] = [2, 2]
    assert change(own, scratch)[1].holds(0)


class Numbers:
    """Batches whose features are their number."""

    def batch(self, step: int, rank: int, world: int) -> dict[str, torch.Tensor]:
        rows = torch.arange(3) + 3 * step
        return {
            "features": rows[:, None, None].expand(3, 12, 40).float(),
            "word_start": rows,
            "word_end": rows + 1,
            "active": torch.zeros(3, 70, dtype=torch.int64),
        }


def test_cached_cuts_are_those_that_were_drawn(tmp_path: Path) -> None:
    calls = []

    def make() -> Numbers:
        calls.append(1)
        return Numbers()

    for _ in range(2):
        draw(make, tmp_path / "cuts", 4, (3, 320, 40), {"seed": 0})
    assert calls == [1]
    cuts = CachedCuts(tmp_path / "cuts", batch_size=5)
    batch = cuts.batch(7, 0, 1)
    assert torch.equal(batch["features"][:, 0, 0].long(), batch["word_start"])
    assert not batch["features"][:, 12:].any() and batch["active"].shape == (5, 80)
    assert torch.equal(cuts.batch(7, 0, 1)["word_end"], batch["word_end"])
    draw(make, tmp_path / "cuts", 4, (3, 320, 40), {"seed": 1})
    assert calls == [1, 1]


@pytest.mark.parametrize("unfreeze", ["head", "last", "half"])
def test_activations_give_the_same_logits(tmp_path: Path, unfreeze: str) -> None:
    torch.manual_seed(0)
    model = TriggerModel(EncoderConfig(channels=16, dilations=(1, 2)), HeadConfig(), ["w"]).eval()
    cuts = draw(Numbers, tmp_path / "cuts", 2, (3, 320, 40), {})
    hidden = activations(cuts, model, unfreeze, tmp_path / unfreeze)  # type: ignore[arg-type]
    with torch.inference_mode():
        whole = model(CachedCuts(cuts, 6).batch(0, 0, 1)["features"])[0]
        part = model(CachedCuts(hidden, 6).batch(0, 0, 1)["features"], unfreeze)[0]
    torch.testing.assert_close(part, whole, rtol=0.01, atol=0.01)  # kept in half precision


def test_kept_streams_score_as_the_device_does(tmp_path: Path) -> None:
    from wakeword.blocks import Stream, Word
    from wakeword.export import device_metadata, export_float
    from wakeword.rendered import keep, listen, listen_device

    torch.manual_seed(1)
    model = TriggerModel(EncoderConfig(channels=16, dilations=(1, 2)), HeadConfig(), ["w"]).eval()
    sidecar = {"name": "w", "keywords": ["w"], "manifest_sha256": [], "git_revision": "", "recipe": {}}
    export_float(model, tmp_path / "w.onnx", device_metadata(sidecar, "1.0.0"))
    samples = (np.random.default_rng(0).normal(size=50_000) * 2000).astype(np.int16)
    stream = Stream("s/0", "quiet", samples, (Word("take", "voice", 1.0, 1.5),))
    kept = keep([stream], tmp_path / "streams")
    assert keep([], tmp_path / "streams")[0].words == kept[0].words == stream.words
    device = Detector(tmp_path / "w.onnx").scores(samples)[:, 0]
    np.testing.assert_allclose(listen(model, kept)[0].scores, device, atol=1e-4)
    np.testing.assert_allclose(listen_device(tmp_path / "w.onnx", kept)[0].scores, device, atol=1e-5)


def test_a_grid_is_trained_once_and_tabled(
    tiny_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = {
        "manifests": ["unused"],
        "out": "unused",
        "encoder": {"channels": 16, "dilations": [1, 2]},
        "batch_size": 6,
        "cached_batches": 2,
        "optimisation": {"steps": 2, "warmup_steps": 1, "workers": 0},
        "surroundings": {"cabins": 3, "procedural_noises": 3},
        "tasks": {"phones_weight": 0.1, "voice_activity_weight": 0.1},
    }
    (tmp_path / "cell.yaml").write_text(yaml.safe_dump(cell))
    grid = {
        "base": "cell.yaml",
        "recordings": str(tiny_corpus),
        "out": str(tmp_path / "out"),
        "voices": [None],
        "folds": 2,
        "conditions": ["0"],
    }
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(grid))
    assert main(["transfer", str(path)]) == 0
    assert "2 of 2 cells to do" in capsys.readouterr().out
    assert main(["transfer", str(path), "--only", "all-fold1", "--seed", "5", "--dry-run"]) == 0
    assert "1 of 1 cells to do\nscratch-all-all-fold1-seed5" in capsys.readouterr().out
    encoder = tmp_path / "out" / "cells" / "scratch-all-all-fold0-seed0" / "trigger.safetensors"
    grid |= {"encoders": {"own": str(encoder)}, "unfreeze": ["head"]}
    path.write_text(yaml.safe_dump(grid))
    assert main(["transfer", str(path)]) == 0
    output = capsys.readouterr().out
    assert "2 of 4 cells to do" in output and "times as fast from the frozen layers' output" in output
    assert "| own | head | all | 0 |" in output and "| voice | words | scratch, all, all, 0 |" in output
    rows = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert [row["encoder"] for row in rows] == ["scratch", "own"] and rows[0]["hours"] > 0
    assert not (encoder.parent.parent / "own-head-all-fold0-seed0" / "head").exists()
    grid |= {"untrained": True, "encoders": {"kept": str(KEPT_ENCODER)}, "scratch": False, "unfreeze": []}
    path.write_text(yaml.safe_dump(grid))
    assert main(["transfer", str(path)]) == 0
    assert "| kept | none | 0 | 0 |" in capsys.readouterr().out
    grid |= {"untrained": False, "encoders": {"own": str(encoder)}, "unfreeze": ["head"]}
    grid |= {"int8": True, "scratch": False, "variants": {"quantized": {}}}
    path.write_text(yaml.safe_dump(grid))
    assert main(["transfer", str(path)]) == 0
    assert "| own, quantized, int8 | head | all | 0 |" in capsys.readouterr().out
    assert main(["transfer", str(path), "--seed", "1"]) == 0
    capsys.readouterr()
    grid |= {"smoothing_steps": [1, 2], "start_shares": [0.25], "int8": False}
    grid |= {"variants": {"mean": {"runs": 2, "start_share": 0.5}}}
    path.write_text(yaml.safe_dump(grid))
    for to_do in ("2 of 2", "0 of 2"):
        assert main(["transfer", str(path)]) == 0
        output = capsys.readouterr().out
        assert to_do in output and "| own, mean, 25% of the start, mean of 1 | head | all | 0 |" in output
    grid["encoders"] = {"scratch": str(encoder)}
    path.write_text(yaml.safe_dump(grid))
    assert main(["transfer", str(path)]) == 2
    assert "encoder 'scratch'" in capsys.readouterr().err
    pytest.importorskip("pvporcupine")
    grid["encoders"] = {"own": str(encoder)}
    path.write_text(yaml.safe_dump(grid))
    assert main(["transfer", str(path), "--engine", "porcupine"]) == 0
    output = capsys.readouterr().out
    assert "| porcupine 1.9.5 | none | 0 | 0 |" in output
    assert main(["transfer", str(path), "--engine", "porcupine"]) == 0
    assert capsys.readouterr().out == output  # listened to once
    assert main(["transfer", str(path), "--engine", "openwakeword"]) == 2
    assert "not 'smart mirror'" in capsys.readouterr().err
