"""Levels, SNR and the span of a word: one definition for every package (docs/contracts.md).

SNR is the ratio of *active-speech level* (RMS over the 20 ms frames within 25 dB of the loudest) to
*noise level* (RMS), both in the 200–6000 Hz band, both at the microphone. All signals are float32 in
[-1, 1], shape ``(..., samples)``, at 16 kHz; levels are dB relative to full scale (RMS 1.0 is 0 dBFS).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
import torch

SAMPLE_RATE_HZ = 16000
BAND_HZ = (200.0, 6000.0)
LEVEL_FRAME_SAMPLES = 320  # 20 ms
ACTIVE_RANGE_DB = 25.0
WORD_RANGE_DB = 30.0
SILENCE_DBFS = -80.0  # an active level below this is silence: no SNR can be defined
_FLOOR_POWER = 1e-20  # -200 dBFS: keeps the logarithm of digital silence finite


@lru_cache(maxsize=64)
def fft_length(n_samples: int) -> int:
    """Return the next length at or above ``n_samples`` that the FFT handles fast (even)."""
    length = int(scipy.fft.next_fast_len(n_samples, real=True))
    while length % 2:
        length = int(scipy.fft.next_fast_len(length + 1, real=True))
    return length


def spectrum(x: torch.Tensor, n_fft: int) -> torch.Tensor:
    """Real FFT of the last axis, zeros behind it up to ``n_fft``: (..., n_fft // 2 + 1) complex64."""
    if x.device.type != "cpu":
        return torch.fft.rfft(x, n_fft)
    # pocketfft takes several rows at once: on an AMD processor faster than torch's MKL (docs/experiments.md).
    return torch.from_numpy(scipy.fft.rfft(x.numpy(), n_fft))


def waveform(bins: torch.Tensor, n_fft: int) -> torch.Tensor:
    """The inverse of `spectrum`: (..., n_fft) float32."""
    if bins.device.type != "cpu":
        return torch.fft.irfft(bins, n_fft)
    return torch.from_numpy(scipy.fft.irfft(bins.numpy(), n_fft))


def band_mask(n_fft: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the 200–6000 Hz brick-wall mask of an ``n_fft``-point real spectrum, ``(n_fft // 2 + 1,)``."""
    frequency_hz = torch.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ, device=device)
    return ((frequency_hz >= BAND_HZ[0]) & (frequency_hz <= BAND_HZ[1])).to(torch.float32)


@lru_cache(maxsize=64)
def band_bins(n_fft: int) -> slice:
    """The bins that `band_mask` keeps; all others are zero."""
    kept = torch.nonzero(band_mask(n_fft))[:, 0]
    return slice(int(kept[0]), int(kept[-1]) + 1) if len(kept) else slice(0, 0)


def band_limit(x: torch.Tensor) -> torch.Tensor:
    """Keep 200–6000 Hz of ``x`` (zero phase, brick wall), same shape ``(..., samples)``."""
    n = x.shape[-1]
    n_fft = fft_length(n + LEVEL_FRAME_SAMPLES)
    return waveform(spectrum(x, n_fft) * band_mask(n_fft, x.device), n_fft)[..., :n]


def power_db(power: torch.Tensor) -> torch.Tensor:
    """Return ``10 log10(power)``, never below -200 dB."""
    return 10.0 * torch.log10(power.clamp_min(_FLOOR_POWER))


def active_power(banded: torch.Tensor) -> torch.Tensor:
    """Mean power of the frames within 25 dB of the loudest of an already band-limited signal, ``(...)``.

    Frames are 20 ms and do not overlap; a shorter remainder at the end is left out.
    """
    n = banded.shape[-1]
    if n < LEVEL_FRAME_SAMPLES:
        return banded.square().mean(-1)
    frames = banded[..., : n - n % LEVEL_FRAME_SAMPLES].unflatten(-1, (-1, LEVEL_FRAME_SAMPLES))
    power = torch.linalg.vector_norm(frames, dim=-1).square() / LEVEL_FRAME_SAMPLES
    loudest = power.amax(-1, keepdim=True)
    active = (power >= loudest * 10 ** (-ACTIVE_RANGE_DB / 10)).to(power.dtype)
    return (power * active).sum(-1) / active.sum(-1).clamp_min(1.0)


def active_speech_level_db(x: torch.Tensor) -> torch.Tensor:
    """Active-speech level of ``x (..., samples)`` in dBFS, shape ``(...)``; -200 for digital silence."""
    return power_db(active_power(band_limit(x)))


def noise_level_db(x: torch.Tensor) -> torch.Tensor:
    """RMS level of ``x (..., samples)`` between 200 and 6000 Hz in dBFS, shape ``(...)``."""
    return power_db(band_limit(x).square().mean(-1))


def snr_gain(
    speech: torch.Tensor, noise: torch.Tensor, snr_db: torch.Tensor | float | np.ndarray
) -> torch.Tensor:
    """Return the gain that brings ``noise`` to ``snr_db`` below ``speech``, shape ``(...)``.

    ``speech`` is the image at the microphone, after the impulse response. Zero where the speech is silent
    (below -80 dBFS active) or the noise is digital silence: no ratio is defined there.
    """
    speech_db = active_speech_level_db(speech)
    noise_db = noise_level_db(noise)
    wanted = torch.as_tensor(snr_db, dtype=torch.float32, device=speech.device)
    gain = 10 ** ((speech_db - noise_db - wanted) / 20)
    defined = (speech_db > SILENCE_DBFS) & (noise_db > -190.0)
    return torch.where(defined, gain, torch.zeros_like(gain))


def word_span(samples: np.ndarray) -> tuple[float, float]:
    """Return ``(start_s, end_s)`` of the word: the span within 30 dB of its 20 ms peak energy.

    ``samples (n,)`` is int16 or float; the span is counted in whole 20 ms frames that do not overlap.
    Raises ValueError for an empty or entirely silent recording, where no word can be found.
    """
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"word_span: expected a mono signal with samples, got shape {x.shape}")
    starts = np.arange(0, x.size, LEVEL_FRAME_SAMPLES)
    energy = np.add.reduceat(np.square(x), starts)
    if not energy.max() > 0:
        raise ValueError("word_span: the recording is digital silence, so it holds no word; check the file")
    active = np.flatnonzero(energy >= energy.max() * 10 ** (-WORD_RANGE_DB / 10))
    start = int(starts[active[0]])
    end = min(int(starts[active[-1]]) + LEVEL_FRAME_SAMPLES, x.size)
    return start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ
