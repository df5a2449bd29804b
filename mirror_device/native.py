"""The compiled front end and network, where they were built; `mirror_device/native/` is their source."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirror_device.logmel import N_MELS, STEP_FRAMES, Float32, mel_filterbank, povey_window
from mirror_device.network import Layer, Network

try:
    _native: Any = import_module("mirror_device._native")
except ImportError:  # installed without a compiler
    _native = None

AVAILABLE = _native is not None
_LANES = 16
"""Inputs of a row are filled up with zeros to a multiple of this."""


class NativeEngine:
    """A network and its state, as `mirror_device.network.NumpyEngine`."""

    def __init__(self, network: Network) -> None:
        packed = _Packer(network)
        self._network = _native.Network(*(np.concatenate(part) for part in packed.parts))
        self.reset = self._network.reset

    def step(self, log_mel: Float32, scores: Float32) -> None:
        """One step of 80 ms: log-mel (8, 40) to scores (keywords,) in [0, 1], written; advances the state."""
        self._network.step(log_mel, scores)

    def hear(self, front_end: NativeLogMel, step: NDArray[np.int16], scores: Float32) -> None:
        """One step from its sound (1280,), the front end's work included: the same as both, in one call."""
        self._network.hear(front_end.compiled, step, scores)


class NativeLogMel:
    """The streaming front end, as `mirror_device.logmel.LogMel`."""

    def __init__(self) -> None:
        self.compiled = _native.LogMel(povey_window(), mel_filterbank())
        self.reset = self.compiled.reset

    def process(self, step: NDArray[np.int16]) -> Float32:
        """(1280,) int16 to (8, 40) float32."""
        frames = np.empty((STEP_FRAMES, N_MELS), np.float32)
        self.compiled.step(step, frames)
        return frames


class _Packer:
    """A network as three arrays, in the order in which `network.c` reads them."""

    def __init__(self, n: Network) -> None:
        self.parts: tuple[list[Any], ...] = ([], [], [])
        self._ints(n.channels, n.kernel, n.stem_kernel, len(n.blocks), len(n.head), n.keywords)
        self._ints(0 if n.phones is None else len(n.phones.bias))
        self._floats(n.floor, n.decay)
        self._dense(n.stem)
        for dilation, (depthwise, pointwise) in zip(n.dilations, n.blocks, strict=True):
            self._ints(dilation)
            self._layer(depthwise, depthwise.weight.T)
            self._dense(pointwise)
        for layer in n.head:
            self._ints(len(layer.bias))
            self._dense(layer)
        if n.phones is not None:
            self._dense(n.phones)
        for phrase in n.phrases:
            self._ints(len(phrase.units), *phrase.units)
            self._floats(phrase.sharpness, phrase.even_cost)

    def _ints(self, *values: Any) -> None:
        self.parts[0].append(np.array(values, np.int32).reshape(-1))

    def _floats(self, *values: Any) -> None:
        self.parts[1].append(np.array(values, np.float32).reshape(-1))

    def _dense(self, layer: Layer) -> None:
        self._layer(layer, np.pad(layer.weight, ((0, 0), (0, -layer.weight.shape[1] % _LANES))))

    def _layer(self, layer: Layer, weight: NDArray[np.int8]) -> None:
        self._ints(layer.zero)
        self._ints(layer.offset)
        self._floats(layer.inverse_scale)
        self._floats(layer.scale)
        self._floats(layer.bias)
        self.parts[2].append(np.ascontiguousarray(weight).reshape(-1))
