"""The int8 network of a model file, and what one step of it computes: the reference, in numpy.

Log-mel frames less their running mean meet a convolution of stride 4, residual blocks of a depthwise and a
1×1 convolution, and 1×1 layers to one logit a keyword. Where the model spots phones, a keyword's logit is
raised by what the cheapest path through its phones costs (`wakeword/spotter.py`).

Inputs of convolutions are rounded to 8 bits, products are added up in whole numbers, and what lies between is
float32, one operation after the other. So `mirror_device/native/network.c` gives the same scores bit for bit,
on any machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirror_device.errors import ModelError
from mirror_device.logmel import N_MELS, STEP_FRAMES, Float32

STRIDE = 4
OUT_FRAMES = STEP_FRAMES // STRIDE
FAR, MOST_COST, TRAIL_COST = 1000.0, 8.0, 1.0
"""As in `wakeword/spotter.py`."""
MAX_CHANNELS, MAX_BLOCKS, MAX_HEAD, MAX_UNITS, MAX_CLASSES = 1024, 64, 8, 64, 64
MAX_KERNEL, MAX_DILATION = 15, 64
MAX_VALUE = 1e9
MAX_STEM_KERNEL = 25
"""So that no sum of products exceeds 2²⁴, up to which float32 counts exactly."""

Int8 = NDArray[np.int8]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """A convolution in 8 bits."""

    weight: Int8
    """(outputs, inputs), or (outputs, taps) for a depthwise one."""
    scale: Float32
    """(outputs,): of the weights times that of the input."""
    bias: Float32
    """(outputs,)."""
    inverse_scale: np.float32
    """Of the input."""
    zero: int
    """The unsigned 8 bits that stand for an input of 0."""

    @property
    def offset(self) -> NDArray[np.int32]:
        """(outputs,): what the zero point adds to sums over inputs that are 128 less than in the file."""
        return ((128 - self.zero) * self.weight.astype(np.int32).sum(1)).astype(np.int32)


@dataclass(frozen=True)
class Phrase:
    """A keyword's phones, and how its cost becomes a logit."""

    units: tuple[int, ...]
    sharpness: np.float32
    even_cost: np.float32


@dataclass(frozen=True)
class Network:
    """All that a step needs."""

    floor: np.float32
    decay: np.float32
    stem_kernel: int
    stem: Layer
    kernel: int
    dilations: tuple[int, ...]
    blocks: tuple[tuple[Layer, Layer], ...]
    """Depthwise and 1×1."""
    head: tuple[Layer, ...]
    phones: Layer | None
    phrases: tuple[Phrase, ...]

    @property
    def channels(self) -> int:
        return len(self.stem.bias)

    @property
    def keywords(self) -> int:
        return len(self.head[-1].bias)


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
    head, width = [], channels
    names = reader.names("head", MAX_HEAD)
    for name in names:
        rows = keywords if name == names[-1] else reader.rows(name)
        head.append(reader.layer(name, (rows, width, 1)))
        width = rows
    phones, phrases = None, reader.phrases(keywords)
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


class NumpyEngine:
    """A network and its state."""

    def __init__(self, network: Network) -> None:
        self.network = network
        # float32 counts exactly as far as these sums go, and its matrix product is many times as fast
        self._weights = {id(layer): layer.weight.astype(np.float32) for layer in _layers(network)}
        self._offsets = {id(layer): layer.offset for layer in _layers(network)}
        self.reset()

    def reset(self) -> None:
        """Back to the initial state."""
        n = self.network
        self._mean_sum, self._mean_weight = np.zeros(N_MELS, np.float32), np.float32(0)
        self._stem_past = np.full((n.stem_kernel - STRIDE, N_MELS), n.stem.zero - 128, np.int8)
        self._past = [
            np.full(((n.kernel - 1) * dilation, n.channels), depthwise.zero - 128, np.int8)
            for dilation, (depthwise, _) in zip(n.dilations, n.blocks, strict=True)
        ]
        self._costs = [np.full(2 * len(phrase.units), FAR) for phrase in n.phrases]

    def step(self, log_mel: Float32, scores: Float32) -> None:
        """One step of 80 ms: log-mel (8, 40) to scores (keywords,) in [0, 1], written; advances the state."""
        n = self.network
        frames = np.concatenate([self._stem_past, quantised(n.stem, self._normalised(log_mel))])
        self._stem_past = frames[STEP_FRAMES:]
        starts = range(0, STEP_FRAMES, STRIDE)
        windows = np.stack([frames[start : start + n.stem_kernel].reshape(-1) for start in starts])
        x = _relu(self._dense(n.stem, windows))
        for number, (depthwise, pointwise) in enumerate(n.blocks):
            frames = np.concatenate([self._past[number], quantised(depthwise, x)])
            self._past[number] = frames[OUT_FRAMES:]
            taps = frames.astype(np.int32)
            dilation, weight = n.dilations[number], depthwise.weight.astype(np.int32)
            sums = sum(taps[k * dilation : k * dilation + OUT_FRAMES] * weight[:, k] for k in range(n.kernel))
            y = self._real(depthwise, sums)
            x = x + _relu(self._dense(pointwise, quantised(pointwise, y)))
        y = x
        for layer in n.head[:-1]:
            y = _relu(self._dense(layer, quantised(layer, y)))
        logits = self._dense(n.head[-1], quantised(n.head[-1], y)).astype(np.float64)
        if n.phones is not None:
            for frame, row in enumerate(self._dense(n.phones, quantised(n.phones, x))):
                cost = class_costs(row)
                logits[frame] += [self._advance(p, cost) for p in range(len(n.phrases))]
        scores[:] = 1.0 / (1.0 + plain_exp(-logits.max(0)))

    def _normalised(self, log_mel: Float32) -> Float32:
        n, out = self.network, np.empty((STEP_FRAMES, N_MELS), np.float32)
        for row, frame in enumerate(np.maximum(log_mel, n.floor)):
            self._mean_weight = np.float32(self._mean_weight * n.decay + np.float32(1))
            self._mean_sum = self._mean_sum * n.decay + frame
            out[row] = frame - self._mean_sum / self._mean_weight
        return out

    def _dense(self, layer: Layer, narrow: Int8) -> Float32:
        """(frames, inputs) to (frames, outputs)."""
        sums = narrow.astype(np.float32) @ self._weights[id(layer)].T
        return self._real(layer, sums.astype(np.int32))

    def _real(self, layer: Layer, sums: Any) -> Float32:
        return (sums + self._offsets[id(layer)]).astype(np.float32) * layer.scale + layer.bias

    def _advance(self, number: int, cost: Float64) -> float:
        """One frame further along a phrase; the logit of its ending now."""
        phrase, total = self.network.phrases[number], self._costs[number]
        states = np.zeros(len(total), np.int64)
        states[::2] = phrase.units
        leap = np.full(len(total), 2 * FAR)
        leap[2:] = total[:-2] + np.where((states[2:] > 0) & (states[2:] != states[:-2]), 0.0, FAR)
        best = np.minimum(np.minimum(total, np.concatenate([[0.0], total[:-1]])), leap)
        total = best + cost[states]
        total[-1] += TRAIL_COST
        self._costs[number] = total = np.minimum(total, FAR)
        nats = min(total[-1], total[-2]) / len(phrase.units)
        return float(phrase.sharpness) * (float(phrase.even_cost) - min(nats, MOST_COST))


def _layers(network: Network) -> list[Layer]:
    found = [network.stem, *(layer for block in network.blocks for layer in block), *network.head]
    return found if network.phones is None else [*found, network.phones]


def _relu(x: Float32) -> Float32:
    return np.maximum(x, np.float32(0))


def quantised(layer: Layer, x: Float32) -> Int8:
    """Inputs in 8 bits, 128 below the file's unsigned ones."""
    steps = np.clip(x * layer.inverse_scale, np.float32(-layer.zero), np.float32(255 - layer.zero))
    return (np.rint(steps).astype(np.int32) + (layer.zero - 128)).astype(np.int8)


def class_costs(logits: Float32) -> Float64:
    """Nats of each class (classes,) from its logit."""
    above = logits.astype(np.float64) - np.float64(logits.max())
    total = float(np.add.accumulate(plain_exp(above))[-1])  # one after the other, as C adds
    return plain_log(total) - above


_EXP = [1.0 / math.factorial(power) for power in range(12, -1, -1)]


def plain_exp(x: Float64) -> Float64:
    """exp by plain multiplications and additions, as `native/numeric.h` has it, for [-700, 700]."""
    x = np.clip(x, -700.0, 700.0)
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10
    y = np.full_like(x, _EXP[0])
    for coefficient in _EXP[1:]:
        y = y * r + coefficient
    return np.ldexp(y, k.astype(np.int32))


def plain_log(x: float) -> float:
    """The logarithm of a normal number above 0, likewise."""
    m, exponent = math.frexp(x)
    if m < 0.70710678118654752:
        m, exponent = m + m, exponent - 1
    z = (m - 1.0) / (m + 1.0)
    square, y = z * z, 1.0 / 21
    for odd in range(19, 0, -2):
        y = y * square + 1.0 / odd
    return exponent * 0.693147180559945309417 + 2.0 * z * y
