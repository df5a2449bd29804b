"""Model files that are damaged or not ours: one clear error that names the file and a remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from mirror_device import Detector, ModelError
from mirror_device.model import MAX_FILE_BYTES


def refuses(path: Path, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        Detector(path)
    message = str(caught.value)
    assert path.name in message and "\n" not in message and len(message) < 700


def test_missing_names_the_shipped_ones() -> None:
    with pytest.raises(ModelError, match="no_such_model.*shipped"):
        Detector("no_such_model")


@pytest.mark.fault("model empty, a folder, too large", "refused by name, status 2")
def test_folder_empty_and_huge(tmp_path: Path) -> None:
    refuses(tmp_path, "folder")
    path = tmp_path / "x.onnx"
    path.write_bytes(b"")
    refuses(path, "empty")
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # sparse
    refuses(path, "at most")


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "random.onnx"
    path.write_bytes(np.random.default_rng(seed).bytes(5000))
    refuses(path, "not an ONNX file")


def test_truncated_anywhere(tmp_path: Path, tiny_model: Path) -> None:
    content = tiny_model.read_bytes()
    path = tmp_path / "truncated.onnx"
    for kept in range(1, len(content), 97):
        path.write_bytes(content[:kept])
        refuses(path, "again|wakeword quantize")


def test_not_ours(tmp_path: Path) -> None:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", value[:1], value[1:])
    opset = [helper.make_opsetid("", 18)]
    path = tmp_path / "other.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())
    refuses(path, "without the metadata")


WORD = {"phrase": "a", "threshold": 0.5, "fa_per_hour": 1}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"format": "rearview-wakeword/2"}, "rearview-wakeword/2"),
        ({"format": ...}, "format = None"),
        ({"name": 3}, "name = 3"),
        ({"version": ""}, "version = ''"),
        ({"keywords": []}, "keywords"),
        ({"keywords": "mirror"}, "keywords = 'mirror'"),
        ({"keywords": [3]}, r"keywords\[0\] is 3"),
        ({"keywords": [WORD, WORD]}, "twice"),
        ({"keywords": [WORD, {**WORD, "phrase": "b"}]}, "2 keywords"),
        ({"keywords": [{**WORD, "threshold": 1.5}]}, "threshold = 1.5"),
        ({"keywords": [{**WORD, "threshold": True}]}, "threshold = True"),
        ({"keywords": [{**WORD, "threshold": float("nan")}]}, "threshold = nan"),
        ({"keywords": [{**WORD, "fa_per_hour": "few"}]}, "fa_per_hour = 'few'"),
        ({"keywords": [{**WORD, "phrase": None}]}, "phrase = None"),
        ({"step_samples": 640}, "step_samples = 640"),
        ({"smoothing_steps": 0}, "smoothing_steps = 0"),
        ({"smoothing_steps": 2.0}, "smoothing_steps = 2.0"),
        ({"smoothing_steps": 10**9}, "smoothing_steps"),
        ({"refractory_s": -1}, "refractory_s = -1"),
        ({"refractory_s": "1.5"}, "refractory_s = '1.5'"),
        ({"frontend": {"n_mels": 80}}, "n_mels"),
        ({"frontend": None}, "frontend = None"),
    ],
)
def test_wrong_metadata(build_model: Callable[..., Path], changes: dict[str, Any], words: str) -> None:
    refuses(build_model(**changes), words)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_metadata_that_is_not_an_object(tmp_path: Path, tiny_bytes: Callable[..., bytes], text: str) -> None:
    path = tmp_path / "meta.onnx"
    path.write_bytes(tiny_bytes({"rearview": text}))
    refuses(path, "rearview")


@pytest.mark.parametrize(
    "graph, words",
    [
        ({"input_shape": [1, 4, 40]}, r"\[1, 4, 40\]"),
        ({"input_shape": ["batch", 8, 40]}, "batch"),
        ({"input_shape": [1, 8, 80]}, r"\[1, 8, 80\]|truncated, damaged"),
        ({"input_name": "mel"}, "absent"),
        ({"state_name": "tail"}, "'tail'"),
        ({"level_shape": ["n", 1]}, "fixed"),
        ({"level_shape": [10**6, 10**6]}, "exceed"),
        ({"level_shape": [3, 1]}, "goes in as|scores are|truncated, damaged"),
        ({"outputs": ("scores", "next_state_level", "next_state_tail")}, "outputs are"),
        ({"outputs": ("scores",)}, "outputs are"),
        ({"offset": float("nan")}, "outside"),
    ],
)
def test_graph_that_breaks_the_contract(
    build_model: Callable[..., Path], graph: dict[str, Any], words: str
) -> None:
    refuses(build_model(graph=graph), words)


def test_unknown_metadata_is_kept(build_model: Callable[..., Path]) -> None:
    assert Detector(build_model(trained_on="a cluster")).metadata["trained_on"] == "a cluster"


def test_metadata_reads_as_json(tiny_model: Path) -> None:
    json.dumps(Detector(tiny_model).metadata)
