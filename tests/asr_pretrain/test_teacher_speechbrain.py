from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from asr_pretrain import torchaudio_standin
from asr_pretrain.teachers.teacher import Teacher, TeacherConfig, TeacherError

torchaudio_standin.install()
import torchaudio  # noqa: E402
from speechbrain.lobes.features import Fbank  # noqa: E402
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd  # noqa: E402
from speechbrain.lobes.models.CRDNN import CRDNN  # noqa: E402
from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR  # noqa: E402
from speechbrain.processing.features import InputNormalization  # noqa: E402

CHANNELS = 12
FRONT_END = {
    "num_blocks": 2,
    "num_layers_per_block": 1,
    "out_channels": [4, 4],
    "kernel_sizes": [3, 3],
    "strides": [2, 2],
    "residuals": [False, False],
}
CONFORMER = {
    "input_size": 40,
    "d_model": 16,
    "nhead": 2,
    "num_encoder_layers": 2,
    "d_ffn": 32,
    "encoder_module": "conformer",
    "attention_type": "RelPosMHAXL",
    "normalize_before": True,
    "causal": False,
}


def config(path: Path, **more: Any) -> TeacherConfig:
    return TeacherConfig.model_validate(
        {"kind": "speechbrain", "path": path, "licence": "Apache-2.0", **more}
    )


def describe(folder: Path, **keys: Any) -> None:
    (folder / "config.json").write_text(json.dumps(keys))


def test_a_crdnn_learns_like_the_original(tmp_path: Path) -> None:
    sizes = {"cnn_blocks": 1, "cnn_channels": [4], "rnn_layers": 1, "rnn_neurons": 8, "dnn_neurons": 10}
    torch.manual_seed(0)
    encoder = CRDNN(input_shape=[8, 10, 40], **sizes).eval()
    torch.save(encoder.state_dict(), tmp_path / "asr.ckpt")
    describe(tmp_path, model="crdnn", n_mels=40, normalize="sentence", arguments=sizes)
    teacher = Teacher(config(tmp_path), CHANNELS)
    waveform = 0.1 * torch.randn(2, 16_000)
    mels = InputNormalization(norm_type="sentence")(Fbank(n_mels=40)(waveform), torch.ones(2))
    with torch.no_grad():
        assert torch.allclose(teacher.features(waveform), encoder(mels), atol=1e-2)
    output = torch.randn(2, 25, CHANNELS)
    optimizer = torch.optim.Adam(teacher.parameters(), lr=0.05)
    losses = []
    for _ in range(21):
        loss = teacher(output, waveform)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert teacher.card()["parameters"] == sum(p.numel() for p in encoder.parameters())
    with pytest.raises(TeacherError, match="layer 2: only the last one of a crdnn"):
        Teacher(config(tmp_path, layer=2), CHANNELS)


def test_a_conformer_is_read_as_a_recipe_saves_it(tmp_path: Path) -> None:
    """`asr.ckpt` holds ModuleList [CNN, Transformer, seq_lin, ctc_lin], the decoder included."""
    torch.manual_seed(0)
    front_end = ConvolutionFrontEnd(input_shape=[8, 10, 40], **FRONT_END)
    transformer = TransformerASR(tgt_vocab=31, num_decoder_layers=1, activation=nn.GELU, **CONFORMER)
    saved = nn.ModuleList([front_end, transformer, nn.Linear(16, 31), nn.Linear(16, 31)]).eval()
    torch.save(saved.state_dict(), tmp_path / "asr.ckpt")
    normalizer = InputNormalization(norm_type="global")
    waveform = 0.1 * torch.randn(2, 16_000)
    mels = Fbank(n_mels=40)(waveform)
    normalizer(mels, torch.ones(2))
    normalizer._save(tmp_path / "normalizer.ckpt")
    describe(
        tmp_path,
        model="transformer",
        n_mels=40,
        front_end=FRONT_END,
        arguments={**CONFORMER, "activation": "GELU"},
    )
    normalizer.eval()
    with torch.no_grad():
        wanted = transformer.encode(front_end(normalizer(mels, torch.ones(2))))
    teacher = Teacher(config(tmp_path), CHANNELS)
    assert teacher.features(waveform).shape == wanted.shape == (2, 26, 16)
    assert torch.allclose(teacher.features(waveform), wanted, atol=1e-5)
    (tmp_path / "normalizer.ckpt").unlink()
    with pytest.raises(TeacherError, match="normalizer.ckpt: no such file; copy it beside the weights"):
        Teacher(config(tmp_path), CHANNELS)
    torch.save({"glob_mean": torch.zeros(3)}, tmp_path / "normalizer.ckpt")
    with pytest.raises(TeacherError, match="normalizer.ckpt: no glob_mean of 40 bands"):
        Teacher(config(tmp_path), CHANNELS)


def test_an_unknown_activation_is_refused(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "asr.ckpt")
    describe(tmp_path, model="crdnn", arguments={"activation": "os.system"})
    with pytest.raises(TeacherError, match="activation 'os.system': one of ReLU"):
        Teacher(config(tmp_path), CHANNELS)
    (tmp_path / "config.json").unlink()
    with pytest.raises(TeacherError, match="neither asr.json nor config.json"):
        Teacher(config(tmp_path), CHANNELS)


HYPERPARAMS = """
encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    - !new:speechbrain.lobes.features.Fbank
        n_mels: 20
modules:
    encoder: !ref <encoder>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables: {}
trap: !apply:os.makedirs [SPRUNG, 511, True]
"""


def test_a_yaml_runs_only_when_it_is_trusted(tmp_path: Path) -> None:
    folder, sprung = tmp_path / "teacher", tmp_path / "sprung"
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(HYPERPARAMS.replace("SPRUNG", str(sprung)))
    with pytest.raises(TeacherError, match="hyperparams.yaml: builds whatever Python it names.*trust: true"):
        Teacher(config(folder), CHANNELS)
    assert not sprung.exists()
    with pytest.raises(TeacherError, match="teacher: has the hash .* the recipe expects 1111"):
        Teacher(config(folder, trust=True, sha256="1" * 64), CHANNELS)
    assert not sprung.exists()
    teacher = Teacher(config(folder, trust=True), CHANNELS)
    assert sprung.exists()
    assert teacher.features(torch.randn(2, 16_000)).shape == (2, 101, 20)
    assert teacher.card()["trusted_code"] is True
    assert teacher.sha256 == Teacher(config(folder, trust=True), CHANNELS).sha256
    assert sorted(path.name for path in folder.iterdir()) == ["hyperparams.yaml"]


def test_its_wrapper_of_wav2vec2_is_read_without_transformers(tmp_path: Path) -> None:
    """Names as transformers has them, under `model.`; checked once against transformers itself."""
    sizes: dict[str, Any] = {
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
    model = torchaudio.models.wav2vec2_model(**sizes, aux_num_out=None).eval()
    renamed = {
        "model."
        + name.replace("encoder.transformer.", "encoder.").replace(
            "encoder.feature_projection.", "feature_projection."
        ): value
        for name, value in model.state_dict().items()
    }
    assert "model.feature_projection.projection.weight" in renamed
    torch.save({**renamed, "model.masked_spec_embed": torch.zeros(24)}, tmp_path / "wav2vec2.ckpt")
    describe(tmp_path, model="wav2vec2", arguments=sizes)
    waveform = torch.randn(2, 8000)
    wanted = model.extract_features(waveform)[0][0]
    assert torch.equal(Teacher(config(tmp_path, layer=1), CHANNELS).features(waveform), wanted)
