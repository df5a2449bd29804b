"""Whether two recordings are one: their waveforms agree block by block, at lags that lie on one line.

Two takes of a word may agree in any one block, for vowels of one voice are alike; they do not agree along a
line, because nobody times two takes to a tenth of a millisecond. One recording played faster, cut, coded or
under noise does.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import maximum_filter1d

from data_splits.audio import SAMPLE_RATE_HZ
from data_splits.audit.sound.align import Overlap
from data_splits.audit.sound.spectrum import HOP

_BLOCK: Final = 1024
"""64 ms."""
_SLACK: Final = 400
"""25 ms either way: what the sketches leave open."""
_BLOCKS: Final = 48
_FEWEST_BLOCKS: Final = 3
_LOUD: Final = 10**-2.0
_BAND_HZ: Final = (250.0, 3500.0)
# The line may tilt by an error of speed this large, in steps of two samples at its ends.
_SPEED_STEP: Final = 0.003
_FASTEST: Final = 0.024
_DOUBT_FRAMES: Final = 3
_SURE: Final = 0.85
_JITTER: Final = 5
# Other takes of a word by one voice reach 0.74 over 7 blocks and 0.37 over 12.
_LEAST, _FEW = 0.38, 2.6


class Coherence(NamedTuple):
    """How well two waveforms agree along the best line of lags."""

    value: float
    """Mean normalised cross-correlation of the blocks, 0 to 1, the louder block weighing more."""
    blocks: int
    """Loud blocks of 64 ms, every 32 ms, at most 48."""

    @property
    def same(self) -> bool:
        """Whether chance and another take of the same word are ruled out; few blocks must agree better."""
        return self.value >= _LEAST + _FEW / max(self.blocks, 1)


def coherence(first: np.ndarray, second: np.ndarray, over: Overlap) -> Coherence:
    """Lay two waveforms over each other.

    Args:
        first: int16, shape (n,), 16 kHz.
        second: int16, shape (m,), 16 kHz.
        over: how the second lies over the first.

    Returns:
        The best over the speeds that the sketches cannot tell apart; 0 where fewer than 3 blocks overlap.
    """
    best = Coherence(0.0, 0)
    for speed in _speeds(over):
        best = max(best, _at_speed(first, second, over._replace(speed=speed)))
        if best.value >= _SURE:
            break
    return best


def _speeds(over: Overlap) -> list[float]:
    """Speeds that differ by some frames at the ends of the overlap, and 1, which most copies have."""
    doubt = max(_SPEED_STEP, _DOUBT_FRAMES / max(over.strong, 1))
    steps = np.arange(-_FASTEST, _FASTEST + _SPEED_STEP, 2 * _SPEED_STEP) + 1
    near = [1.0, over.speed, *steps[np.abs(steps - over.speed) <= doubt]]
    return sorted(set(near), key=lambda speed: (abs(speed - 1), speed))


def _at_speed(first: np.ndarray, second: np.ndarray, over: Overlap) -> Coherence:
    # The second as it would sound at the speed of the first, its moment under that of the first.
    at = over.second_frame * HOP + (np.arange(len(first)) - over.first_frame * HOP) * over.speed
    inside = np.flatnonzero((at >= 0) & (at <= len(second) - 1))
    if len(inside) < _BLOCK:
        return Coherence(0.0, 0)
    begin, end = int(inside[0]), int(inside[-1]) + 1
    starts = _loud_blocks(first[begin:end].astype(np.float64), over.first_frame * HOP - begin)
    if len(starts) < _FEWEST_BLOCKS:
        return Coherence(0.0, 0)
    own = first[begin + starts[:, None] + np.arange(_BLOCK)].astype(np.float64)
    reach = begin + starts[:, None] + np.arange(-_SLACK, _BLOCK + _SLACK)
    place = over.second_frame * HOP + (reach - over.first_frame * HOP) * over.speed
    wide = np.interp(place, np.arange(len(second)), second.astype(np.float64), left=0.0, right=0.0)
    weight = np.sqrt(np.sqrt((own**2).sum(axis=1)))
    return Coherence(_best_line(_correlations(own, wide), starts, weight / weight.sum()), len(starts))


def _loud_blocks(samples: np.ndarray, near: int) -> np.ndarray:
    """Starts of at most 48 loud blocks, those nearest to the shared moment."""
    starts = np.arange(0, len(samples) - _BLOCK + 1, _BLOCK // 2)
    energy = np.array([np.square(samples[start : start + _BLOCK]).sum() for start in starts])
    loud = starts[energy > max(energy.max() * _LOUD, 1.0)]
    nearest = np.argsort(np.abs(loud - near), kind="stable")[:_BLOCKS]
    return np.sort(loud[nearest])


def _correlations(own: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """Normalised correlation of each block with each shift of what lies over it, shape (blocks, 801)."""
    size = next_fast_len(wide.shape[1] + _BLOCK, real=True)
    frequency_hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    # Some pre-emphasis: else the first harmonics of a voice decide alone.
    heard = (frequency_hz >= _BAND_HZ[0]) & (frequency_hz <= _BAND_HZ[1])
    weight = np.where(heard, np.sqrt(frequency_hz), 0.0)
    own = irfft(rfft(own, size) * weight, size)[:, :_BLOCK]
    wide = irfft(rfft(wide, size) * weight, size)[:, : wide.shape[1]]
    shifts = wide.shape[1] - _BLOCK + 1
    product = irfft(rfft(wide, size) * np.conj(rfft(own, size)), size)[:, :shifts]
    running = np.pad(np.cumsum(wide**2, axis=1), ((0, 0), (1, 0)))
    energy = running[:, _BLOCK:] - running[:, :-_BLOCK]
    norm = np.sqrt(energy * (own**2).sum(axis=1, keepdims=True))
    return np.where(norm > 1e-6 * norm.max(), product / np.maximum(norm, 1e-9), 0.0)


def _best_line(correlation: np.ndarray, starts: np.ndarray, weight: np.ndarray) -> float:
    near = maximum_filter1d(correlation, _JITTER, axis=1, mode="constant") * weight[:, None]
    middle = starts - starts.mean()
    tilt = max(float(np.abs(middle).max()) * _SPEED_STEP, 1.0)
    best = 0.0
    for ends in np.arange(-tilt, tilt + 1, 2.0):
        bend = np.rint(middle / max(float(np.abs(middle).max()), 1.0) * ends).astype(int)
        reach = int(np.abs(bend).max())
        if 2 * reach >= near.shape[1]:
            continue
        columns = np.arange(reach, near.shape[1] - reach)
        line = np.zeros(len(columns))
        for row, shift in zip(near, bend, strict=True):
            line += row[columns[0] + shift : columns[-1] + shift + 1]
        best = max(best, float(line.max()))
    return best
