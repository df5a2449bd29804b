"""One speaker under two names is heard by an encoder; strangers are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from onnx import TensorProto, helper
from scipy.signal import firwin2, lfilter

import mirror_device.logmel
from data_splits.audio import to_int16
from data_splits.audit import RULES, Audited, Finding
from data_splits.audit.sound.copies import babble_word
from data_splits.audit.sound.embed import Encoder, embed
from data_splits.audit.sound.logmel import log_mel
from data_splits.cli import main
from data_splits.manifest import write_manifest

RULE = "probable-speaker-overlap"
SPEAKERS, TAKES = 20, 4
Make = Callable[..., pl.DataFrame]


def graph(path: Path, shape: list[int | str], n_inputs: int = 1, axis: int = 1) -> Path:
    """An encoder that is the mean over time."""
    inputs = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i in range(n_inputs)]
    out = helper.make_tensor_value_info("voice", TensorProto.FLOAT, None)
    mean = helper.make_node("ReduceMean", ["x0"], ["voice"], axes=[axis], keepdims=int(len(shape) == 2))
    model = helper.make_model(
        helper.make_graph([mean], "mean", inputs, [out]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    path.write_bytes(model.SerializeToString())
    return path


def spoken(voice: int, take: int) -> np.ndarray:
    """A made-up word through a vocal tract of its own."""
    gains_db = np.random.default_rng((7, voice)).normal(0, 15, 20)
    tract = firwin2(511, [0.0, *np.geomspace(0.02, 1, 19)], 10 ** (gains_db / 20))
    samples = lfilter(tract, [1.0], babble_word(take, take, voice) / 32768.0)
    return to_int16(0.3 * samples / np.abs(samples).max())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four words by each of twenty speakers, and the encoder."""
    path = tmp_path_factory.mktemp("voices")
    for voice in range(SPEAKERS):
        for take in range(TAKES + 4):
            soundfile.write(path / f"{voice}-{take}.wav", spoken(voice, take), 16_000)
    graph(path / "encoder.onnx", [1, "frames", 40])
    return path


def manifest(make: Make, twice: bool = False, named: bool = True) -> pl.DataFrame:
    """Twelve speakers in train, four in dev, four in test; `twice`: the first is in test as well, unnamed."""
    split = ["train"] * 12 + ["dev"] * 4 + ["test"] * 4
    said = [(voice, f"s{voice}", split[voice], take) for voice in range(SPEAKERS) for take in range(TAKES)]
    if twice:
        said += [(0, "somebody", "test", take) for take in range(TAKES, TAKES + 4)]
    return make(
        *[
            {
                "id": f"{name}-{take}",
                "audio": f"{voice}-{take}.wav",
                "split": where,
                "speaker": name if named and name != "somebody" else None,
                "session": name,
            }
            for voice, name, where, take in said
        ]
    )


def find(frame: pl.DataFrame, folder: Path) -> list[Finding]:
    voices = embed(frame, folder, folder / "encoder.onnx")
    return list(RULES[RULE](Audited(frame, voices), RULE))


def test_the_log_mels_are_those_of_the_mirror() -> None:
    samples = spoken(0, 0)
    np.testing.assert_allclose(log_mel(samples), mirror_device.logmel.log_mel(samples), atol=1e-4)


def test_strangers_are_left_alone(make: Make, folder: Path) -> None:
    assert find(manifest(make), folder) == []


def test_a_speaker_under_two_names_is_heard(make: Make, folder: Path) -> None:
    (finding,) = find(manifest(make, twice=True), folder)
    assert finding.severity == "warning"
    assert finding.count == 4
    assert {row.rpartition("-")[0] for row in finding.ids} == {"s0", "somebody"}


def test_without_named_speakers_nothing_is_claimed(make: Make, folder: Path) -> None:
    (finding,) = find(manifest(make, named=False), folder)
    assert finding.severity == "info"
    assert "fewer than 10 named speakers" in finding.message


def test_a_waveform_encoder_is_given_the_waveform(tmp_path: Path) -> None:
    encoder = Encoder(graph(tmp_path / "e.onnx", [1, "samples"]))
    assert encoder(np.full(100, 16384, np.int16)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("content", "word"),
    [("missing", "no file"), ("text", "not a usable"), ("two", "one float32 input"), ("mels", "free length")],
)
def test_a_wrong_encoder_is_refused(tmp_path: Path, content: str, word: str) -> None:
    path = tmp_path / "e.onnx"
    if content == "text":
        path.write_text("not a model")
    if content == "two":
        graph(path, [1, "samples"], n_inputs=2)
    if content == "mels":
        graph(path, [1, 7, 40])
    with pytest.raises(ValueError, match=word):
        Encoder(path)(np.zeros(1600, np.int16))


def test_the_command_listens_to_voices(
    make: Make, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = folder / "manifest.parquet"
    write_manifest(manifest(make, twice=True).filter(pl.col("split") != "dev"), path)
    encoder = str(folder / "encoder.onnx")
    assert main(["audit", str(path), "--embedder", encoder]) == 2
    assert "--audio" in capsys.readouterr().err
    main(["audit", str(path), "--audio", "--embedder", encoder, "--cache", str(tmp_path), "--jobs", "1"])
    assert RULE in capsys.readouterr().out
