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

from mirror_device.logmel import N_MELS, STEP_FRAMES, Float32

STRIDE = 4
OUT_FRAMES = STEP_FRAMES // STRIDE
FAR, MOST_COST, TRAIL_COST = 1000.0, 8.0, 1.0
"""As in `wakeword/spotter.py`."""

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
    """May be empty where there are phones."""
    phones: Layer | None
    phrases: tuple[Phrase, ...]

    @property
    def channels(self) -> int:
        return len(self.stem.bias)

    @property
    def keywords(self) -> int:
        return len(self.head[-1].bias) if self.head else len(self.phrases)


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
        logits, y = np.zeros((len(x), n.keywords)), x
        for number, layer in enumerate(n.head):
            logits = self._dense(layer, quantised(layer, y)).astype(np.float64)
            y = _relu(logits.astype(np.float32)) if number + 1 < len(n.head) else y
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
