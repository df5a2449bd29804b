import pytest
import torch

from asr_pretrain.encoder import Encoder, EncoderConfig, RunningMean, folded
from asr_pretrain.layers import CausalConv

SHAPES = {
    "default": EncoderConfig(channels=16, dilations=(1, 2, 4)),
    "plain": EncoderConfig(channels=16, dilations=(1, 2, 4), residual=False),
    "bottleneck": EncoderConfig(channels=16, dilations=(1, 2, 4), bottleneck=8),
    "parallel": EncoderConfig(channels=17, dilations=(1, 2, 4), parallel_kernels=(3, 5, 9)),
    "late stride": EncoderConfig(channels=16, dilations=(1, 2, 4), late_stride=1),
}


@pytest.fixture(params=SHAPES)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder(SHAPES[request.param])
    encoder.train()
    for _ in range(3):  # batch norms with statistics of their own
        encoder(torch.randn(4, 80, 40) * 3 + 8)
    return encoder.eval()


@pytest.mark.parametrize("step", [4, 8, 40])
@torch.no_grad()
def test_streaming_equals_batch(encoder: Encoder, step: int) -> None:
    log_mel = torch.randn(2, 240, 40) * 3 + 8
    whole = encoder(log_mel)
    state, pieces = encoder.initial_state(2), []
    for start in range(0, 240, step):
        piece, state = encoder.step(log_mel[:, start : start + step], state)
        pieces.append(piece)
    assert whole.shape == (2, 60, encoder.config.channels)
    assert (torch.cat(pieces, 1) - whole).abs().max() < 1e-4


@torch.no_grad()
def test_folding_batch_norms_changes_nothing(encoder: Encoder) -> None:
    log_mel = torch.randn(2, 80, 40) * 3 + 8
    assert (folded(encoder)(log_mel) - encoder(log_mel)).abs().max() < 1e-4


@torch.no_grad()
def test_the_future_is_not_seen(encoder: Encoder) -> None:
    log_mel = torch.randn(1, 160, 40) * 3 + 8
    changed = log_mel.clone()
    changed[:, 80:] += 5
    assert torch.equal(encoder(log_mel)[:, :20], encoder(changed)[:, :20])


@torch.no_grad()
def test_a_constant_gain_cancels() -> None:
    mean = RunningMean(1.5, floor=4.0)
    log_mel = torch.rand(1, 250, 40) * 5 + 10
    gain_log = 12 / 10 * torch.log(torch.tensor(10.0))  # 12 dB of power
    assert (mean(log_mel) - mean(log_mel + gain_log)).abs().max() < 1e-4


@torch.no_grad()
def test_digital_silence_is_finite_and_quiet() -> None:
    silence = torch.full((1, 100, 40), -15.9)
    assert RunningMean(1.5, floor=4.0)(silence).abs().max() < 1e-6


def test_training_sees_the_same_gradient_as_torchs_own_convolution() -> None:
    torch.manual_seed(0)
    for layer in (CausalConv(6, 6, 5, 2, 3, groups=6), CausalConv(6, 4, 8, 4), CausalConv(6, 4, 3, 1, 2)):
        x = torch.randn(2, 40, 6, requires_grad=True)
        gradients = []
        for out in (layer(x), layer.step(x.transpose(1, 2), layer.initial_state(2))[0].mT):
            out.square().sum().backward()
            parameters = [x, *layer.parameters()]
            gradients.append([p.grad.clone() for p in parameters if p.grad is not None])
            for p in parameters:
                p.grad = None
        for ours, theirs in zip(*gradients, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_shape_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one"):
        EncoderConfig(bottleneck=8, parallel_kernels=(3, 5))
    with pytest.raises(ValueError, match="late_stride 9"):
        EncoderConfig(late_stride=9)


def test_the_default_fits_the_budget() -> None:
    assert EncoderConfig().macs_per_second() < 10e6
