"""Gain control and codecs: a level is reached, nothing moves in time, what comes out is still speech."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr_pretrain.augment.capture import CODECS, AutomaticGain, automatic_gain, through_codec


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("n_samples", [31999, 51200])
def test_a_codec_changes_the_sound_but_not_its_time(codec: str, n_samples: int, speech: torch.Tensor):
    x = np.zeros(n_samples, np.float32)
    x[4000:30000] = speech[0].numpy()[:26000] * 4
    y = through_codec(x, codec)
    assert y.shape == x.shape and y.dtype == np.float32 and np.isfinite(y).all()
    spectra = np.fft.rfft(y, 131072) * np.fft.rfft(x, 131072).conj()
    assert np.fft.irfft(spectra).argmax() in (0, 1, 131071)
    assert 1e-8 < np.square(x - y).mean() < np.square(x).mean()


def test_every_codec_takes_what_is_too_loud_or_silent():
    for codec in CODECS:
        for x in (np.full(16000, 3.0, np.float32), np.zeros(16000, np.float32)):
            y = through_codec(x, codec)
            assert np.isfinite(y).all() and np.abs(y).max() <= 1.5


@pytest.mark.parametrize("level_dbfs", [-50.0, -40.0, -12.0])
def test_gain_control_reaches_its_level(level_dbfs: float):
    t = np.arange(5 * 16000) / 16000
    x = (10 ** (level_dbfs / 20) * np.sqrt(2) * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    x[:16000] *= 0.1  # it starts 20 dB lower
    y = automatic_gain(x, AutomaticGain(-24.0, 0.02, 0.3, 30.0))
    reached = 20 * np.log10(np.sqrt(np.square(y[-16000:]).mean()))
    assert reached == pytest.approx(-24.0, abs=0.5)
    onset = 20 * np.log10(np.sqrt(np.square(y[16000:16160]).mean()))
    assert onset > reached + 3  # it hears the step only after it came


def test_gain_control_is_causal_and_bounded():
    x = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 1e-5
    control = AutomaticGain(-20.0, 0.01, 0.1, 12.0)
    y = automatic_gain(x, control)
    assert np.abs(y).max() <= np.abs(x).max() * 10 ** (12 / 20) * 1.001
    later = x.copy()
    later[8000:] *= 1000
    assert np.array_equal(automatic_gain(later, control)[:8000], y[:8000])
