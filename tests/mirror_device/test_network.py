"""The int8 engines: numpy's and C's scores are the same bits, and onnxruntime's of that file nearly so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mirror_device import Detector, ModelError, native
from mirror_device.logmel import STEP_FRAMES, STEP_SAMPLES, LogMel
from mirror_device.model import Model
from mirror_device.network import plain_exp, plain_log
from mirror_device.onnx_file import DamagedFile, read_onnx

compiled = pytest.mark.skipif(not native.AVAILABLE, reason="installed without a compiler")


KINDS = ("head", "head and phones", "phones")


def int8_model(path: Path, kind: str, seed: int = 0, words: int = 2) -> Path:
    """A small network with weights drawn at random, quantized as `wakeword quantize` does."""
    import torch

    from asr_pretrain.encoder import EncoderConfig
    from wakeword.export import StreamingTrigger, device_metadata, export_float, write_model
    from wakeword.model import HeadConfig, TriggerModel
    from wakeword.quantize import input_ranges, quantized

    torch.manual_seed(seed)
    phrases = ["smart mirror", "hello"][:words]
    shape = EncoderConfig(channels=20, kernel=3, dilations=(1, 2, 4), stem_kernel=7)
    head = HeadConfig(hidden=6, layers=0 if kind == "phones" else 2, spot=kind != "head")
    model = TriggerModel(shape, head, phrases).eval()
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    card = {"name": "w", "keywords": phrases, "manifest_sha256": [], "git_revision": ""}
    metadata = device_metadata(card, "1.0.0")
    export_float(model, path, metadata)
    streaming, proto = StreamingTrigger(model).eval(), onnx.load(str(path))
    cuts = np.random.default_rng(seed).standard_normal((4, 16000)).astype(np.float32) * 0.05
    quantized(proto, streaming, input_ranges(streaming, cuts))
    write_model(proto, path, {**metadata, "precision": "int8", "network": streaming.layout()})
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("int8")
    return {kind: int8_model(folder / f"{kind}.onnx", kind) for kind in KINDS}


def heard(path: Path, engine: Any, log_mels: np.ndarray) -> np.ndarray:
    model = Model(path, engine)
    return np.array([model.step(log_mel) for log_mel in log_mels])


@pytest.fixture(scope="module")
def log_mels() -> np.ndarray:
    """20 s of noise that comes and goes, of silence and of full scale: (250, 8, 40)."""
    rng = np.random.default_rng(1)
    sound = rng.standard_normal(250 * STEP_SAMPLES) * np.repeat(
        10 ** rng.uniform(0, 4.3, 50), 5 * STEP_SAMPLES
    )
    sound[: 10 * STEP_SAMPLES] = 0
    front_end = LogMel()
    pcm = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return np.array([front_end.process(step) for step in pcm.reshape(-1, STEP_SAMPLES)])


@compiled
@pytest.mark.parametrize("kind", KINDS)
def test_c_and_numpy_give_the_same_bits(models: dict[str, Path], log_mels: np.ndarray, kind: str) -> None:
    in_c, in_numpy = (heard(models[kind], engine, log_mels) for engine in ("native", "numpy"))
    assert np.ptp(in_c) > 0.01
    assert np.array_equal(in_c, in_numpy)


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_says_the_same(models: dict[str, Path], log_mels: np.ndarray, kind: str) -> None:
    graph, ours = (heard(models[kind], engine, log_mels) for engine in ("onnxruntime", "numpy"))
    assert np.abs(graph - ours).mean() < 1e-3 and np.abs(graph - ours).max() < 0.05


@compiled
def test_the_shipped_size_and_a_reset(tmp_path: Path, log_mels: np.ndarray) -> None:
    model = Model(int8_model(tmp_path / "one.onnx", kind="head and phones", seed=2, words=1), "native")
    first = [model.step(log_mel) for log_mel in log_mels[:50]]
    model.reset()
    assert np.array_equal(first, [model.step(log_mel) for log_mel in log_mels[:50]])


@compiled
def test_front_ends_agree() -> None:
    rng = np.random.default_rng(3)
    ours, numpys = native.NativeLogMel(), LogMel()
    for loudness in (0, 0.4, 30, 3000, 30000, 1e6, 2):
        step = np.clip(np.rint(rng.standard_normal(STEP_SAMPLES) * loudness), -32768, 32767).astype(np.int16)
        # a loud tone's rounding reaches the quiet bands, in both
        np.testing.assert_allclose(ours.process(step), numpys.process(step), atol=2e-5)
    ours.reset(), numpys.reset()
    np.testing.assert_allclose(ours.process(step), numpys.process(step), atol=2e-5)


@compiled
def test_one_call_is_the_front_ends_and_the_networks(models: dict[str, Path]) -> None:
    pcm = np.random.default_rng(4).normal(0, 3000, (40, STEP_SAMPLES)).astype(np.int16)
    together, apart, front_end = (
        Model(models["head and phones"], "native"),
        Model(models["head and phones"], "native"),
        native.NativeLogMel(),
    )
    of_one, scores = native.NativeLogMel(), np.empty((len(pcm), 2), np.float32)
    for number, step in enumerate(pcm):
        together.hear(of_one, step, scores[number])
    assert np.array_equal(scores, [apart.step(front_end.process(step)) for step in pcm])
    with pytest.raises(ValueError, match="samples: 2 bytes, not 2560"):
        together.hear(of_one, pcm[0, :1], scores[0])
    with pytest.raises(ValueError, match="contiguous"):
        together.hear(of_one, pcm.T.repeat(32, 1)[:, 0], scores[0])  # with gaps


def test_exponential_and_logarithm() -> None:
    x = np.linspace(-699, 699, 2001)
    np.testing.assert_allclose(plain_exp(x), np.exp(x), rtol=1e-13)
    for value in (1e-300, 0.3, 0.70710678, 0.99999, 1.0, 1.4142, 40.0, 1e300):
        assert plain_log(value) == pytest.approx(np.log(value), rel=1e-14, abs=1e-16)


@compiled
def test_buffers_of_other_sizes_are_refused(models: dict[str, Path]) -> None:
    from mirror_device import _native  # type: ignore[attr-defined]

    model = Model(models["head and phones"], "native")
    with pytest.raises(ValueError, match="log_mel: 4 bytes, not 1280"):
        model._engine.step(np.zeros(1, np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="scores: 4 bytes, not 8"):
        model._engine.step(np.zeros((STEP_FRAMES, 40), np.float32), np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        _native.Network(b"\0" * 64, b"\0" * 64, b"")
    with pytest.raises(ValueError, match="window"):
        _native.LogMel(b"", b"")


def changed(path: Path, out: Path, change: Callable[[onnx.ModelProto, dict[str, Any]], None]) -> Path:
    proto = onnx.load(str(path))
    metadata = json.loads(proto.metadata_props[0].value)
    change(proto, metadata)
    onnx.helper.set_model_props(proto, {"rearview": json.dumps(metadata)})
    out.write_bytes(proto.SerializeToString())
    return out


def set_array(name: str, array: np.ndarray) -> Callable[[onnx.ModelProto, dict[str, Any]], None]:
    def change(proto: onnx.ModelProto, metadata: dict[str, Any]) -> None:
        for tensor in proto.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(onnx.numpy_helper.from_array(array, name))

    return change


def set_value(key: str, value: Any) -> Callable[[onnx.ModelProto, dict[str, Any]], None]:
    return lambda proto, metadata: metadata["network"].update({key: value})


@pytest.mark.parametrize(
    "change, words",
    [
        (set_value("channels", 21), r"'encoder.stem.conv.weight' of int8 \(20, 40, 7\)"),
        (set_value("channels", 10**9), "channels = 1000000000"),
        (set_value("dilations", [1, 2]), None),  # a shorter network is one too
        (set_value("dilations", [1, 2, 4, 8]), "no array 'encoder.blocks.3"),
        (set_value("dilations", []), "dilations"),
        (set_value("head", ["head.0", "nothing"]), "no array 'nothing.weight'"),
        (set_value("head", "head.0"), "head = head.0"),
        (set_value("phrases", [{"units": [1]}]), "not one for each of 2"),
        (set_value("phrases", [{"units": [1, 63], "sharpness": 1, "even_cost": 1}] * 2), "40 phones"),
        (set_value("phrases", [{"units": [0], "sharpness": 1, "even_cost": 1}] * 2), "units = 0"),
        (set_value("mean_decay", "slow"), "mean_decay = slow"),
        (set_array("encoder.stem.conv.bias", np.full(20, np.nan, np.float32)), "NaN"),
        (set_array("phones.input_scale", np.array(0, np.float32)), "'phones.input_scale' = 0"),
        (set_array("phones.weight", np.full((40, 20, 1), -128, np.int8)), "-128"),
        (set_array("phones.weight_scale", np.full(40, 1e38, np.float32)), "above 1e\\+09"),
    ],
)
def test_a_network_that_contradicts_itself(
    models: dict[str, Path], tmp_path: Path, change: Callable[..., None], words: str | None
) -> None:
    path = changed(models["head and phones"], tmp_path / "changed.onnx", change)
    if words is None:
        Detector(path)
        return
    with pytest.raises(ModelError, match=words) as caught:
        Detector(path)
    assert "changed.onnx" in str(caught.value)


def test_files_cut_short_or_flipped_are_errors_or_models(models: dict[str, Path], tmp_path: Path) -> None:
    """Nothing but ModelError may come of a damaged file."""
    content, path = models["head and phones"].read_bytes(), tmp_path / "damaged.onnx"
    rng = np.random.default_rng(0)
    for kept in rng.integers(1, len(content), 60):
        path.write_bytes(content[:kept])
        with pytest.raises(ModelError):
            Detector(path)
    for _ in range(200):
        flipped = bytearray(content)
        flipped[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(flipped))
        try:
            Detector(path)
        except ModelError:
            continue


def test_the_reader_needs_no_onnx(models: dict[str, Path]) -> None:
    content = models["head and phones"].read_bytes()
    theirs = onnx.load_from_string(content)
    ours = read_onnx(content)
    assert ours.metadata == {entry.key: entry.value for entry in theirs.metadata_props}
    for tensor in theirs.graph.initializer:
        assert np.array_equal(ours.arrays[tensor.name], onnx.numpy_helper.to_array(tensor))
    with pytest.raises(DamagedFile, match="does not end"):
        read_onnx(b"\xff" * 20)
