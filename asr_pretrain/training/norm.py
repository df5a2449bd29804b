"""Batch normalisation over the batches of all processes, on CPU and GPU (torch's SyncBatchNorm refuses CPU).

Two processes then compute what one would with twice the batch. Parameters, buffers and `state_dict` are
those of `nn.BatchNorm1d`; in evaluation mode and in a single process it *is* `nn.BatchNorm1d`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


class _Normalise(torch.autograd.Function):
    """Normalises rows (values, channels) by statistics that all processes share.

    The derivatives are those of Ioffe and Szegedy (2015), with both sums taken over all processes.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, mean: Tensor, inverse_std: Tensor, count: Tensor) -> Tensor:
        """``mean`` and ``inverse_std`` (channels,), ``count`` () of the rows behind them."""
        normalised = (rows - mean) * inverse_std
        ctx.save_for_backward(normalised, inverse_std, count)
        return normalised

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        normalised, inverse_std, count = ctx.saved_tensors
        sums = torch.stack([gradient.sum(0), (gradient * normalised).sum(0)]).double()
        distributed.all_reduce(sums)
        along_mean, along_scale = (sums / count).to(gradient.dtype)
        return (gradient - along_mean - normalised * along_scale) * inverse_std, None, None, None


class SharedBatchNorm1d(nn.BatchNorm1d):
    """`nn.BatchNorm1d` on (batch, channels) or (batch, channels, frames), statistics over all processes."""

    def forward(self, input: Tensor) -> Tensor:
        together = distributed.is_available() and distributed.is_initialized()
        if not self.training or not together or distributed.get_world_size() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        rows = input if input.dim() == 2 else input.transpose(1, 2).flatten(0, 1)
        with torch.autocast(input.device.type, enabled=False):
            rows = rows.to(torch.promote_types(input.dtype, torch.float32))
            with torch.no_grad():
                mean, variance, count = _statistics(rows)
                self._remember(mean, variance, count)
                inverse_std = torch.rsqrt(variance + self.eps)
            normalised = _Normalise.apply(rows, mean.to(rows), inverse_std.to(rows), count)
            if self.affine:
                normalised = normalised * self.weight + self.bias
        if input.dim() == 3:
            normalised = normalised.unflatten(0, (input.shape[0], -1)).transpose(1, 2)
        return normalised.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Moves the running statistics as `nn.BatchNorm1d` does: the variance unbiased."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), share)


def _statistics(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance (channels,) and count () of the rows of all processes, float64.

    Each process's own moments are exact to float32; float64 keeps them so when they are combined by
    count, where E[x²] − E[x]² would cancel.
    """
    own_variance, own_mean = (t.double() for t in torch.var_mean(rows, dim=0, correction=0))
    moments = torch.stack([torch.ones_like(own_mean), own_mean, own_variance + own_mean.square()])
    moments *= len(rows)
    distributed.all_reduce(moments)
    count = moments[0, 0]
    mean, square = moments[1:] / count
    return mean, (square - mean.square()).clamp_min(0), count


def convert(model: nn.Module) -> nn.Module:
    """Puts a `SharedBatchNorm1d` for each `nn.BatchNorm1d` inside ``model``, in place; returns ``model``.

    Parameters and buffers stay the same objects, so an optimizer made before goes on moving them.
    """
    if type(model) is nn.BatchNorm1d:
        shared = SharedBatchNorm1d(
            model.num_features, model.eps, model.momentum, model.affine, model.track_running_stats
        )
        shared.weight, shared.bias = model.weight, model.bias
        for name, buffer in model.named_buffers(recurse=False):
            shared.register_buffer(name, buffer)
        return shared.train(model.training)
    for name, child in model.named_children():
        replaced = convert(child)
        if replaced is not child:
            model.add_module(name, replaced)
    return model


def freeze_statistics(model: nn.Module) -> None:
    """Batch norms of ``model`` normalise by their running statistics and leave them as they are."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
