"""The public API: 16 kHz int16 sound in, wake words out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirror_device.errors import ModelError
from mirror_device.logmel import SAMPLE_RATE_HZ, STEP_SAMPLES, Float32, LogMel
from mirror_device.metadata import Keyword
from mirror_device.model import Model
from mirror_device.native import AVAILABLE, NativeLogMel

MODELS_FOLDER = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Detection:
    """One wake word heard."""

    keyword: str
    time_s: float
    """End of the 80 ms step that fired, in seconds from the first sample since the last reset."""
    score: float
    """The smoothed score of that step, in [0, 1]."""


def shipped_models() -> list[str]:
    """Names of the models installed with the package."""
    return sorted(path.stem for path in MODELS_FOLDER.glob("*.onnx"))


def model_path(model: str | Path) -> Path:
    """A shipped model's name or a path, as a path.

    Raises:
        ModelError: neither a shipped model nor an existing path.
    """
    if isinstance(model, str) and model in shipped_models():
        return MODELS_FOLDER / f"{model}.onnx"
    path = Path(model)
    if not path.exists():
        shipped = ", ".join(shipped_models()) or "none"
        raise ModelError(f"{model}: no such file, and no shipped model of this name (shipped: {shipped})")
    return path


class Detector:
    """Listens to one stream. Not thread-safe: one detector a stream.

    Sound is worked on in whole steps of 1280 samples (80 ms), whatever the lengths of the chunks given, so
    every chunking returns the same scores bit for bit.

    Args:
        model: a shipped model's name (``smart_mirror``) or the path of an ``.onnx`` file.
        threshold: fire from this smoothed score, in [0, 1], instead of each keyword's own threshold.

    Raises:
        ModelError: the model is missing, damaged or not of this project.
        ValueError: the threshold is outside [0, 1].
    """

    def __init__(self, model: str | Path, *, threshold: float | None = None) -> None:
        if threshold is not None and not 0.0 <= threshold <= 1.0:
            raise ValueError(f"threshold {threshold}: give a score from 0 to 1, or None for the model's own")
        self._model = Model(model_path(model))
        self._front_end = NativeLogMel() if AVAILABLE else LogMel()
        keywords = self._model.metadata.keywords
        self._thresholds = [word.threshold if threshold is None else float(threshold) for word in keywords]
        self._recent = np.zeros((self._model.metadata.smoothing_steps, len(keywords)), np.float32)
        self._smoothing_steps = np.float32(len(self._recent))
        # Rounded to samples first: 0.56 * 16000 is a hair above 8960.
        self._refractory_steps = -(-round(self._model.metadata.refractory_s * SAMPLE_RATE_HZ) // STEP_SAMPLES)
        self._pending = np.zeros(STEP_SAMPLES, np.int16)
        self.reset()

    @property
    def keywords(self) -> tuple[Keyword, ...]:
        """The wake words, in the order of the score columns, with the model's own thresholds."""
        return self._model.metadata.keywords

    @property
    def metadata(self) -> dict[str, Any]:
        """Everything the model file says about itself (a copy of the top level)."""
        return dict(self._model.metadata.raw)

    @property
    def path(self) -> Path:
        """The model's file."""
        return self._model.path

    @property
    def engine(self) -> str:
        """What runs its network: native, numpy or onnxruntime."""
        return self._model.engine_name

    @property
    def step_s(self) -> float:
        """Seconds of sound for each row of scores."""
        return STEP_SAMPLES / SAMPLE_RATE_HZ

    @property
    def pending_samples(self) -> int:
        """Samples given that do not fill a step yet, 0 to 1279."""
        return self._n_pending

    def reset(self) -> None:
        """Start a new stream: the same sound then gives the same scores, bit for bit."""
        self._front_end.reset()
        self._model.reset()
        self._recent.fill(0.0)
        self._n_pending = 0
        self._n_steps = 0
        self._last_fired: list[int | None] = [None] * len(self._thresholds)

    def scores(self, pcm: NDArray[np.int16]) -> Float32:
        """Scores of the steps that this chunk completes; the same stream as `process`, without its decisions.

        Args:
            pcm: (n,) int16, 16 kHz mono, n >= 0.

        Returns:
            (steps, keywords) float32 in [0, 1]: the mean of the last ``smoothing_steps`` raw scores (zeros
            stand before the first step). Exactly what a threshold is compared with.

        Raises:
            TypeError: not a numpy array of int16.
            ValueError: not one-dimensional.
        """
        rows = list(self._steps(pcm))
        scores = np.empty((len(rows), len(self._thresholds)), np.float32)
        for number, row in enumerate(rows):
            scores[number] = row
        return scores

    def process(self, pcm: NDArray[np.int16]) -> list[Detection]:
        """Wake words whose step this chunk completes.

        A keyword fires when its score is at or above the threshold and at least ``refractory_s`` have passed
        since it last fired. Arguments and Raises as in `scores`.
        """
        detections = []
        for row in self._steps(pcm):
            for column, keyword in enumerate(self.keywords):
                score = float(row[column])
                if score < self._thresholds[column]:
                    continue
                last = self._last_fired[column]
                if last is not None and self._n_steps - last < self._refractory_steps:
                    continue
                self._last_fired[column] = self._n_steps
                detections.append(
                    Detection(keyword.phrase, self._n_steps * STEP_SAMPLES / SAMPLE_RATE_HZ, score)
                )
        return detections

    def _steps(self, pcm: NDArray[np.int16]) -> Iterator[Float32]:
        """Smoothed scores (keywords,) of each step completed; counts the step before it is handed out."""
        _check_pcm(pcm)
        if len(pcm) == STEP_SAMPLES and not self._n_pending:
            yield self._step(np.ascontiguousarray(pcm))
            return
        start = 0
        while self._n_pending + len(pcm) - start >= STEP_SAMPLES:
            taken = STEP_SAMPLES - self._n_pending
            self._pending[self._n_pending :] = pcm[start : start + taken]
            start += taken
            self._n_pending = 0
            yield self._step(self._pending)
        rest = len(pcm) - start
        self._pending[self._n_pending : self._n_pending + rest] = pcm[start:]
        self._n_pending += rest

    def _step(self, sound: NDArray[np.int16]) -> Float32:
        """Smoothed scores (keywords,) of one step (1280,), counted."""
        self._recent[:-1] = self._recent[1:]
        self._model.hear(self._front_end, sound, self._recent[-1])
        self._n_steps += 1
        return np.add.reduce(self._recent, axis=0) / self._smoothing_steps


def _check_pcm(pcm: Any) -> None:
    if not isinstance(pcm, np.ndarray):
        raise TypeError(f"sound as {type(pcm).__name__}: give a numpy array of int16, 16 kHz mono")
    if pcm.dtype != np.int16:
        remedy = "give int16"
        if pcm.dtype.kind == "f":
            remedy = "give np.clip(np.rint(x * 32768), -32768, 32767).astype(np.int16), after removing NaN"
        raise TypeError(f"sound of dtype {pcm.dtype}: {remedy}")
    if pcm.ndim != 1:
        raise ValueError(
            f"sound of shape {pcm.shape}: give one channel, shape (n,); mix stereo to mono first"
        )
