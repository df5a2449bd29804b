"""A tiny but real device model, so that these tests need no trained one: it hears any loud sound."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mirror_device.logmel import frontend_constants
from tests.mirror_device.served import Served

TAIL_SHAPE = [1, 4, 40]
LEVEL_SHAPE = [1, 1]


def metadata(**changes: Any) -> dict[str, Any]:
    """A valid ``rearview`` object with some fields changed; a field set to ... is left out."""
    fields: dict[str, Any] = {
        "format": "rearview-wakeword/1",
        "name": "tiny",
        "version": "0.0.1",
        "keywords": [{"phrase": "loud sound", "threshold": 0.6, "fa_per_hour": 0.5}],
        "step_samples": 1280,
        "smoothing_steps": 2,
        "refractory_s": 1.5,
        "frontend": frontend_constants(),
        "precision": "float32",
    }
    fields.update(changes)
    return {key: value for key, value in fields.items() if value is not ...}


def tiny_onnx(
    properties: dict[str, str] | None = None,
    *,
    input_shape: list[Any] | None = None,
    input_name: str = "log_mel",
    state_name: str = "state_tail",
    level_shape: list[Any] | None = None,
    outputs: tuple[str, ...] = ("scores", "next_state_tail", "next_state_level"),
    offset: float = 18.0,
) -> bytes:
    """Two states, the last 4 frames and a falling level; score = (level + sigmoid(loudest band - 18)) / 2."""
    nodes = [
        helper.make_node("Concat", [state_name, input_name], ["frames"], axis=1),
        helper.make_node("ReduceMax", ["frames"], ["loudest"], keepdims=0),
        helper.make_node("Sub", ["loudest", "offset"], ["above"]),
        helper.make_node("Sigmoid", ["above"], ["loud"]),
        helper.make_node("Add", ["loud", "state_level"], ["sum"]),
        helper.make_node("Mul", ["sum", "half"], ["scores"]),
        helper.make_node("Identity", ["scores"], ["next_state_level"]),
        helper.make_node("Slice", ["frames", "minus_four", "end", "axis"], ["next_state_tail"]),
    ]
    constants = {
        "offset": np.float32(offset),
        "half": np.float32(0.5),
        "minus_four": np.array([-4]),
        "end": np.array([1000]),
        "axis": np.array([1]),
    }
    shapes = {"scores": LEVEL_SHAPE, "next_state_tail": TAIL_SHAPE, "next_state_level": LEVEL_SHAPE}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(input_name, TensorProto.FLOAT, input_shape or [1, 8, 40]),
            helper.make_tensor_value_info(state_name, TensorProto.FLOAT, TAIL_SHAPE),
            helper.make_tensor_value_info("state_level", TensorProto.FLOAT, level_shape or LEVEL_SHAPE),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if properties is None:
        properties = {"rearview": json.dumps(metadata())}
    helper.set_model_props(model, properties)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's file."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(tiny_onnx())
    return path


@pytest.fixture
def tiny_bytes() -> Callable[..., bytes]:
    """The function that builds the tiny model's bytes."""
    return tiny_onnx


@pytest.fixture
def build_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a variant of the tiny model: metadata changes as keywords, the graph's in ``graph``."""

    def build(graph: dict[str, Any] | None = None, **changes: Any) -> Path:
        path = tmp_path / "variant.onnx"
        path.write_bytes(tiny_onnx({"rearview": json.dumps(metadata(**changes))}, **(graph or {})))
        return path

    return build


@pytest.fixture(scope="session")
def beeps() -> np.ndarray:
    """8 s int16: faint noise with a loud tone of 0.4 s at 2.0 s and at 5.0 s."""
    rng = np.random.default_rng(0)
    time_s = np.arange(8 * 16000) / 16000
    sound = rng.normal(0.0, 3.0, time_s.size)
    for start_s in (2.0, 5.0):
        inside = (time_s >= start_s) & (time_s < start_s + 0.4)
        sound[inside] += 8000 * np.sin(2 * np.pi * 1000 * time_s[inside])
    return np.rint(sound).astype(np.int16)


@pytest.fixture
def serve(tmp_path: Path, tiny_model: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(config: dict[str, Any] | None = None, **options: Any) -> Served:
        started.append(Served(tmp_path, tiny_model, config or {}, **options))
        return started[-1]

    yield start
    for served in started:
        served.process.kill()
        served.process.wait()


@pytest.fixture(autouse=True)
def named_fault(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Has a test of the fault suite in the table: ``@pytest.mark.fault(fault, what is to be seen)``."""
    marker = request.node.get_closest_marker("fault")
    if marker is not None:
        record_property("fault", marker.args)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of faults, as Markdown, where any were asked for by ``-m fault``."""
    if "fault" not in terminalreporter.config.getoption("-m"):
        return
    seen: dict[tuple[str, str], list[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            fault = dict(report.user_properties).get("fault")
            if fault is not None and (report.when == "call" or outcome != "passed"):
                seen.setdefault(tuple(fault), []).append(outcome)
    terminalreporter.write_line("| fault, injected for real | what is seen | tests |\n|---|---|---|")
    for (fault, what), outcomes in sorted(seen.items()):
        counts = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in dict.fromkeys(outcomes))
        terminalreporter.write_line(f"| {fault} | {what} | {counts} |")
