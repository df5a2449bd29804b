"""From the arrays and metadata of a model's file to the network that they describe, every value checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirror_device.errors import ModelError
from mirror_device.logmel import N_MELS, Float32
from mirror_device.network import STRIDE, Layer, Network, Phrase

MAX_CHANNELS, MAX_BLOCKS, MAX_HEAD, MAX_UNITS, MAX_CLASSES = 1024, 64, 8, 64, 64
MAX_KERNEL, MAX_DILATION = 15, 64
MAX_VALUE = 1e9
MAX_STEM_KERNEL = 25
"""So that no sum of products exceeds 2²⁴, up to which float32 counts exactly."""


def network_of(file: str, layout: Any, arrays: dict[str, NDArray[Any]], keywords: int) -> Network:
    """The network that ``layout`` (metadata key ``network``) describes, from the file's named arrays.

    Raises ModelError naming the file and the array or value that is wrong.
    """
    reader = _Reader(file, layout, arrays)
    channels, kernel = reader.whole("channels", 1, MAX_CHANNELS), reader.whole("kernel", 1, MAX_KERNEL)
    stem_kernel = reader.whole("stem_kernel", STRIDE, MAX_STEM_KERNEL)
    dilations = reader.wholes("dilations", 1, MAX_DILATION, MAX_BLOCKS)
    stem = reader.layer("encoder.stem.conv", (channels, N_MELS, stem_kernel))
    windows = stem.weight.reshape(channels, N_MELS, stem_kernel).transpose(0, 2, 1)  # as frames lie
    stem = Layer(np.ascontiguousarray(windows.reshape(channels, -1)), *_rest(stem))
    blocks = []
    for number in range(len(dilations)):
        name = f"encoder.blocks.{number}"
        depthwise = reader.layer(f"{name}.depthwise.conv", (channels, 1, kernel))
        blocks.append((depthwise, reader.layer(f"{name}.pointwise", (channels, channels, 1))))
    head, width, phrases = [], channels, reader.phrases(keywords)
    names = [] if phrases and reader.layout.get("head") == [] else reader.names("head", MAX_HEAD)
    for name in names:
        rows = keywords if name == names[-1] else reader.rows(name)
        head.append(reader.layer(name, (rows, width, 1)))
        width = rows
    phones = None
    if phrases:
        phones = reader.layer("phones", (reader.rows("phones"), channels, 1))
        if max(unit for phrase in phrases for unit in phrase.units) >= len(phones.bias):
            raise reader.error(f"spells with more than {len(phones.bias)} phones")
    floor, decay = reader.number("floor", -100, 100), reader.number("mean_decay", 0.5, 1)
    return Network(
        floor, decay, stem_kernel, stem, kernel, dilations, tuple(blocks), tuple(head), phones, phrases
    )


def _rest(layer: Layer) -> tuple[Float32, Float32, np.float32, int]:
    return layer.scale, layer.bias, layer.inverse_scale, layer.zero


class _Reader:
    """Arrays and values of a file, checked; errors name the file and what is wrong."""

    def __init__(self, file: str, layout: Any, arrays: dict[str, NDArray[Any]]) -> None:
        self.file, self.arrays = file, arrays
        self.layout: dict[str, Any] = layout if isinstance(layout, dict) else {}

    def error(self, problem: str) -> ModelError:
        return ModelError(f"{self.file}: its network {problem}: export the model with 'wakeword quantize'")

    def whole(self, key: str, low: int, high: int) -> int:
        return self._whole(key, self.layout.get(key), low, high)

    def wholes(self, key: str, low: int, high: int, most: int) -> tuple[int, ...]:
        values = self.layout.get(key)
        if not isinstance(values, list) or not 1 <= len(values) <= most:
            raise self.error(f"has {key} = {str(values)[:60]}, not a list of 1 to {most}")
        return tuple(self._whole(key, value, low, high) for value in values)

    def _whole(self, key: str, value: Any, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(f"has {key} = {str(value)[:60]}, not a whole number from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float, value: Any = ...) -> np.float32:
        value = self.layout.get(key) if value is ... else value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.error(f"has {key} = {str(value)[:60]}, not a number from {low:g} to {high:g}")
        return np.float32(value)

    def names(self, key: str, most: int) -> list[str]:
        values = self.layout.get(key)
        if not isinstance(values, list) or not 1 <= len(values) <= most or set(map(type, values)) != {str}:
            raise self.error(f"has {key} = {str(values)[:60]}, not 1 to {most} names")
        return values

    def phrases(self, keywords: int) -> tuple[Phrase, ...]:
        values = self.layout.get("phrases")
        if values is None:
            return ()
        if not isinstance(values, list) or len(values) != keywords:
            raise self.error(f"has phrases = {str(values)[:60]}, not one for each of {keywords} keywords")
        phrases = []
        for value in values:
            inner = _Reader(self.file, value, {})
            units = inner.wholes("units", 1, MAX_CLASSES - 1, MAX_UNITS)
            sharpness = inner.number("sharpness", -100, 100)
            phrases.append(Phrase(units, sharpness, inner.number("even_cost", -100, 100)))
        return tuple(phrases)

    def rows(self, name: str) -> int:
        """Outputs of a layer."""
        shape = self._array(f"{name}.weight", np.int8).shape
        if not shape or not 1 <= shape[0] <= MAX_CHANNELS:
            raise self.error(f"has an array '{name}.weight' of shape {shape}")
        return shape[0]

    def layer(self, name: str, shape: tuple[int, int, int]) -> Layer:
        n = shape[0]
        weight = self._array(f"{name}.weight", np.int8, shape)
        if (weight == -128).any():
            raise self.error(f"has a weight of -128 in '{name}.weight'; -127 is the least")
        step = float(self._floats(f"{name}.input_scale", ()))
        scale = self._floats(f"{name}.weight_scale", (n,)) * np.float32(step)
        if not 1e-12 < step < 1e12:
            raise self.error(f"has '{name}.input_scale' = {step:g}")
        zero = int(self._array(f"{name}.input_zero_point", np.uint8, ()))
        bias = self._floats(f"{name}.bias", (n,))
        for values in (scale, bias):  # finite they stay in every layer, and so do the scores
            if np.abs(values).max() > MAX_VALUE:
                raise self.error(f"has a scale or bias of '{name}' above {MAX_VALUE:g}")
        inverse = np.float32(1) / np.float32(step)
        return Layer(np.ascontiguousarray(weight.reshape(n, -1)), scale, bias, inverse, zero)

    def _floats(self, name: str, shape: tuple[int, ...]) -> Float32:
        values = self._array(name, np.float32, shape)
        if not np.isfinite(values).all():
            raise self.error(f"has an array {name!r} with NaN or infinity")
        return values.copy()

    def _array(self, name: str, dtype: Any, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        array = self.arrays.get(name)
        if array is None:
            raise self.error(f"has no array {name!r}")
        if array.dtype != dtype or (shape is not None and array.shape != shape):
            raise self.error(
                f"has an array {name!r} of {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}"
            )
        return array
