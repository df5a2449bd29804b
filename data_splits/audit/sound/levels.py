"""Levels and limits of one recording: how loud, how clean, how wide."""

from __future__ import annotations

from typing import Final

import numpy as np

from data_splits.audio import SAMPLE_RATE_HZ

FRAME: Final = 320
"""20 ms, as the project's SNR counts active speech."""
_FULL_SCALE: Final = 32768.0
_ACTIVE_DB: Final = 25.0
_SILENT_DBFS: Final = -60.0
_FLOOR_QUANTILE: Final = 0.1
_LOWEST_DBFS: Final = -100.0
# What a codec or a converter removed lies far below what it left.
_EDGE_DB: Final = 50.0
_SMOOTH_BINS: Final = 9
_PLATEAU: Final = 3
# Quieter than -30 dBFS, equal samples at the top are the steps of 16 bits.
_LOWEST_PLATEAU: Final = 1000


def measure_levels(samples: np.ndarray, spectrum: np.ndarray) -> dict[str, float]:
    """What can be said of a recording without knowing what is said in it.

    Args:
        samples: int16, shape (n,), 16 kHz, n > 0.
        spectrum: mean power of the loud frames, shape (513,), 0 to 8 kHz.

    Returns:
        `level_dbfs` (RMS of the 20 ms frames within 25 dB of the loudest), `peak_dbfs`, `noise_floor_dbfs`
        (the level that a tenth of the frames stay below), `measured_snr_db` (active level over noise floor:
        an estimate, which continuous speech or music makes too low), `clipped_share` (samples at full
        scale, or on a plateau of 3 or more at the recording's own extreme), `dc_offset` (mean, of full
        scale), `silence_share` (frames below -60 dBFS) and `bandwidth_hz` (where the spectrum falls 50 dB
        below its peak for good).
    """
    scaled = samples.astype(np.float32) / np.float32(_FULL_SCALE)
    dc_offset = float(scaled.mean(dtype=np.float64))
    n_frames = max(1, len(scaled) // FRAME)
    frames = scaled[: n_frames * FRAME].reshape(n_frames, -1) - np.float32(dc_offset)
    energy = np.einsum("ij,ij->i", frames, frames) / frames.shape[1]
    active = energy[energy >= energy.max() * 10 ** (-_ACTIVE_DB / 10)]
    floor = float(np.quantile(energy, _FLOOR_QUANTILE))
    level_dbfs, floor_dbfs = _db(float(active.mean())), _db(floor)
    return {
        "level_dbfs": level_dbfs,
        "peak_dbfs": _db(float(np.abs(scaled).max()) ** 2),
        "noise_floor_dbfs": floor_dbfs,
        "measured_snr_db": level_dbfs - floor_dbfs,
        "clipped_share": _clipped(samples),
        "dc_offset": dc_offset,
        "silence_share": float((energy < 10 ** (_SILENT_DBFS / 10)).mean()),
        "bandwidth_hz": _bandwidth_hz(spectrum),
    }


def _db(power: float) -> float:
    return max(_LOWEST_DBFS, 10 * float(np.log10(power))) if power > 0 else _LOWEST_DBFS


def _clipped(samples: np.ndarray) -> float:
    clipped = (samples == 32767) | (samples == -32768)
    for extreme in (int(samples.max()), int(samples.min())):
        if abs(extreme) < _LOWEST_PLATEAU:
            continue
        there = samples == extreme
        runs = np.diff(np.concatenate(([0], there.view(np.int8), [0])))
        starts, ends = np.flatnonzero(runs == 1), np.flatnonzero(runs == -1)
        for start, end in zip(starts, ends, strict=True):
            if end - start >= _PLATEAU:
                clipped[start:end] = True
    return float(clipped.mean())


def _bandwidth_hz(spectrum: np.ndarray) -> float:
    smooth = np.convolve(spectrum, np.full(_SMOOTH_BINS, 1 / _SMOOTH_BINS), mode="same")
    above = np.flatnonzero(smooth >= smooth.max() * 10 ** (-_EDGE_DB / 10))
    if smooth.max() <= 0:
        return 0.0
    return float(above[-1] + 1) * SAMPLE_RATE_HZ / 2 / (len(spectrum) - 1)
