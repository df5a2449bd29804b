import numpy as np
import pytest
import torch

from asr_pretrain import torchaudio_standin
from asr_pretrain.logmel import LogMel, warped_filterbank
from mirror_device.logmel import HISTORY_SAMPLES, log_mel, mel_filterbank


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(32000) * np.linspace(10, 6000, 32000)).astype(np.int16)


def test_the_torch_twin_is_kaldi_fbank(samples: np.ndarray) -> None:
    torchaudio_standin.install()
    from torchaudio.compliance import kaldi

    padded = torch.from_numpy(np.pad(samples, (HISTORY_SAMPLES, 0)).astype(np.float32))[None]
    oracle = kaldi.fbank(padded, num_mel_bins=40, dither=0.0, window_type="povey", low_freq=20, high_freq=0)
    twin = LogMel()(torch.from_numpy(samples.astype(np.float32) / 32768)[None])[0]
    assert twin.shape == oracle.shape == (200, 40)
    assert (twin - oracle).abs().max() < 1e-4


def test_both_front_ends_agree(samples: np.ndarray) -> None:
    twin = LogMel()(torch.from_numpy(samples.astype(np.float32) / 32768)[None])[0].numpy()
    assert np.abs(twin - log_mel(samples)).max() < 1e-4


def test_a_warp_moves_energy_up_and_a_short_hop_makes_more_frames() -> None:
    tone = torch.sin(2 * torch.pi * 1000 / 16000 * torch.arange(16000))[None] * 0.1
    front_end = LogMel((0.85, 1.0, 1.18))
    peaks = [int(front_end(tone, torch.tensor([i]))[0, 50].argmax()) for i in range(3)]
    assert peaks[0] < peaks[1] < peaks[2] or peaks[0] > peaks[1] > peaks[2]
    assert front_end(tone, hop=128).shape[1] == 124
    assert np.allclose(warped_filterbank(1.0), mel_filterbank())
