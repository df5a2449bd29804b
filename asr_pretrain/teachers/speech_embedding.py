"""Google's speech embedding (Lin et al., arXiv 2002.01322; Apache-2.0), as openWakeWord packs it in TFLite.

Trained on 200 million clips to tell 5,000 words apart, so it knows what words are in many voices. A folder
holds `embedding_model.tflite` and `melspectrogram.tflite`, as in the package pyopen-wakeword; both are read
as tables of numbers (the `embedding` extra) and run in torch, over whole utterances at once.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asr_pretrain.teachers.files import TeacherError
from asr_pretrain.teachers.frozen import Frozen

EMBEDDING, MELS = "embedding_model.tflite", "melspectrogram.tflite"
FRAME_SAMPLES, HOP_SAMPLES = 512, 160
WINDOW_FRAMES, STEP_FRAMES = 76, 8
"""One feature hears 76 log-mels (0.78 s) and comes every 80 ms."""
LATENCY_SAMPLES = 1920
"""The student, who hears no future, may answer 0.12 s late."""
_LARGEST_BYTES = 64 * 2**20
_TYPES = {0: np.float32, 2: np.int32, 4: np.int64}


class Graph:
    """The only subgraph of a TFLite file: its operators, and the constants among its tensors."""

    def __init__(self, path: Path):
        """Raises TeacherError: no such file, too large, or not TFLite."""
        try:
            import tflite
        except ModuleNotFoundError as error:
            raise TeacherError(f"{path}: reading it needs the `embedding` extra") from error
        if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            raise TeacherError(f"{path}: no such file, or larger than {_LARGEST_BYTES} bytes")
        self.path, self.schema = path, tflite
        try:
            self.model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
            self.graph = self.model.Subgraphs(0)
            codes = self.model.OperatorCodesLength()
            self.codes = [self.model.OperatorCodes(i).BuiltinCode() for i in range(codes)]
            self.operators = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        except (struct.error, IndexError, TypeError, ValueError, AttributeError) as error:
            raise TeacherError(f"{path}: not TFLite, or damaged ({error}); fetch it again") from error

    def name(self, operator: Any) -> int:
        return self.codes[operator.OpcodeIndex()]

    def constant(self, operator: Any, place: int) -> np.ndarray:
        """The operator's input number ``place``. Raises TeacherError when it is no constant."""
        try:
            tensor = self.graph.Tensors(int(operator.InputsAsNumpy()[place]))
            data = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
            shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else []
            return np.frombuffer(data.tobytes(), _TYPES[tensor.Type()]).reshape(shape).copy()
        except (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise TeacherError(f"{self.path}: damaged, or another model ({error})") from error


class SpeechEmbedding(Frozen):
    """(batch, samples) in [-1, 1] at 16 kHz to (batch, samples // 1280, 96)."""

    window: Tensor
    filters: Tensor

    def __init__(self, folder: Path):
        """Raises TeacherError: the files are missing, damaged or other models."""
        super().__init__()
        self.layers = _layers(Graph(folder / EMBEDDING))
        window, mels = _front_end(Graph(folder / MELS))
        self.register_buffer("window", window)
        self.register_buffer("filters", mels)

    def log_mels(self, waveform: Tensor) -> Tensor:
        """(batch, frames, 32), scaled as the embedding wants them."""
        frames = (waveform * 32768).unfold(1, FRAME_SAMPLES, HOP_SAMPLES)
        power = torch.view_as_real(torch.fft.rfft(frames * self.window)).square().sum(-1)
        decibels = 10 * torch.log10((power @ self.filters).clamp_min(1e-10))
        floor = decibels.amax((1, 2), keepdim=True) - 80
        return torch.maximum(decibels, floor) / 10 + 2

    def features(self, waveform: Tensor) -> Tensor:
        """Feature i has heard what lies before (i + 1) × 80 ms − 0.12 s: silence before the start."""
        count = waveform.shape[1] // (STEP_FRAMES * HOP_SAMPLES)
        before = (WINDOW_FRAMES - STEP_FRAMES) * HOP_SAMPLES + LATENCY_SAMPLES
        after = FRAME_SAMPLES - HOP_SAMPLES
        padded = nn.functional.pad(waveform[:, : count * STEP_FRAMES * HOP_SAMPLES], (before, after))
        mels = self.log_mels(padded)[:, : (count - 1) * STEP_FRAMES + WINDOW_FRAMES]
        return self.layers(mels[:, None])[:, :, :, 0].transpose(1, 2)


class _Activation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(x, 0.2).clamp_min(-0.4)


def _layers(graph: Graph) -> nn.Sequential:
    """Convolutions over (time, mel), valid in time and filled with zeros in mel, and max pooling."""
    operators = graph.schema.BuiltinOperator
    layers: list[nn.Module] = []
    for number, operator in enumerate(graph.operators):
        name, options = graph.name(operator), operator.BuiltinOptions()
        if name == operators.CONV_2D:
            weight = torch.from_numpy(graph.constant(operator, 1)).permute(0, 3, 1, 2).contiguous()
            settings = graph.schema.Conv2DOptions()
            settings.Init(options.Bytes, options.Pos)
            filled = weight.shape[3] == 3 and (number == 1 or settings.Padding() == 0)
            outputs, inputs, height, width = weight.shape
            conv = nn.Conv2d(inputs, outputs, (height, width), padding=(0, int(filled)))
            conv.load_state_dict({"weight": weight, "bias": torch.from_numpy(graph.constant(operator, 2))})
            layers.append(conv)
        elif name == operators.LEAKY_RELU:
            layers.append(_Activation())
        elif name == operators.MAX_POOL_2D:
            pool = graph.schema.Pool2DOptions()
            pool.Init(options.Bytes, options.Pos)
            size, stride = (pool.FilterHeight(), pool.FilterWidth()), (pool.StrideH(), pool.StrideW())
            layers.append(nn.MaxPool2d(size, stride))
        elif name not in (operators.PAD, operators.MAXIMUM):
            raise TeacherError(f"{graph.path}: operator {name} is not of the speech embedding")
    return nn.Sequential(*layers)


def _front_end(graph: Graph) -> tuple[Tensor, Tensor]:
    """The window (512,) and the mel filters (257, 32) of a spectrogram written as convolutions."""
    operators = graph.schema.BuiltinOperator
    kernels = [graph.constant(op, 1) for op in graph.operators if graph.name(op) == operators.CONV_2D]
    filters = [graph.constant(op, 1) for op in graph.operators if graph.name(op) == operators.BATCH_MATMUL]
    fits = len(kernels) == 2 and [k.shape for k in kernels] == [(257, 1, FRAME_SAMPLES, 1)] * 2
    if not fits or len(filters) != 1 or filters[0].shape != (257, 32):
        raise TeacherError(f"{graph.path}: not openWakeWord's front end")
    # At 0 Hz the cosine is the window itself, and the sine nothing.
    window = max((kernel[0, 0, :, 0] for kernel in kernels), key=lambda row: float(np.abs(row).sum()))
    return torch.from_numpy(window.copy()), torch.from_numpy(filters[0])


def build(path: Path) -> Frozen:
    """The model of a folder, or of the embedding's file in it. Raises TeacherError."""
    return SpeechEmbedding(path if path.is_dir() else path.parent)
