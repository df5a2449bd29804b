"""Voices as numbers: an exported ONNX encoder over a few recordings of everybody."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from data_splits.audio import SAMPLE_RATE_HZ, read_audio
from data_splits.audit.sound.logmel import N_MELS, log_mel
from data_splits.audit.sound.spread import spread
from data_splits.errors import AudioError
from data_splits.train_dev import is_noise_recording

PER_VOICE: Final = 8
"""Recordings of one voice in one split that are listened to."""
_BATCH: Final = 64
_MIN_S, _MAX_S = 0.4, 10.0
_LONGEST_S: Final = 600.0
_MAX_BYTES: Final = 1 << 30


def voice_name() -> pl.Expr:
    """Whom a row is taken to be: its speaker, else nobody but its session, else nobody but itself."""
    return pl.coalesce("speaker", "session", "clean_parent", "id")


def embed(
    frame: pl.DataFrame,
    root: Path,
    encoder: Path,
    *,
    jobs: int = 1,
    ray: str | None = None,
    advance: Callable[[int, int], object] = lambda done, total: None,
) -> pl.DataFrame:
    """What the encoder makes of up to 8 recordings of each voice in each split.

    Args:
        frame: manifest rows.
        root: the manifest's folder.
        encoder: an ONNX file, as `Encoder` wants it.
        jobs: processes on this machine.
        ray: address of a Ray cluster that works instead; its nodes see the file under the same path.
        advance: called with the recordings done and all there are.

    Returns:
        Columns `id` and `voice`, a list of floats; rows that were not listened to are left out.

    Raises:
        ValueError: the file is no such encoder, or onnxruntime is not installed.
    """
    Encoder(encoder)  # a wrong file is refused before anything is decoded
    long_enough = pl.col("duration_s").is_between(_MIN_S, _LONGEST_S) & ~is_noise_recording()
    rows = frame.filter(long_enough).unique("audio", keep="first", maintain_order=True)
    rows = rows.filter(pl.int_range(pl.len()).over(voice_name(), "split") < PER_VOICE)
    named = list(rows.select("id", "audio").iter_rows())
    batches = [named[start : start + _BATCH] for start in range(0, len(named), _BATCH)]
    work = functools.partial(_embed_all, str(root), str(encoder.absolute()))
    found: list[tuple[str, list[float]]] = []
    done = 0
    for batch, voices in spread(work, batches, jobs, ray):
        done += len(batch)
        advance(done, len(named))
        found += [(row, voice) for (row, _), voice in zip(batch, voices, strict=True) if voice is not None]
    return pl.DataFrame(found, schema={"id": pl.String, "voice": pl.List(pl.Float32)}, orient="row")


def _embed_all(root: str, encoder: str, batch: Sequence[tuple[str, str]]) -> list[list[float] | None]:
    opened = _open(encoder)
    found: list[list[float] | None] = []
    for _, reference in batch:
        try:
            samples = read_audio(reference, root, max_s=_LONGEST_S)
        except AudioError:
            found.append(None)  # integrity says so
            continue
        found.append(opened(samples[: int(_MAX_S * SAMPLE_RATE_HZ)]).tolist())
    return found


class Encoder:
    """An exported encoder of voices.

    One float32 input, (1, samples) of a 16 kHz waveform in [-1, 1] or (1, frames, 40) of log-mels by Kaldi's
    conventions; the first output, (1, dims), is the voice.

    Args:
        path: the `.onnx` file, weights inside.

    Raises:
        ValueError: missing, damaged, or of other inputs; or onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ValueError("--embedder: needs the package onnxruntime; pip install onnxruntime") from error
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"{path}: no file of at most 1 GiB; export the encoder to one ONNX file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            # From memory: a file could name others as its weights.
            self._session: Any = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001  (onnxruntime has no common class of errors)
            raise ValueError(f"{path}: not a usable ONNX file: {str(error)[:200]}") from error
        inputs = self._session.get_inputs()
        shapes = [(item.type, list(item.shape)) for item in inputs]
        ranks = [len(shape) for kind, shape in shapes if kind == "tensor(float)"]
        if len(inputs) != 1 or ranks not in ([2], [3]) or (ranks == [3] and shapes[0][1][2] != N_MELS):
            raise ValueError(
                f"{path}: inputs {shapes}; an encoder has one float32 input, (1, samples) of waveform or "
                f"(1, frames, {N_MELS}) of log-mels; export one without states and lengths"
            )
        self.path, self._name, self._is_waveform = path, inputs[0].name, ranks == [2]

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """The voice in int16 samples (n,), float32, shape (dims,)."""
        heard = samples.astype(np.float32) / np.float32(32768)
        given = heard[None] if self._is_waveform else log_mel(samples)[None]
        try:
            voice = np.asarray(self._session.run(None, {self._name: given})[0], dtype=np.float32)
        except Exception as error:  # noqa: BLE001  (as above)
            raise ValueError(
                f"{self.path}: fails on {len(samples)} samples: {str(error)[:200]}; export it with a free "
                "length"
            ) from error
        if voice.ndim != 2 or len(voice) != 1 or not np.isfinite(voice).all():
            raise ValueError(f"{self.path}: gives {voice.shape}, not a finite (1, dims); pool over time")
        return voice[0]


@functools.lru_cache(maxsize=1)
def _open(path: str) -> Encoder:
    return Encoder(Path(path))
