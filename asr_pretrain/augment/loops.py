"""A noise recording as a waveform that repeats without a seam, and its level in the band."""

from __future__ import annotations

import numpy as np
import torch

from asr_pretrain.augment.level import band_limit

LOOP_FADE_SAMPLES = 1600  # 100 ms
_SHORTEST_SAMPLES = 8000  # shorter recordings are not worth looping
_QUIETEST_RMS = 1e-4  # -80 dBFS in the band: a silent recording is no noise


def _loopable(x: np.ndarray) -> np.ndarray:
    """Fold the end of ``x`` over its beginning (equal power) so that it repeats without a seam."""
    fade = LOOP_FADE_SAMPLES
    u = np.linspace(0, np.pi / 2, fade, dtype=np.float32)
    out = x[:-fade].copy()
    out[:fade] = x[:fade] * np.sin(u) + x[-fade:] * np.cos(u)
    return out


def _without_pauses(x: np.ndarray) -> np.ndarray:
    """Shorten stretches of 0.5 s or more that lie 45 dB below the loudest 50 ms: padding is not noise."""
    frame = 800
    usable = x[: x.size - x.size % frame].reshape(-1, frame)
    level = np.sqrt(np.square(usable).mean(1))
    quiet = level < level.max(initial=0.0) * 10 ** (-45 / 20)
    run = np.zeros(quiet.size, dtype=np.int64)
    for i in range(quiet.size):
        run[i] = run[i - 1] + 1 if quiet[i] and i else int(quiet[i])
    return usable[run <= 10].reshape(-1)


def prepare(x: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Return the looping int16 waveform and its RMS in the band (int16 units), or None when unusable."""
    trimmed = _without_pauses(x.astype(np.float32))
    if trimmed.size < _SHORTEST_SAMPLES + LOOP_FADE_SAMPLES:
        return None
    looped = np.clip(np.rint(_loopable(trimmed)), -32768, 32767).astype(np.int16)
    rms = float(band_limit(torch.from_numpy(looped.astype(np.float32))).square().mean().sqrt())
    return (looped, rms) if rms > _QUIETEST_RMS * 32768 else None
