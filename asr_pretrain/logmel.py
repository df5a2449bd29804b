"""Batched torch twin of ``mirror_device.logmel``: what training sees is what the mirror computes.

A test holds both front ends within 1e-4 of ``torchaudio.compliance.kaldi.fbank``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mirror_device.logmel import (
    FFT_SAMPLES,
    FRAME_SAMPLES,
    HOP_SAMPLES,
    N_MELS,
    PREEMPHASIS,
    SAMPLE_RATE_HZ,
    mel_filterbank,
    povey_window,
)

__all__ = ["HOP_SAMPLES", "N_MELS", "SAMPLE_RATE_HZ", "LogMel"]

INT16_SCALE = 32768.0
EPSILON = float(np.finfo(np.float32).eps)


def warped_filterbank(warp: float) -> np.ndarray:
    """(bins, mels) filterbank read at ``warp`` times each bin's frequency: vocal-tract length perturbation.

    A warp above 1 moves formants up, as a shorter vocal tract does (Jaitly and Hinton, 2013, with a
    linear map; bins pushed beyond Nyquist fall away).
    """
    bank = np.asarray(mel_filterbank(), dtype=np.float64)
    bins = np.arange(bank.shape[0], dtype=np.float64) * warp
    columns = [np.interp(bins, np.arange(bank.shape[0]), bank[:, m], right=0.0) for m in range(bank.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


class LogMel(nn.Module):
    """Waveform (batch, samples) in [-1, 1] to causal log-mels (batch, samples // hop, 40).

    Frame i covers samples [hop·i − 240, hop·i + 160), as on the device; 240 zeros stand before the start.
    """

    window: Tensor
    banks: Tensor

    def __init__(self, warps: tuple[float, ...] = (1.0,)):
        super().__init__()
        self.warps = warps
        self.register_buffer("window", torch.from_numpy(povey_window().astype(np.float32)), persistent=False)
        banks = np.stack([warped_filterbank(warp) for warp in warps])
        self.register_buffer("banks", torch.from_numpy(banks), persistent=False)

    @torch.no_grad()
    def forward(self, samples: Tensor, warp_index: Tensor | None = None, hop: int = HOP_SAMPLES) -> Tensor:
        """``warp_index`` (batch,) picks each row's filterbank; a ``hop`` other than 160 changes the tempo."""
        history = FRAME_SAMPLES - HOP_SAMPLES + 1
        padded = nn.functional.pad(samples * INT16_SCALE, (history, 0))
        means = nn.functional.avg_pool1d(padded[:, None, 1:], FRAME_SAMPLES, hop)[:, 0]
        # Pre-emphasis before framing: the frame's first sample alone would differ, and the window is 0 there.
        # What it makes of the frame's mean is taken out afterwards.
        emphasised = padded[:, 1:] - PREEMPHASIS * padded[:, :-1]
        frames = padded.new_zeros(*means.shape, FFT_SAMPLES)
        held = frames[:, :, :FRAME_SAMPLES]
        held.copy_(emphasised.unfold(1, FRAME_SAMPLES, hop)).mul_(self.window)
        held.addcmul_(means[:, :, None], self.window[None, None], value=PREEMPHASIS - 1)
        spectrum = torch.view_as_real(torch.fft.rfft(frames))[:, :, : FFT_SAMPLES // 2]  # Nyquist weighs 0
        power = spectrum[..., 0].square().addcmul_(spectrum[..., 1], spectrum[..., 1])
        if warp_index is None:
            mel = power @ self.banks[0]
        else:
            mel = torch.bmm(power, self.banks[warp_index])
        return mel.clamp_min(EPSILON).log()
