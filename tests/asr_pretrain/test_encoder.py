import pytest
import torch

from asr_pretrain.encoder import Encoder, EncoderConfig, RunningMean, folded

SMALL = EncoderConfig(channels=16, dilations=(1, 2, 4))


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder(SMALL)
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
    assert whole.shape == (2, 60, 16)
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


def test_the_default_fits_the_budget() -> None:
    assert EncoderConfig().macs_per_second() < 10e6
