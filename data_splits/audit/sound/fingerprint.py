"""A compact fingerprint of a recording: what is heard in it, whatever its gain, codec and noise.

The sketch keeps 24 log-spaced bands every 16 ms in 4 bits each, relative to the loudest band within 0.77 s,
with everything 17 dB below that flattened: what noise covers does not count. From it follow *changes*
(differences along frequency and time, as the sub-fingerprints of Haitsma and Kalker, "A Highly Robust Audio
Fingerprinting System", ISMIR 2002, but kept as numbers), *anchors* (the moments of most change) and their
*signatures*: signs of random projections of the changes around them (Charikar, "Similarity Estimation
Techniques from Rounding Algorithms", STOC 2002).
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from scipy.ndimage import maximum_filter1d

from data_splits.audit.sound.spectrum import BANDS

FRAME_BYTES: Final = BANDS // 2
SPAN: Final = 2
"""A change compares the frames this far before and after."""
SIGNATURE_BYTES: Final = 24
_FLOOR: Final = 0.02
_STEPS: Final = 15
_REFERENCE_FRAMES: Final = 97
# Silence is not amplified: 30 dB below the recording's loudest, nor below -90 dBFS of a band.
_QUIETEST, _SILENCE = 1e-3, 1e-6
_PATCH: Final = np.array([-8, -4, 0, 4, 8])
_REACH: Final = int(_PATCH[-1])
_AROUND_FRAMES: Final = 17
_SALIENT: Final = 0.35


def make_sketch(bands: np.ndarray) -> bytes:
    """Band powers (frames, 24) to 12 bytes a frame."""
    loudest = bands.max(axis=1)
    reference = maximum_filter1d(loudest, _REFERENCE_FRAMES, mode="nearest")
    reference = np.maximum(reference, max(float(loudest.max()) * _QUIETEST, _SILENCE))
    levels = np.log(bands / reference[:, None] + _FLOOR)
    steps = np.rint((levels / -np.log(_FLOOR) + 1) * _STEPS)
    codes = np.clip(steps, 0, _STEPS).astype(np.uint8)
    return (codes[:, ::2] << 4 | codes[:, 1::2]).tobytes()


def changes(sketch: bytes) -> np.ndarray:
    """Changes along frequency and time, float32, shape (frames, 23); silence stands before and after."""
    packed = np.frombuffer(sketch, dtype=np.uint8).reshape(-1, FRAME_BYTES)
    codes = np.zeros((len(packed) + 2 * SPAN, BANDS), dtype=np.float32)
    codes[SPAN:-SPAN, ::2] = packed >> 4
    codes[SPAN:-SPAN, 1::2] = packed & 15
    slopes = codes[:, :-1] - codes[:, 1:]
    return slopes[2 * SPAN :] - slopes[: -2 * SPAN]


def anchors(moved: np.ndarray) -> np.ndarray:
    """Frames where `changes` are large beside those within 0.13 s, int32, shape (anchors,)."""
    strength = (moved**2).sum(axis=1)
    smooth = np.convolve(strength, (0.25, 0.5, 0.25), mode="same")
    large = smooth >= _SALIENT * maximum_filter1d(smooth, _AROUND_FRAMES, mode="constant")
    return np.flatnonzero(large & (strength > 0)).astype(np.int32)


def signatures(moved: np.ndarray, at: np.ndarray) -> np.ndarray:
    """192 bits for each anchor, uint8, shape (anchors, 24)."""
    padded = np.pad(moved, ((_REACH, _REACH), (0, 0)))
    patches = padded[at[:, None] + _REACH + _PATCH].reshape(len(at), len(_PATCH) * (BANDS - 1))
    return np.packbits(patches @ _projection() > 0, axis=1)


@cache
def _projection() -> np.ndarray:
    rng = np.random.default_rng(2002)
    return rng.standard_normal((len(_PATCH) * (BANDS - 1), 8 * SIGNATURE_BYTES), dtype=np.float32)
