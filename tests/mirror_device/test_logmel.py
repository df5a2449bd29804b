"""The front end against torchaudio's Kaldi fbank, and streaming against batch."""

from __future__ import annotations

import numpy as np
import pytest

from mirror_device.logmel import STEP_SAMPLES, LogMel, log_mel

TIME_S = np.arange(3 * 16000) / 16000
RNG = np.random.default_rng(1)
SOUNDS = {
    "noise": RNG.normal(0, 3000, TIME_S.size),
    "faint": RNG.normal(0, 2, TIME_S.size),
    "offset": 8000 + RNG.normal(0, 100, TIME_S.size),
    "square at full scale": np.where(np.sin(2 * np.pi * 300 * TIME_S) > 0, 32767, -32768),
    "speech-like": 4000 * np.sin(2 * np.pi * 120 * TIME_S) * np.sin(2 * np.pi * 3 * TIME_S)
    + RNG.normal(0, 30, TIME_S.size),
    "silence": np.zeros(TIME_S.size),
    "constant": np.full(TIME_S.size, 20001),
}


def oracle(samples: np.ndarray) -> np.ndarray:
    """torchaudio's fbank of the zero-padded signal, in double: float32 loses quiet bands beside loud ones."""
    from asr_pretrain.torchaudio_standin import install

    install()
    import torch
    from torchaudio.compliance import kaldi

    padded = np.concatenate([np.zeros(240), samples.astype(np.float64)])
    return kaldi.fbank(
        torch.from_numpy(padded)[None],
        dither=0.0,
        num_mel_bins=40,
        window_type="povey",
        low_freq=20.0,
        high_freq=0.0,
        snip_edges=True,
        sample_frequency=16000.0,
    ).numpy()


@pytest.mark.parametrize("name", SOUNDS)
def test_agrees_with_kaldi_fbank(name: str) -> None:
    samples = np.clip(np.rint(SOUNDS[name]), -32768, 32767).astype(np.int16)
    ours = log_mel(samples)
    assert ours.shape == (300, 40) and ours.dtype == np.float32
    assert np.abs(ours - oracle(samples)).max() < 1e-4


def test_streaming_is_bit_identical_to_batch_and_reset_forgets() -> None:
    samples = SOUNDS["noise"].astype(np.int16)[: 30 * STEP_SAMPLES]
    front_end = LogMel()
    for _ in range(2):
        steps = [front_end.process(step) for step in samples.reshape(-1, STEP_SAMPLES)]
        assert np.array_equal(np.concatenate(steps), log_mel(samples))
        front_end.reset()


@pytest.mark.parametrize("n_samples", [0, 1, 159, 160, 161, 1279, 1280, 1441])
def test_one_frame_for_each_whole_hop(n_samples: int) -> None:
    samples = SOUNDS["noise"].astype(np.int16)
    assert np.array_equal(log_mel(samples[:n_samples]), log_mel(samples[:16000])[: n_samples // 160])


def test_float_in_int16_scale_is_the_same() -> None:
    samples = SOUNDS["noise"].astype(np.int16)
    assert np.array_equal(log_mel(samples.astype(np.float32)), log_mel(samples))


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        log_mel(np.full(1600, np.nan, np.float32))
    with pytest.raises(ValueError, match="mono"):
        log_mel(np.zeros((1600, 2), np.int16))
    with pytest.raises(ValueError, match="1280"):
        LogMel().process(np.zeros(160, np.int16))
