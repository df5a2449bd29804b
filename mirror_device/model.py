"""A device model behind onnxruntime. No other module knows the runtime: to change it, replace this file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state

from mirror_device.errors import ModelError
from mirror_device.logmel import N_MELS, STEP_FRAMES, Float32
from mirror_device.metadata import METADATA_KEY, ModelMetadata, parse_metadata

MAX_FILE_BYTES = 64 * 2**20
MAX_STATE_BYTES = 64 * 2**20
INPUT_SHAPE = [1, STEP_FRAMES, N_MELS]

_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Every exception onnxruntime can raise: its own have no common base class."""
    named = vars(onnxruntime_pybind11_state).values()
    own = [item for item in named if isinstance(item, type) and issubclass(item, Exception)]
    return (*own, RuntimeError, ValueError, MemoryError)


_RUNTIME_ERRORS = _runtime_errors()


class Model:
    """An opened, checked model and its streaming state.

    Args:
        path: an ``.onnx`` file: input ``log_mel`` (1, 8, 40) float32 and any number of ``state_*``; outputs
            ``scores`` (1, keywords) and then ``next_state_*`` in the order of the state inputs.

    Raises:
        ModelError: missing, too large, damaged, not a model of this project, or one whose graph and metadata
            disagree.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = _open(path)
        declared = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        self.metadata: ModelMetadata = parse_metadata(str(path), declared)
        self._state_names, self._zero_state = self._check_interface()
        self._check_first_step()
        # Two sets of states, read and written in turn, bound once by address: 13 % fewer instructions a step
        # (emulated Cortex-A53, 383,000 parameters) than handing arrays to and fro.
        self._log_mel = np.zeros(INPUT_SHAPE, np.float32)
        self._scores = np.zeros((1, len(self.metadata.keywords)), np.float32)
        self._states = [[zeros.copy() for zeros in self._zero_state] for _ in range(2)]
        self._bindings = [self._bind(*self._states), self._bind(*reversed(self._states))]

    def reset(self) -> None:
        """Back to the initial state, all zeros."""
        for state in (*self._states[0], *self._states[1]):
            state.fill(0)

    def step(self, log_mel: Float32) -> Float32:
        """One step of 80 ms: log-mel (8, 40) -> raw scores (keywords,) in [0, 1]; advances the state."""
        self._log_mel[0] = log_mel
        self._session.run_with_iobinding(self._bindings[0])
        self._bindings.reverse()
        return self._scores[0].copy()

    def _bind(self, before: list[NDArray[Any]], after: list[NDArray[Any]]) -> onnxruntime.IOBinding:
        """Arrays that the runtime reads and writes in place; they live as long as this object."""
        binding = self._session.io_binding()
        names = self._state_names
        for name, array in (("log_mel", self._log_mel), *zip(names, before, strict=True)):
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        outputs = (f"next_{name}" for name in names)
        for name, array in (("scores", self._scores), *zip(outputs, after, strict=True)):
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding

    def _check_interface(self) -> tuple[list[str], list[NDArray[Any]]]:
        """Compare the graph's inputs and outputs with the contract; returns the states' names and zeros."""
        inputs = {item.name: item for item in self._session.get_inputs()}
        sound = inputs.pop("log_mel", None)
        if sound is None or sound.type != "tensor(float)" or sound.shape != INPUT_SHAPE:
            found = "absent" if sound is None else f"{sound.type} {sound.shape}"
            raise self._error(f"input 'log_mel' is {found}, not tensor(float) {INPUT_SHAPE}")
        zeros: list[NDArray[Any]] = []
        total_bytes = 0
        for name, item in inputs.items():
            if not name.startswith("state_"):
                raise self._error(f"input {name!r} is neither 'log_mel' nor a 'state_*'")
            fixed = all(isinstance(size, int) and size > 0 for size in item.shape)
            if not fixed or item.type not in _DTYPES:
                raise self._error(
                    f"state {name!r} is {item.type} {item.shape}: its shape must be fixed numbers"
                )
            total_bytes += math.prod(item.shape) * np.dtype(_DTYPES[item.type]).itemsize
            if total_bytes > MAX_STATE_BYTES:
                raise self._error(
                    f"state {name!r} is {item.shape}: the states exceed {MAX_STATE_BYTES} bytes"
                )
            zeros.append(np.zeros(item.shape, _DTYPES[item.type]))
        expected = ["scores", *(f"next_{name}" for name in inputs)]
        outputs = [item.name for item in self._session.get_outputs()]
        if outputs != expected:
            raise self._error(f"outputs are {outputs[:8]}, not {expected[:8]}")
        return list(inputs), zeros

    def _check_first_step(self) -> None:
        """Run one step of silence: shapes that the file declares may be symbolic, what it computes is not."""
        silence = np.full((STEP_FRAMES, N_MELS), np.log(np.finfo(np.float32).eps), np.float32)
        feed = dict(zip(self._state_names, self._zero_state, strict=True))
        try:
            scores, *state = self._session.run(None, {"log_mel": silence[np.newaxis], **feed})
        except _RUNTIME_ERRORS as exc:
            raise self._error(f"its first step fails ({_first_line(exc)})") from exc
        n_keywords = len(self.metadata.keywords)
        if scores.shape != (1, n_keywords) or scores.dtype != np.float32:
            raise self._error(
                f"scores are {scores.dtype} {scores.shape}, but the metadata lists {n_keywords} keywords"
            )
        if not ((scores >= 0) & (scores <= 1)).all():  # NaN fails too
            raise self._error(f"scores of silence are {scores[0, :4]}, outside [0, 1]")
        for name, before, after in zip(self._state_names, self._zero_state, state, strict=True):
            if (after.shape, after.dtype) != (before.shape, before.dtype):
                raise self._error(
                    f"state {name!r} goes in as {before.dtype} {before.shape} "
                    f"and comes out as {after.dtype} {after.shape}"
                )

    def _error(self, problem: str) -> ModelError:
        return ModelError(f"{self.path}: {problem}: export the model again with 'wakeword quantize'")


def _open(path: Path) -> onnxruntime.InferenceSession:
    try:
        if path.is_dir():
            raise ModelError(f"{path}: a folder, not a model file: name the .onnx file in it")
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise ModelError(
                f"{path}: {size_bytes} bytes, but a device model has at most {MAX_FILE_BYTES}: "
                "give a file that 'wakeword quantize' wrote"
            )
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)  # bounded: a pipe or device has no size beforehand
    except OSError as exc:
        raise ModelError(
            f"{path}: cannot be read ({exc.strerror}): check the path and its permissions"
        ) from exc
    if not content or len(content) > MAX_FILE_BYTES:
        raise ModelError(f"{path}: {'empty' if not content else 'endless'}: copy the model file again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a step is too small to share
    options.enable_cpu_mem_arena = False  # the arena grows in large steps and never gives back
    options.log_severity_level = 4  # what matters is raised, not printed
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _RUNTIME_ERRORS as exc:
        raise ModelError(
            f"{path}: truncated, damaged, or not an ONNX file ({_first_line(exc)}): copy or export it again"
        ) from exc


def _first_line(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0][:200] if lines else type(exc).__name__
