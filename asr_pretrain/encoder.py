"""The causal streaming encoder that is pretrained on speech and transferred to the wake word.

Log-mels at 100 frames/s are normalised by their own running mean, strided at once to 25 frames/s, and
pass residual blocks of a depthwise convolution and a 1×1 convolution. Every layer looks only back, so
streaming needs nothing but the last frames of each layer's input, which ``Encoder.step`` hands around
as an explicit state; streaming equals batch is a test.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

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
    mean_time_s: float = Field(1.5, gt=0.1, le=30)
    """Time constant of the running mean: a stationary car fades, a word does not."""
    floor: float = 4.0
    """Log-mel floor, about the rounding noise of int16 samples: digital silence is no quieter than that."""

    def macs_per_second(self) -> float:
        """Multiply-accumulates per second of audio, head excluded."""
        rate_hz = 100 / SUBSAMPLING
        block = self.channels * (self.channels + self.kernel)
        stem = N_MELS * self.stem_kernel * self.channels
        return rate_hz * (stem + block * len(self.dilations))


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
        return self.conv(nn.functional.pad(x, (self.history, 0)))


class Block(nn.Module):
    """x + relu(norm(pointwise(depthwise(x))))."""

    def __init__(self, channels: int, kernel: int, dilation: int):
        super().__init__()
        self.depthwise = CausalConv(channels, channels, kernel, dilation=dilation, groups=channels)
        self.pointwise = nn.Conv1d(channels, channels, 1)
        self.norm = nn.BatchNorm1d(channels)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        y, state = self.depthwise.step(x, state)
        return x + torch.relu(self.norm(self.pointwise(y))), state

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.norm(self.pointwise(self.depthwise(x))))


class Encoder(nn.Module):
    """Log-mels (batch, frames, 40) to (batch, frames // 4, channels)."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.normalise = RunningMean(config.mean_time_s, config.floor)
        self.stem = CausalConv(N_MELS, config.channels, config.stem_kernel, stride=SUBSAMPLING)
        self.stem_norm = nn.BatchNorm1d(config.channels)
        self.blocks = nn.ModuleList(
            Block(config.channels, config.kernel, dilation) for dilation in config.dilations
        )

    def residual_blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.encode(self.normalise(log_mel))

    def encode(self, normalised: Tensor) -> Tensor:
        """Everything after the normalisation (batch, frames, 40); SpecAugment works between the two."""
        n_frames = normalised.shape[1] // SUBSAMPLING * SUBSAMPLING
        x = torch.relu(self.stem_norm(self.stem(normalised[:, :n_frames].transpose(1, 2))))
        for block in self.blocks:
            x = block(x)
        return x.transpose(1, 2)

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """Zeros: [mean sum, mean weight, stem, block 1, …]."""
        convs = [self.stem, *(block.depthwise for block in self.residual_blocks())]
        return self.normalise.initial_state(batch) + [conv.initial_state(batch) for conv in convs]

    def step(self, log_mel: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One step of a stream: frames must be a multiple of 4. Returns the output and the new state."""
        x, mean_state = self.normalise.step(log_mel, state[:2])
        y, stem_state = self.stem.step(x.transpose(1, 2), state[2])
        y = torch.relu(self.stem_norm(y))
        states = [*mean_state, stem_state]
        for block, block_state in zip(self.residual_blocks(), state[3:], strict=True):
            y, new_state = block.step(y, block_state)
            states.append(new_state)
        return y.transpose(1, 2), states


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
