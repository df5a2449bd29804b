"""Layers that look only back: over whole utterances when training, step by step on the device.

``forward`` takes (batch, frames, channels) and is written for training speed; ``step`` takes (batch,
channels, frames) and the layer's state, and is what is exported. That both agree is a test.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ShiftedDepthwise(torch.autograd.Function):
    """A depthwise convolution as a sum of shifted products.

    With the channels innermost each product runs over contiguous memory: on a CPU a
    training step takes half the time of one with torch's own kernel (`docs/experiments.md`).
    """

    @staticmethod
    def forward(ctx: Any, padded: Tensor, weight: Tensor, dilation: int, stride: int) -> Tensor:
        """``padded`` (batch, history + frames, channels), ``weight`` (taps, channels)."""
        length = padded.shape[1] - (len(weight) - 1) * dilation
        taps = [padded[:, k * dilation : k * dilation + length : stride] for k in range(len(weight))]
        out = taps[0] * weight[0]
        for tap, w in zip(taps[1:], weight[1:], strict=True):
            out.addcmul_(tap, w)
        ctx.save_for_backward(padded, weight)
        ctx.geometry = (length, dilation, stride)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        padded, weight = ctx.saved_tensors
        length, dilation, stride = ctx.geometry
        gradient = gradients[0]
        to_input, to_weight = torch.zeros_like(padded), torch.empty_like(weight)
        product = torch.empty_like(gradient)  # one for all taps stays in the cache
        for k in range(len(weight)):
            window = slice(k * dilation, k * dilation + length, stride)
            to_input[:, window].addcmul_(gradient, weight[k])
            to_weight[k] = torch.mul(gradient, padded[:, window], out=product).sum((0, 1))
        return to_input, to_weight, None, None


class CausalConv(nn.Module):
    """A 1-D convolution that sees the past only; its state is the last ``history`` input frames."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, dilation=dilation, groups=groups)
        self.history = (kernel - 1) * dilation + 1 - stride
        self.inputs = inputs

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, self.inputs, self.history)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, inputs, frames), frames a multiple of the stride."""
        joined = torch.cat([state, x], dim=2)
        return self.conv(joined), joined[:, :, joined.shape[2] - self.history :]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, inputs) to (batch, frames // stride, outputs)."""
        conv, weight = self.conv, self.conv.weight
        padded = nn.functional.pad(x, (0, 0, self.history, 0))
        dilation, stride = conv.dilation[0], conv.stride[0]
        if conv.groups == self.inputs == conv.out_channels:
            taps = weight[:, 0].t().contiguous()
            return ShiftedDepthwise.apply(padded.float(), taps, dilation, stride) + conv.bias
        if dilation == 1:  # windows side by side make it one matrix product
            windows = padded.unfold(1, weight.shape[2], stride).flatten(2)
            return nn.functional.linear(windows, weight.flatten(1), conv.bias)
        return conv(padded.transpose(1, 2)).transpose(1, 2)


class ParallelConv(nn.Module):
    """Depthwise convolutions of several lengths, each on its share of the channels (after Inception)."""

    def __init__(self, channels: int, kernels: tuple[int, ...], stride: int, dilation: int):
        super().__init__()
        self.shares = [channels // len(kernels)] * len(kernels)
        self.shares[0] += channels - sum(self.shares)
        self.convs = nn.ModuleList(
            CausalConv(share, share, kernel, stride, dilation, groups=share)
            for share, kernel in zip(self.shares, kernels, strict=True)
        )
        self.history = max(conv.history for conv in self._convs())
        self.inputs = channels

    def _convs(self) -> list[CausalConv]:
        return [conv for conv in self.convs if isinstance(conv, CausalConv)]

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, self.inputs, self.history)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        joined = torch.cat([state, x], dim=2)
        parts = joined.split(self.shares, dim=1)
        pasts = [self.history - conv.history for conv in self._convs()]
        heard = [
            conv.conv(part[:, :, past:]) for conv, part, past in zip(self._convs(), parts, pasts, strict=True)
        ]
        return torch.cat(heard, dim=1), joined[:, :, joined.shape[2] - self.history :]

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(self.shares, dim=2)
        return torch.cat([conv(part) for conv, part in zip(self.convs, parts, strict=True)], dim=2)


def pointwise(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """A 1×1 convolution of (batch, frames, channels)."""
    return nn.functional.linear(x, layer.weight[:, :, 0], layer.bias)


def normalised(norm: nn.Module, x: Tensor) -> Tensor:
    """A batch norm of (batch, frames, channels)."""
    return norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])
