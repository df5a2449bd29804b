"""Log-mel front end in numpy: 25 ms frames every 10 ms, 40 mel bands, Kaldi's conventions.

Kaldi's ``fbank`` (D. Povey et al., "The Kaldi speech recognition toolkit", ASRU 2011; feature-window.cc and
mel-computations.cc) without dither, made causal: 240 zeros stand before the first sample, so frame ``i``
covers samples ``[160 i - 240, 160 i + 160)`` and is known the moment its 160 new samples are.

Two choices behind the arithmetic:

- Always blocks of 8 frames, in the batch function too. BLAS rounds differently for other shapes; equal shapes
  make streaming and batch bit-identical.
- Double precision up to the power spectrum. In single precision the rounding of a loud band covers a quiet
  one: on recorded speech torchaudio's fbank is up to 5e-3 from the exact value in float32 and 3e-5 in
  float64; this is 1e-6. numpy's FFT is scalar code, so double costs 9 us of 52 a step (x86), and numpy before
  2.0 transforms in double anyway.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16000
FRAME_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms
N_MELS = 40
LOW_HZ = 20.0
HIGH_HZ = 8000.0
PREEMPHASIS = 0.97
FFT_SAMPLES = 512  # the next power of two, as Kaldi rounds
STEP_FRAMES = 8
STEP_SAMPLES = STEP_FRAMES * HOP_SAMPLES  # 80 ms
HISTORY_SAMPLES = FRAME_SAMPLES - HOP_SAMPLES

Float32 = NDArray[np.float32]

_N_BINS = FFT_SAMPLES // 2  # the bin at the Nyquist frequency has no weight in Kaldi, so it is left out
_FLOOR = np.float32(np.finfo(np.float32).eps)


def frontend_constants() -> dict[str, int | float]:
    """The constants as they stand in a model file's metadata under ``frontend``."""
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "frame_samples": FRAME_SAMPLES,
        "hop_samples": HOP_SAMPLES,
        "n_mels": N_MELS,
        "low_hz": int(LOW_HZ),
        "high_hz": int(HIGH_HZ),
        "preemphasis": PREEMPHASIS,
    }


def povey_window() -> NDArray[np.float64]:
    """Povey's window, (400,): a Hann window to the power 0.85, so that it touches zero at its ends."""
    phase = 2.0 * np.pi * np.arange(FRAME_SAMPLES) / (FRAME_SAMPLES - 1)
    return (0.5 - 0.5 * np.cos(phase)) ** 0.85


def mel_hz(frequency_hz: Any) -> Any:
    """Frequency in Hz to mel, Kaldi's formula: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(frequency_hz, dtype=np.float64) / 700.0)


def mel_filterbank() -> Float32:
    """Triangular filters of height 1, equally spaced and straight-sided in mel: (256 FFT bins, 40 mels)."""
    edges = np.linspace(mel_hz(LOW_HZ), mel_hz(HIGH_HZ), N_MELS + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = mel_hz(np.arange(_N_BINS) * SAMPLE_RATE_HZ / FFT_SAMPLES)[:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


_WINDOW = povey_window()
_FILTERBANK = mel_filterbank()


class LogMel:
    """The streaming front end: 1280 samples in, 8 frames out, 240 samples of history kept between calls."""

    def __init__(self) -> None:
        self._samples = np.zeros(HISTORY_SAMPLES + STEP_SAMPLES)
        stride = self._samples.strides[0]
        self._frames: NDArray[np.float64] = np.lib.stride_tricks.as_strided(
            self._samples, (STEP_FRAMES, FRAME_SAMPLES), (HOP_SAMPLES * stride, stride)
        )
        self._padded = np.zeros((STEP_FRAMES, FFT_SAMPLES))

    def reset(self) -> None:
        """Forget the past: the next step is as the first one of a new object, bit for bit."""
        self._samples.fill(0.0)

    def process(self, step: NDArray[Any]) -> Float32:
        """One step of sound to log-mel.

        Args:
            step: (1280,) int16, or float in int16 scale.

        Returns:
            (8, 40) float32, natural logarithm of the mel energies.

        Raises:
            ValueError: the step has another shape.
        """
        if step.shape != (STEP_SAMPLES,):
            raise ValueError(
                f"a step of shape {step.shape}: give ({STEP_SAMPLES},) samples, 80 ms of mono sound"
            )
        self._samples[:HISTORY_SAMPLES] = self._samples[STEP_SAMPLES:]
        self._samples[HISTORY_SAMPLES:] = step

        centred = self._frames - self._frames.mean(axis=1, keepdims=True)
        emphasised = self._padded[:, :FRAME_SAMPLES]  # what follows it stays zero
        np.multiply(centred[:, :-1], -PREEMPHASIS, out=emphasised[:, 1:])
        np.multiply(centred[:, 0], -PREEMPHASIS, out=emphasised[:, 0])  # Kaldi repeats the first sample
        emphasised += centred
        emphasised *= _WINDOW
        spectrum = np.fft.rfft(self._padded)
        squares = np.square(spectrum.view(np.float64))
        power = squares[:, 0 : 2 * _N_BINS : 2] + squares[:, 1 : 2 * _N_BINS : 2]
        mels = power.astype(np.float32) @ _FILTERBANK
        np.maximum(mels, _FLOOR, out=mels)
        return np.log(mels, out=mels)


def log_mel(samples: NDArray[Any]) -> Float32:
    """Log-mel of a whole recording; bit-identical to `LogMel` over the same samples.

    Args:
        samples: (n,) int16, or float in int16 scale; 16 kHz mono.

    Returns:
        (n // 160, 40) float32; samples beyond the last whole hop of 160 are not used.

    Raises:
        ValueError: not one-dimensional, or not finite.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise ValueError(f"samples of shape {samples.shape}: give mono sound, shape (n,)")
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        raise ValueError("samples hold NaN or infinity: repair the recording")
    n_frames = len(samples) // HOP_SAMPLES
    n_steps = -(-n_frames // STEP_FRAMES)
    padded = np.zeros(n_steps * STEP_SAMPLES, dtype=np.float32)
    padded[: n_frames * HOP_SAMPLES] = samples[: n_frames * HOP_SAMPLES]
    frames = np.empty((n_steps * STEP_FRAMES, N_MELS), dtype=np.float32)
    front_end = LogMel()
    for step in range(n_steps):
        sound = padded[step * STEP_SAMPLES : (step + 1) * STEP_SAMPLES]
        frames[step * STEP_FRAMES : (step + 1) * STEP_FRAMES] = front_end.process(sound)
    return frames[:n_frames]
