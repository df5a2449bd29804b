"""A device model, opened and checked, behind the engine that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mirror_device import native
from mirror_device.errors import ModelError
from mirror_device.logmel import N_MELS, STEP_FRAMES, Float32, LogMel
from mirror_device.metadata import METADATA_KEY, ModelMetadata, parse_metadata
from mirror_device.network import NumpyEngine
from mirror_device.network_file import network_of
from mirror_device.onnx_file import DamagedFile, OnnxFile, read_onnx

MAX_FILE_BYTES = 64 * 2**20

EngineName = Literal["native", "numpy", "onnxruntime"]


class Engine(Protocol):
    """What runs a network; it keeps the state of one stream."""

    def reset(self) -> object: ...

    def step(self, log_mel: Float32, scores: Float32) -> None: ...


class Model:
    """An opened, checked model and its streaming state.

    An int8 file that describes its network runs in C, or in numpy where nothing was compiled, with the same
    scores bit for bit; any other one needs onnxruntime.

    Args:
        path: an ``.onnx`` file that `wakeword quantize` wrote.
        engine: which one is to run it; None for the best that is there.

    Raises:
        ModelError: missing, too large, damaged, not a model of this project, or one whose network and
            metadata disagree.
    """

    def __init__(self, path: Path, engine: EngineName | None = None) -> None:
        self.path = path
        content = _read(path)
        try:
            file = read_onnx(content)
        except DamagedFile as exc:
            raise ModelError(
                f"{path}: truncated, damaged, or not an ONNX file ({exc}): copy or export it again"
            ) from exc
        self.metadata: ModelMetadata = parse_metadata(str(path), file.metadata.get(METADATA_KEY))
        if engine is None:
            described = self.metadata.raw.get("network") is not None
            engine = "onnxruntime" if not described else "native" if native.AVAILABLE else "numpy"
        self.engine_name: EngineName = engine
        self._engine = self._made(engine, file, content)
        silence = np.full((STEP_FRAMES, N_MELS), np.log(np.finfo(np.float32).eps), np.float32)
        scores = self.step(silence)
        if not ((scores >= 0) & (scores <= 1)).all():  # NaN fails too
            raise ModelError(
                f"{path}: scores of silence are {scores[:4]}, outside [0, 1]: "
                "export the model again with 'wakeword quantize'"
            )
        self.reset()

    def reset(self) -> None:
        """Back to the initial state."""
        self._engine.reset()

    def step(self, log_mel: Float32) -> Float32:
        """One step of 80 ms: log-mel (8, 40) -> raw scores (keywords,) in [0, 1]; advances the state."""
        scores = np.empty(len(self.metadata.keywords), np.float32)
        self._engine.step(log_mel, scores)
        return scores

    def hear(self, front_end: LogMel | native.NativeLogMel, step: NDArray[np.int16], scores: Float32) -> None:
        """As `step`, from the sound (1280,) by way of a front end; writes the raw scores (keywords,)."""
        if isinstance(self._engine, native.NativeEngine) and isinstance(front_end, native.NativeLogMel):
            self._engine.hear(front_end, step, scores)
        else:
            self._engine.step(front_end.process(step), scores)

    def _made(self, engine: EngineName, file: OnnxFile, content: bytes) -> Engine:
        n_keywords = len(self.metadata.keywords)
        if engine == "onnxruntime":
            try:
                from mirror_device.onnx_runtime import OnnxRuntimeEngine
            except ImportError as exc:
                raise ModelError(
                    f"{self.path}: does not describe an int8 network, so it needs onnxruntime: "
                    "pip install onnxruntime, or export it with 'wakeword quantize'"
                ) from exc
            return OnnxRuntimeEngine(self.path, content, n_keywords)
        network = network_of(str(self.path), self.metadata.raw.get("network"), file.arrays, n_keywords)
        return NumpyEngine(network) if engine == "numpy" else native.NativeEngine(network)


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ModelError(f"{path}: a folder, not a model file: name the .onnx file in it")
        if path.exists() and not path.is_file():  # opening a pipe waits for who writes to it, for ever
            raise ModelError(f"{path}: a pipe or a device, not a model file: copy the model to a file")
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise ModelError(
                f"{path}: {size_bytes} bytes, but a device model has at most {MAX_FILE_BYTES}: "
                "give a file that 'wakeword quantize' wrote"
            )
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ModelError(
            f"{path}: cannot be read ({exc.strerror}): check the path and its permissions"
        ) from exc
    if not content or len(content) > MAX_FILE_BYTES:
        raise ModelError(f"{path}: {'empty' if not content else 'endless'}: copy the model file again")
    return content
