"""Any common sample rate and channel count to 16 kHz mono int16, streaming, with a low-pass.

Windowed-sinc interpolation (J. O. Smith, "Digital Audio Resampling Home Page", Stanford CCRMA; Kaiser
window), polyphase: a block of ``up`` outputs takes exactly ``down`` inputs, so the phases repeat with every
block and a block is one product with a constant matrix. Blocks have one size, so any chunking of the input
gives the same output bit for bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirror_device.errors import SoundError
from mirror_device.logmel import SAMPLE_RATE_HZ, Float32

STOPBAND_DB = 80.0
ZERO_CROSSINGS = 32  # each side of the sinc, at the lower rate: flat to 6.8 kHz
MIN_BLOCK_OUTPUTS = 160  # 10 ms: longer blocks only add delay
MAX_BLOCK_OUTPUTS = 640  # every usual rate needs at most this; odd ones (44,101 Hz) would need huge matrices
MAX_CHANNELS = 64
RATES_HZ = "8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400 or 192000"


class Resampler:
    """One channel from ``rate_hz`` to 16 kHz; output sample n stands at time n / 16000 of the input.

    From a higher rate: flat to 6.8 kHz, -6 dB at 7.4 kHz, below -85 dB from 8 kHz on.

    Raises:
        SoundError: a rate without a small ratio to 16 kHz.
    """

    def __init__(self, rate_hz: int) -> None:
        divisor = math.gcd(SAMPLE_RATE_HZ, rate_hz) if rate_hz > 0 else 1
        up, down = SAMPLE_RATE_HZ // divisor, rate_hz // divisor
        if not 8000 <= rate_hz <= 192000 or up > MAX_BLOCK_OUTPUTS:
            raise SoundError(
                f"a sample rate of {rate_hz} Hz: convert to 16000 Hz first (taken as they are: {RATES_HZ})"
            )
        repeats = -(-MIN_BLOCK_OUTPUTS // up)
        self._n_out, self._n_in = up * repeats, down * repeats
        lower_hz = min(rate_hz, SAMPLE_RATE_HZ)
        self._half = math.ceil(ZERO_CROSSINGS * rate_hz / lower_hz)  # input samples each side of an output
        self._ratio = rate_hz / SAMPLE_RATE_HZ
        self._matrix = self._design(rate_hz, lower_hz)
        self._start()

    def _start(self) -> None:
        self._rest = np.zeros(self._half, np.float32)  # what the first outputs see before the start
        self._fed = self._made = 0

    def _design(self, rate_hz: int, lower_hz: int) -> Float32:
        """The block's matrix (outputs, inputs + 2 half), each row summing to 1."""
        beta = 0.1102 * (STOPBAND_DB - 8.7)
        # Kaiser's formula for the width of the transition, put just below the lower Nyquist frequency.
        width_hz = (STOPBAND_DB - 8.0) / (2.285 * 2 * math.pi * 2 * self._half) * rate_hz
        cutoff = (lower_hz - width_hz) / rate_hz  # of the input's Nyquist frequency
        centre = np.arange(self._n_out)[:, None] * self._ratio + self._half
        offset = np.arange(self._n_in + 2 * self._half)[None, :] - centre
        inside = np.clip(1.0 - (offset / self._half) ** 2, 0.0, None)
        window = np.i0(beta * np.sqrt(inside)) * (inside > 0.0)
        rows = np.sinc(cutoff * offset) * window
        return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)

    def process(self, samples: NDArray[Any]) -> Float32:
        """Samples (n,) to the outputs (m,) that they complete; 10 ms (at 11.025 kHz: 40 ms) are held."""
        self._fed += len(samples)
        self._rest = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        n_blocks = max(0, (len(self._rest) - 2 * self._half) // self._n_in)
        made = np.empty((n_blocks, self._n_out), np.float32)
        for block in range(n_blocks):
            start = block * self._n_in
            np.dot(self._matrix, self._rest[start : start + self._matrix.shape[1]], out=made[block])
        self._rest = self._rest[n_blocks * self._n_in :]
        self._made += made.size
        return made.reshape(-1)

    def flush(self) -> Float32:
        """The outputs still owed at the end of the sound, zeros follow it; then a new sound may begin."""
        owed = -(-self._fed * self._n_out // self._n_in) - self._made
        last = self.process(np.zeros(2 * self._half + 2 * self._n_in, np.float32))[:owed]
        self._start()
        return last


class ToMono16k:
    """Frames of any rate and channel count to 16 kHz mono int16; 16 kHz mono int16 passes through untouched.

    Args:
        rate_hz: of the input.
        channels: of the input, averaged.

    Raises:
        SoundError: a rate or channel count that is not supported.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        if not 1 <= channels <= MAX_CHANNELS:
            raise SoundError(f"{channels} channels: give 1 to {MAX_CHANNELS}")
        self._resampler = None if rate_hz == SAMPLE_RATE_HZ else Resampler(rate_hz)

    def process(self, frames: NDArray[Any]) -> NDArray[np.int16]:
        """Frames (n, channels), int16 or float in int16 scale -> (m,) int16, clipped, never wrapped."""
        if self._resampler is None and frames.dtype == np.int16 and frames.shape[1] == 1:
            return frames[:, 0]
        mono = frames.mean(axis=1, dtype=np.float32)
        return _to_int16(mono if self._resampler is None else self._resampler.process(mono))

    def flush(self) -> NDArray[np.int16]:
        """What is still owed at the end of the sound."""
        return np.zeros(0, np.int16) if self._resampler is None else _to_int16(self._resampler.flush())


def _to_int16(samples: Float32) -> NDArray[np.int16]:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
