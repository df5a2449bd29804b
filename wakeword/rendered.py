"""Streams rendered once and kept as the device's log-mels, for many models to hear.

A model that is being chosen hears them in seconds: the float network runs over whole streams at once, where
the device runs step by step. Both give the same scores (tests/wakeword/test_rendered.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from mirror_device.logmel import STEP_FRAMES, STEP_SAMPLES, log_mel
from wakeword.blocks import SAMPLE_RATE_HZ, Piece, Stream, Word
from wakeword.evaluate import Heard
from wakeword.model import TriggerModel

SMOOTHING_STEPS = 2


@dataclass(frozen=True)
class Rendered:
    """A stream without its audio: log-mels (frames, 40), frames a multiple of a device step's."""

    name: str
    condition: str
    seconds: float
    words: tuple[Word, ...]
    pieces: tuple[Piece, ...]
    log_mel: np.ndarray

    @classmethod
    def of(cls, stream: Stream) -> Rendered:
        """Through the device's front end."""
        whole = stream.samples.size // STEP_SAMPLES * STEP_SAMPLES
        seconds = stream.samples.size / SAMPLE_RATE_HZ
        mels = log_mel(stream.samples[:whole])
        return cls(stream.name, stream.condition, seconds, stream.words, stream.pieces, mels)


def keep(streams: Iterable[Stream], folder: Path) -> list[Rendered]:
    """The streams' log-mels: read from ``folder`` where they are there, else made and written."""
    index = folder / "streams.json"
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for number, stream in enumerate(streams):
            made = Rendered.of(stream)
            np.save(folder / f"{number:04d}.npy", made.log_mel)
            rows.append({key: value for key, value in asdict(made).items() if key != "log_mel"})
        index.write_text(json.dumps(rows), encoding="utf-8")
    kept = []
    for number, row in enumerate(json.loads(index.read_text(encoding="utf-8"))):
        words = tuple(Word(**word) for word in row.pop("words"))
        pieces = tuple(Piece(**piece) for piece in row.pop("pieces"))
        mels = np.load(folder / f"{number:04d}.npy", mmap_mode="r")
        kept.append(Rendered(**row, words=words, pieces=pieces, log_mel=mels))
    return kept


@torch.inference_mode()
def listen(
    model: TriggerModel, streams: Sequence[Rendered], column: int = 0, smoothing_steps: int = SMOOTHING_STEPS
) -> list[Heard]:
    """What the device would make of each stream, from a reset: smoothed scores, one a step of 80 ms."""
    model.eval()
    heard = []
    for stream in streams:
        mels = torch.from_numpy(np.array(stream.log_mel, dtype=np.float32))[None]
        raw = torch.sigmoid(model.logits(mels)[0, column]).numpy()
        steps = raw.reshape(len(stream.log_mel) // STEP_FRAMES, -1).max(1)
        scores = smoothed(steps, smoothing_steps)
        heard.append(
            Heard(stream.name, stream.condition, stream.seconds, stream.words, stream.pieces, scores)
        )
    return heard


@torch.inference_mode()
def listen_untrained(recogniser: Path, phrase: str, streams: Sequence[Rendered]) -> list[Heard]:
    """What a general recogniser makes of the phrase's phones alone, no take of it having been heard.

    The score of a step is exp(−cost) of the cheaper of its two frames (`asr_pretrain.spotting`).
    """
    from asr_pretrain.phonemes import phone_ids
    from asr_pretrain.spotting import track
    from asr_pretrain.train import load_recogniser

    model, units = load_recogniser(recogniser)[0], list(phone_ids(phrase))
    heard = []
    for stream in streams:
        mels = torch.from_numpy(np.array(stream.log_mel, dtype=np.float32))[None]
        costs = track(model.recognise(mels)[0].numpy(), units)[0]
        steps = len(stream.log_mel) // STEP_FRAMES
        scores = np.exp(-costs[: 2 * steps].reshape(steps, -1).min(1)).astype(np.float32)
        heard.append(
            Heard(stream.name, stream.condition, stream.seconds, stream.words, stream.pieces, scores)
        )
    return heard


def listen_device(
    path: Path, streams: Sequence[Rendered], column: int = 0, smoothing_steps: int = SMOOTHING_STEPS
) -> list[Heard]:
    """The same with the device's file, step by step as the device runs it."""
    from mirror_device.model import Model

    model = Model(path)
    heard = []
    for stream in streams:
        model.reset()
        steps = np.asarray(stream.log_mel, dtype=np.float32).reshape(-1, STEP_FRAMES, stream.log_mel.shape[1])
        scores = smoothed(np.array([model.step(step)[column] for step in steps]), smoothing_steps)
        heard.append(
            Heard(stream.name, stream.condition, stream.seconds, stream.words, stream.pieces, scores)
        )
    return heard


def smoothed(steps: np.ndarray, smoothing_steps: int = SMOOTHING_STEPS) -> np.ndarray:
    """The mean of each raw score and those before it, ``smoothing_steps`` in all; zero before the first."""
    padded = np.concatenate([np.zeros(smoothing_steps - 1, np.float32), steps.astype(np.float32)])
    return np.lib.stride_tricks.sliding_window_view(padded, smoothing_steps).mean(1)
