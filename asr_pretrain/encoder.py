"""The causal streaming encoder that is pretrained on speech and transferred to the wake word.

Log-mels at 100 frames/s are normalised by their own running mean, strided at once to 25 frames/s, and
pass residual blocks of a depthwise convolution and a 1×1 convolution. Every layer looks only back, so
streaming needs nothing but the last frames of each layer's input, which ``Encoder.step`` hands around
as an explicit state; streaming equals batch is a test.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from asr_pretrain.layers import CausalConv, ParallelConv, normalised, pointwise
from mirror_device.logmel import N_MELS

SUBSAMPLING = 4
"""Log-mel frames per encoder frame: 100 frames/s become 25."""


class EncoderConfig(BaseModel):
    """Shape of the encoder; the default costs 9.1 M multiply-accumulates per second of audio."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: int = Field(192, ge=8, le=1024)
    kernel: int = Field(5, ge=2, le=15)
    dilations: tuple[int, ...] = (1, 2, 4, 1, 2, 4, 1, 2)
    """One residual block each; the default sees 2.7 s of the past."""
    stem_kernel: int = Field(8, ge=SUBSAMPLING, le=32)
    """Log-mel frames under the strided first convolution."""
    residual: bool = True
    bottleneck: int = Field(0, ge=0, le=1024)
    """Above 0: 1×1 down to this many channels, a full convolution there, 1×1 back, instead of depthwise."""
    parallel_kernels: tuple[int, ...] = ()
    """Depthwise convolutions of these lengths side by side, each on its share of the channels."""
    late_stride: int | None = Field(None, ge=0)
    """The block that halves the rate from 50 to 25 frames/s; none strides by four in the stem at once."""
    mean_time_s: float = Field(1.5, gt=0.1, le=30)
    """Time constant of the running mean: a stationary car fades, a word does not."""
    floor: float = 4.0
    """Log-mel floor, about the rounding noise of int16 samples: digital silence is no quieter than that."""

    @model_validator(mode="after")
    def _agree(self) -> EncoderConfig:
        if self.bottleneck and self.parallel_kernels:
            raise ValueError("bottleneck and parallel_kernels: choose one")
        if self.late_stride is not None and self.late_stride >= len(self.dilations):
            raise ValueError(f"late_stride {self.late_stride}: there are {len(self.dilations)} blocks")
        return self

    def macs_per_second(self) -> float:
        """Multiply-accumulates per second of audio, head excluded."""
        if self.bottleneck:
            spatial = self.bottleneck * (self.channels + self.bottleneck * self.kernel)
            inner = self.bottleneck
        else:
            kernels = self.parallel_kernels or (self.kernel,)
            spatial = round(self.channels * sum(kernels) / len(kernels))
            inner = self.channels
        block = spatial + inner * self.channels
        rate_hz = 100 / SUBSAMPLING
        stem_rate_hz = rate_hz if self.late_stride is None else 2 * rate_hz
        twice = self.late_stride or 0  # blocks that run before the rate is halved
        stem = N_MELS * self.stem_kernel * self.channels
        return stem_rate_hz * stem + rate_hz * block * (len(self.dilations) + twice)


class RunningMean(nn.Module):
    """Subtracts the bias-corrected exponential mean of each mel band, so any constant gain cancels.

    mean_t = Σ a^(t−i) x_i / Σ a^(t−i): the first frames use what there is, and no start value is needed.
    """

    BLOCK = 100

    def __init__(self, mean_time_s: float, floor: float):
        super().__init__()
        self.decay = float(torch.exp(torch.tensor(-0.01 / mean_time_s)))
        self.floor = floor

    def kernel(self, n_frames: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Lower-triangular weights (n, n) inside a block, and the decay (n, 1) of what came before it."""
        age = torch.arange(n_frames, dtype=torch.float64)
        lower = torch.tril(self.decay ** (age[:, None] - age[None, :]).clamp_min(0))
        carry = (self.decay ** (age + 1))[:, None]
        return lower.to(like), carry.to(like)

    def initial_state(self, batch: int) -> list[Tensor]:
        return [torch.zeros(batch, 1, N_MELS), torch.zeros(batch, 1, 1)]

    def step(self, log_mel: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """(batch, frames, mels) and [weighted sum (batch, 1, mels), weight (batch, 1, 1)] of the past."""
        x = log_mel.clamp_min(self.floor)
        lower, carry = self.kernel(x.shape[1], x)
        total = lower @ x + carry * state[0]
        weight = lower.sum(1, keepdim=True) + carry * state[1]
        return x - total / weight, [total[:, -1:], weight[:, -1:]]

    def forward(self, log_mel: Tensor) -> Tensor:
        state = [s.to(log_mel) for s in self.initial_state(log_mel.shape[0])]
        blocks = []
        for block in log_mel.split(self.BLOCK, dim=1):
            normalised, state = self.step(block, state)
            blocks.append(normalised)
        return torch.cat(blocks, dim=1)


class Block(nn.Module):
    """x + relu(norm(pointwise(depthwise(x)))), or what the configuration makes of it."""

    def __init__(self, config: EncoderConfig, dilation: int, stride: int = 1):
        super().__init__()
        width = config.channels
        inner = config.bottleneck or width
        self.residual, self.stride = config.residual, stride
        self.squeeze = nn.Conv1d(width, inner, 1) if config.bottleneck else None
        self.depthwise: CausalConv | ParallelConv
        if config.parallel_kernels:
            self.depthwise = ParallelConv(inner, config.parallel_kernels, stride, dilation)
        else:
            groups = 1 if config.bottleneck else inner
            self.depthwise = CausalConv(inner, inner, config.kernel, stride, dilation, groups)
        self.pointwise = nn.Conv1d(inner, width, 1)
        self.norm = nn.BatchNorm1d(width)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, channels, frames) and the state of the convolution."""
        squeezed = torch.relu(self.squeeze(x)) if self.squeeze is not None else x
        y, state = self.depthwise.step(squeezed, state)
        y = torch.relu(self.norm(self.pointwise(y)))
        return (x[:, :, self.stride - 1 :: self.stride] + y if self.residual else y), state

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, channels)."""
        squeezed = torch.relu(pointwise(self.squeeze, x)) if self.squeeze is not None else x
        y = torch.relu(normalised(self.norm, pointwise(self.pointwise, self.depthwise(squeezed))))
        return x[:, self.stride - 1 :: self.stride] + y if self.residual else y


class Encoder(nn.Module):
    """Log-mels (batch, frames, 40) to (batch, frames // 4, channels)."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.normalise = RunningMean(config.mean_time_s, config.floor)
        early = SUBSAMPLING if config.late_stride is None else SUBSAMPLING // 2
        self.stem = CausalConv(N_MELS, config.channels, config.stem_kernel, stride=early)
        self.stem_norm = nn.BatchNorm1d(config.channels)
        self.blocks = nn.ModuleList(
            Block(config, dilation, 2 if index == config.late_stride else 1)
            for index, dilation in enumerate(config.dilations)
        )

    def residual_blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.encode(self.normalise(log_mel))

    def encode(self, normalised_mel: Tensor) -> Tensor:
        """Everything after the normalisation (batch, frames, 40); SpecAugment works between the two."""
        return self.layers(normalised_mel)[-1]

    def layers(self, normalised_mel: Tensor) -> list[Tensor]:
        """Outputs of the stem and of every block, each (batch, frames, channels)."""
        n_frames = normalised_mel.shape[1] // SUBSAMPLING * SUBSAMPLING
        outputs = [torch.relu(normalised(self.stem_norm, self.stem(normalised_mel[:, :n_frames])))]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        return outputs

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """Zeros: [mean sum, mean weight, stem, block 1, …]."""
        convs = [self.stem, *(block.depthwise for block in self.residual_blocks())]
        return self.normalise.initial_state(batch) + [conv.initial_state(batch) for conv in convs]

    def step(self, log_mel: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One step of a stream: frames must be a multiple of 4. Returns the output and the new state."""
        x, mean_state = self.normalise.step(log_mel, state[:2])
        y, states = self.encode_step(x.transpose(1, 2), state[2:])
        return y.transpose(1, 2), [*mean_state, *states]

    def encode_step(self, normalised_mel: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The same after the normalisation, (batch, mels, frames) to (batch, channels, frames // 4)."""
        y, stem_state = self.stem.step(normalised_mel, state[0])
        y = torch.relu(self.stem_norm(y))
        states = [stem_state]
        for block, block_state in zip(self.residual_blocks(), state[1:], strict=True):
            y, new_state = block.step(y, block_state)
            states.append(new_state)
        return y, states


@torch.no_grad()
def fold_batch_norm(conv: nn.Conv1d, norm: nn.BatchNorm1d) -> None:
    """Puts ``norm`` (in evaluation mode) into the weights of the convolution before it, in place."""
    if norm.running_mean is None or norm.running_var is None or conv.bias is None:
        raise ValueError("folding needs a convolution with bias and a batch norm with running statistics")
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    conv.weight.mul_(scale[:, None, None])
    conv.bias.sub_(norm.running_mean).mul_(scale).add_(norm.bias)


def folded(encoder: Encoder) -> Encoder:
    """A copy of ``encoder`` for inference: batch norms folded into the convolutions before them."""
    import copy

    copied = copy.deepcopy(encoder).eval()
    fold_batch_norm(copied.stem.conv, copied.stem_norm)
    copied.stem_norm = nn.Identity()  # type: ignore[assignment]
    for block in copied.residual_blocks():
        fold_batch_norm(block.pointwise, block.norm)
        block.norm = nn.Identity()  # type: ignore[assignment]
    return copied
