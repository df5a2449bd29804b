"""The definition of SNR and of the word's span, against an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfiltfilt

from asr_pretrain.augment.level import (
    active_speech_level_db,
    band_limit,
    noise_level_db,
    snr_gain,
    word_span,
)


def sine(hz: float, amplitude: float, n: int = 16000) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(n) / 16000)


def test_only_the_band_counts():
    inside, below, above = (
        float(noise_level_db(torch.from_numpy(sine(hz, 0.5).astype(np.float32)))) for hz in (1000, 80, 7000)
    )
    assert inside == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.02)
    assert below < -45 and above < -45


def test_active_level_ignores_pauses_and_quiet_frames():
    loud = sine(1000, 0.5)
    padded = np.concatenate([np.zeros(16000), loud, loud * 0.01])  # -40 dB: not active
    active = float(active_speech_level_db(torch.from_numpy(padded.astype(np.float32))))
    assert active == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.1)


def test_levels_agree_with_frames_counted_one_by_one():
    rng = np.random.default_rng(1)
    x = rng.standard_normal(32123) * np.repeat(rng.random(51), 640)[:32123] ** 3
    banded = sosfiltfilt(butter(12, (200, 6000), "bandpass", fs=16000, output="sos"), x)
    power = [np.mean(banded[i : i + 320] ** 2) for i in range(0, len(x) - 319, 320)]
    active = [p for p in power if p >= max(power) / 10**2.5]
    expected = 10 * np.log10(np.mean(active))
    assert float(active_speech_level_db(torch.from_numpy(x).float())) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 17.5])
def test_gain_gives_the_ratio_asked_for(speech: torch.Tensor, snr_db: float):
    noise = torch.randn(speech.shape, generator=torch.Generator().manual_seed(2)) * 0.3
    scaled = noise * snr_gain(speech, noise, snr_db)[:, None]
    ratio = active_speech_level_db(speech) - noise_level_db(scaled)
    assert torch.allclose(ratio, torch.full_like(ratio, snr_db), atol=0.01)


def test_silence_has_no_ratio_and_no_nan():
    zeros, noise = torch.zeros(2, 16000), torch.randn(2, 16000)
    assert torch.equal(snr_gain(zeros, noise, 5.0), torch.zeros(2))
    assert torch.equal(snr_gain(noise, zeros, 5.0), torch.zeros(2))
    assert torch.isfinite(active_speech_level_db(zeros)).all() and torch.isfinite(band_limit(zeros)).all()
    assert torch.isfinite(active_speech_level_db(torch.randn(100)))


def test_word_span_of_a_burst():
    x = np.full(32000, 1.0)
    x[9600:17600] += 3000 * np.sin(np.arange(8000))
    start_s, end_s = word_span(x.astype(np.int16))
    assert (start_s, end_s) == pytest.approx((0.6, 1.1), abs=0.02)
    assert word_span(x / 32768) == (start_s, end_s)


@pytest.mark.parametrize("silent", [np.zeros(16000, np.int16), np.zeros(0, np.int16), np.ones((2, 10))])
def test_no_word_in_silence(silent: np.ndarray):
    with pytest.raises(ValueError, match="word_span"):
        word_span(silent)
