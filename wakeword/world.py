"""A recording in WORLD's parts (Morise et al., IEICE 2016): pitch, spectral envelope, breath; and back."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_pretrain.training.recipe import RecipeError
from data_splits.audio import to_int16

SAMPLE_RATE_HZ = 16000
FRAME_MS = 5.0


@dataclass(frozen=True)
class Analysed:
    """A take in WORLD's parts, frame by frame."""

    pitch_hz: np.ndarray
    envelope: np.ndarray
    aperiodicity: np.ndarray

    @property
    def mean_pitch_hz(self) -> float:
        voiced = self.pitch_hz[self.pitch_hz > 0]
        return float(np.exp(np.log(voiced).mean())) if voiced.size else 150.0


def analyse(samples: np.ndarray) -> Analysed:
    """WORLD's analysis of int16 samples (n,)."""
    world = _world()
    x = samples.astype(np.float64) / 32768
    coarse, times = world.dio(x, SAMPLE_RATE_HZ, frame_period=FRAME_MS)
    pitch = world.stonemask(x, coarse, times, SAMPLE_RATE_HZ)
    return Analysed(
        pitch,
        world.cheaptrick(x, pitch, times, SAMPLE_RATE_HZ),
        world.d4c(x, pitch, times, SAMPLE_RATE_HZ),
    )


def sound(pitch_hz: np.ndarray, log_envelope: np.ndarray, aperiodicity: np.ndarray) -> np.ndarray:
    """WORLD's synthesis, int16 (n,), turned down where it would be clipped."""
    made = _world().synthesize(
        np.ascontiguousarray(pitch_hz),
        np.ascontiguousarray(np.exp(log_envelope)),
        np.ascontiguousarray(np.clip(aperiodicity, 0.001, 0.999)),
        SAMPLE_RATE_HZ,
        frame_period=FRAME_MS,
    )
    return to_int16((made * min(1.0, 0.98 / max(float(np.abs(made).max()), 1e-9))).astype(np.float32))


def mean_pitch_hz(samples: np.ndarray) -> float:
    """Of int16 samples; 150 where nothing is voiced."""
    pitch, _ = _world().dio(samples.astype(np.float64) / 32768, SAMPLE_RATE_HZ, frame_period=FRAME_MS)
    return Analysed(pitch, np.empty(0), np.empty(0)).mean_pitch_hz


def paced(n_frames: int, pace: tuple[float, ...]) -> np.ndarray:
    """Source positions of the new frames: each part of the take lasts its factor as long."""
    knots = np.linspace(0, n_frames - 1, len(pace) + 1)
    ends = np.concatenate([[0], np.cumsum(np.diff(knots) * np.array(pace))])
    return np.interp(np.arange(int(ends[-1]) + 1), ends, knots)


def between(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    low = np.clip(np.floor(at).astype(np.int64), 0, len(rows) - 1)
    high = np.minimum(low + 1, len(rows) - 1)
    share = (at - low)[:, None]
    return rows[low] * (1 - share) + rows[high] * share


def _world() -> Any:
    """pyworld; 0.3.5 asks for setuptools' pkg_resources only to learn its own version."""
    try:
        importlib.metadata.version("pyworld")
    except importlib.metadata.PackageNotFoundError as error:
        raise RecipeError("pyworld is not installed: pip install 'rearview-wakeword[voices]'") from error
    if "pkg_resources" not in sys.modules:
        try:
            import pkg_resources  # noqa: F401
        except ModuleNotFoundError:
            stand_in = types.ModuleType("pkg_resources")
            stand_in.get_distribution = importlib.metadata.distribution  # type: ignore[attr-defined]
            sys.modules["pkg_resources"] = stand_in
    import pyworld

    return pyworld
