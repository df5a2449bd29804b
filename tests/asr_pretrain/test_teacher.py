from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from asr_pretrain import torchaudio_standin
from asr_pretrain.teachers.teacher import Teacher, TeacherConfig, TeacherError, aligned
from asr_pretrain.training.checkpoint import file_sha256
from asr_pretrain.training.recipe import RecipeError, Strict, load_recipe

torchaudio_standin.install()
import torchaudio  # noqa: E402

TINY: dict[str, Any] = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [[16, 10, 5], [16, 3, 4], [16, 4, 4], [16, 4, 4]],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 24,
    "encoder_projection_dropout": 0.1,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 2,
    "encoder_num_layers": 2,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_features": 32,
    "encoder_ff_interm_dropout": 0.1,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.1,
}
CHANNELS = 12


def tiny_wav2vec2(aux_num_out: int | None = None) -> nn.Module:
    torch.manual_seed(1)
    return torchaudio.models.wav2vec2_model(**TINY, aux_num_out=aux_num_out).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A wav2vec 2.0 with a head of 29 letters, its weights and its description."""
    save_file(tiny_wav2vec2(29).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model": "wav2vec2_model", "arguments": TINY}))
    return tmp_path


def config(path: Path, **more: Any) -> TeacherConfig:
    return TeacherConfig.model_validate({"kind": "torchaudio", "path": path, "licence": "MIT", **more})


def falls(teacher: Teacher) -> tuple[float, float]:
    """Loss before and after 20 steps of a student that hears what the teacher hears, in frames of 40 ms."""
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(2, 16_000)
    student = nn.Linear(640, CHANNELS)
    optimizer = torch.optim.Adam([*student.parameters(), *teacher.parameters()], lr=0.02)
    losses = []
    for _ in range(21):
        loss = teacher(torch.tanh(student(waveform.view(2, 25, 640))), waveform)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses[0], losses[-1]


def test_the_loss_falls_and_the_teacher_stays(folder: Path) -> None:
    teacher = Teacher(config(folder), CHANNELS)
    teacher.train()
    waveform = torch.randn(2, 8000)
    before = teacher.features(waveform)
    first, last = falls(teacher)
    assert last < 0.8 * first
    assert torch.equal(teacher.features(waveform), before)  # no drop-out, nothing learnt
    assert [name for name, _ in teacher.named_parameters()] == ["projection.weight", "projection.bias"]
    assert set(teacher.state_dict()) == {"projection.weight", "projection.bias"}


def test_features_are_those_of_the_layer(folder: Path) -> None:
    waveform = torch.randn(2, 8000)
    layers = tiny_wav2vec2().extract_features(waveform)[0]
    for layer, wanted in ((1, layers[0]), (2, layers[1]), (None, layers[1])):
        assert torch.equal(Teacher(config(folder, layer=layer), CHANNELS).features(waveform), wanted)
    with pytest.raises(TeacherError, match=r"model.safetensors: layer 3 of a model of 2"):
        Teacher(config(folder, layer=3), CHANNELS)


def test_the_loss_is_that_of_distilhubert(folder: Path) -> None:
    teacher = Teacher(config(folder, weight=0.5), CHANNELS)
    waveform, output = torch.randn(1, 16_000), torch.randn(1, 25, CHANNELS)
    wanted = aligned(teacher.features(waveform), 16_000, 25, torch.tensor([640]))
    predicted = teacher.projection(output)
    per_frame = (predicted - wanted).abs().sum(-1) / 24 - torch.log(
        torch.sigmoid(nn.functional.cosine_similarity(predicted, wanted, dim=-1))
    )
    assert teacher.loss(output, waveform).item() == pytest.approx(0.5 * per_frame.mean().item(), rel=1e-5)


def test_padding_counts_nothing_and_batches_add_up(folder: Path) -> None:
    teacher = Teacher(config(folder), CHANNELS)
    waveform, output = torch.randn(2, 16_000), torch.randn(2, 25, CHANNELS)
    n_frames = torch.tensor([10, 25])
    changed = output.clone()
    changed[0, 10:] += 7
    whole = teacher.loss(output, waveform, n_frames=n_frames)
    assert torch.equal(whole, teacher.loss(changed, waveform, n_frames=n_frames))
    parts = [
        teacher.loss(output[i : i + 1], waveform[i : i + 1], n_frames=n_frames[i : i + 1], frames_total=35)
        for i in range(2)
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-4)


def test_features_are_found_at_the_time_of_the_frame() -> None:
    # 50 features a second over two seconds, whose value is the time of their middle.
    times = (torch.arange(100) + 0.5) / 50
    features = times.expand(2, 100)[..., None]
    found = aligned(features, 32_000, 40, torch.tensor([640, 480]))[..., 0]
    frames = torch.arange(40) + 0.5
    assert torch.allclose(found[0], frames * 0.04, atol=1e-5)
    assert torch.allclose(found[1], frames * 0.03, atol=1e-5)
    # Beyond the waveform the last one stays.
    assert float(aligned(features, 32_000, 80, torch.tensor([640, 640]))[0, -1]) == pytest.approx(1.99)


def test_the_card_names_hash_and_licence(folder: Path) -> None:
    digest = file_sha256(folder / "model.safetensors")
    card = Teacher(config(folder / "model.safetensors", sha256=digest, layer=1), CHANNELS).card()
    assert (card["sha256"], card["licence"], card["weights"]) == (digest, "MIT", "model.safetensors")
    assert (card["layer"], card["width"], card["kind"]) == (1, 24, "torchaudio")
    assert json.loads(json.dumps(card)) == card
    assert str(folder) not in json.dumps(card)


def test_another_hash_is_refused(folder: Path) -> None:
    with pytest.raises(TeacherError, match="model.safetensors: has the hash .*, the recipe expects 0000"):
        Teacher(config(folder, sha256="0" * 64), CHANNELS)


@pytest.mark.parametrize("licence", [None, "", "  "])
def test_a_missing_licence_is_refused(tmp_path: Path, licence: str | None) -> None:
    class Recipe(Strict):
        teacher: TeacherConfig

    (tmp_path / "recipe.yaml").write_text(
        json.dumps(
            {
                "teacher": {"kind": "torchaudio", "path": "x"}
                | ({} if licence is None else {"licence": licence})
            }
        )
    )
    with pytest.raises(RecipeError, match="recipe.yaml: teacher.licence"):
        load_recipe(tmp_path / "recipe.yaml", Recipe)
    with pytest.raises(ValidationError, match="unknown"):
        config(tmp_path, unknown=1)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_pickled_objects_are_refused_and_not_built(folder: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    (folder / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1), "trap": Trap(sprung)}, folder / "model.pt")
    with pytest.raises(TeacherError, match="model.pt: holds pickled Python objects.*safetensors"):
        Teacher(config(folder), CHANNELS)
    assert not sprung.exists()
    torch.save({"epoch": 3, "model": {"weight": torch.zeros(1)}}, folder / "model.pt")
    with pytest.raises(TeacherError, match="model.pt: not a state_dict of tensors alone"):
        Teacher(config(folder), CHANNELS)


def test_a_state_dict_that_torch_saved_is_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(tiny_wav2vec2().state_dict(), folder / "model.pth")
    waveform = torch.randn(1, 8000)
    wanted = tiny_wav2vec2().extract_features(waveform)[0][-1]
    assert torch.equal(Teacher(config(folder), CHANNELS).features(waveform), wanted)


def test_a_bundle_in_the_cache_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = torchaudio.pipelines.Wav2Vec2FABundle(
        "wav2vec2_tiny.pth", {**TINY, "aux_num_out": 29}, _labels=(), _sample_rate=16_000,
        _normalize_waveform=True, _model_type="Wav2Vec2",
    )  # fmt: skip
    monkeypatch.setattr(torchaudio.pipelines, "TINY", bundle, raising=False)
    # Weight normalisation as torch 1 named it, when the bundles were made.
    old = {"original0": "weight_g", "original1": "weight_v"}
    state = tiny_wav2vec2(29).state_dict()
    renamed = {
        name.replace("parametrizations.weight.", "").replace(tail, old.get(tail, tail)): value
        for name, value in state.items()
        for tail in [name.rpartition(".")[2]]
    }
    assert any(name.endswith("weight_g") for name in renamed)
    torch.save(renamed, tmp_path / "wav2vec2_tiny.pth")
    waveform = 0.1 * torch.randn(1, 8000) + 0.2
    found = Teacher(config(tmp_path / "wav2vec2_tiny.pth"), CHANNELS).features(waveform)
    normalized = (waveform - waveform.mean()) / waveform.std(unbiased=False)
    assert torch.allclose(found, tiny_wav2vec2().extract_features(normalized)[0][-1], atol=1e-4)
    (tmp_path / "wav2vec2_tiny.pth").rename(tmp_path / "mine.pth")
    with pytest.raises(TeacherError, match="mine.pth: no bundle of torchaudio has this file name"):
        Teacher(config(tmp_path / "mine.pth"), CHANNELS)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        (
            {"model": "wav2vec2_model", "arguments": {**TINY, "encoder_num_layers": 3}},
            "missing encoder.*layers.2",
        ),
        (
            {"model": "wav2vec2_model", "arguments": {**TINY, "encoder_num_layers": 1}},
            "unknown encoder.*layers.1",
        ),
        ({"model": "wav2vec2_model", "arguments": {**TINY, "encoder_embed_dim": 48}}, r"is \(24.*not \(48"),
        ({"model": "wav2vec2_model", "arguments": {**TINY, "os": 1}}, "has no argument 'os'"),
        ({"model": "wav2vec2_model", "arguments": {}}, "refuses the sizes"),
        ({"model": "Tacotron2"}, "no model 'Tacotron2' in torchaudio.models"),
        ({"model": "wav2vec2_model", "code": "x"}, "config.json: code: Extra inputs"),
    ],
)
def test_a_wrong_description_is_named(folder: Path, description: dict[str, Any], reason: str) -> None:
    (folder / "config.json").write_text(json.dumps(description))
    with pytest.raises(TeacherError, match=reason):
        Teacher(config(folder), CHANNELS)


def test_missing_or_damaged_weights_are_named(folder: Path) -> None:
    with pytest.raises(TeacherError, match="absent: no such teacher"):
        Teacher(config(folder / "absent"), CHANNELS)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(TeacherError, match="model.safetensors: not safetensors, or damaged"):
        Teacher(config(folder), CHANNELS)
    weights.rename(folder / "model.pt")
    with pytest.raises(TeacherError, match="model.pt: (not weights|holds pickled)"):
        Teacher(config(folder), CHANNELS)
    (folder / "other.pt").touch()
    with pytest.raises(TeacherError, match="one file of weights .* found model.pt, other.pt; name it"):
        Teacher(config(folder), CHANNELS)
