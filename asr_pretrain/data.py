"""Transcribed utterances of the train split, cut into batches that depend on the seed and the step alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from asr_pretrain.augment.cabin import cabin_bank
from asr_pretrain.augment.car import Car
from asr_pretrain.augment.listening import Listening, change_speed, spec_augment
from asr_pretrain.augment.noise import NoiseBank
from asr_pretrain.encoder import SUBSAMPLING, RunningMean
from asr_pretrain.pack import Pack, cache_folder, pack
from asr_pretrain.phonemes import PhonemeError, phone_ids
from asr_pretrain.recipe import Perturbation, RecipeError, Surroundings
from data_splits.manifest import read_manifest

POOL_BATCHES = 40
"""Batches cut from one length-sorted pool: near-equal lengths inside a batch, variety between batches."""


@dataclass(frozen=True)
class Transcribed:
    """Utterances with their phone ids, row for row."""

    waveforms: Pack
    phones: list[list[int]]
    weights: np.ndarray
    """Times each utterance is seen per epoch, on average."""


def read_rows(manifests: list[Path], keep: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """Rows of several manifests that ``keep`` lets through, their audio made absolute."""
    frames = []
    for path in manifests:
        frame = keep(read_manifest(path))
        root = path.resolve().parent
        absolute = [a if a.startswith("/") else str(root / a) for a in frame["audio"].to_list()]
        frames.append(frame.with_columns(pl.Series("audio", absolute, dtype=pl.String)))
    return pl.concat(frames, how="diagonal_relaxed")


def transcribed(
    manifests: list[Path], split: str, max_duration_s: float, source_weights: dict[str, float]
) -> Transcribed:
    """Speech rows of ``split`` with a text. Raises RecipeError when there are none."""
    frame = read_rows(
        manifests,
        lambda f: f.filter(
            (pl.col("split") == split)
            & pl.col("text").is_not_null()
            & pl.col("noise_parent").is_null()
            & pl.col("duration_s").is_between(0.2, max_duration_s)
        ),
    )
    phones: list[list[int]] = []
    for text in frame["text"].to_list():
        try:
            phones.append(phone_ids(text))
        except PhonemeError:
            phones.append([])
    frame = frame.with_columns(pl.Series("_phones", [len(p) for p in phones]))
    # CTC needs an encoder frame for every phone; a text longer than its audio is a wrong text.
    fits = frame.select(
        (pl.col("_phones") > 0) & (pl.col("_phones") < pl.col("duration_s") * 100 / SUBSAMPLING)
    ).to_series()
    frame = frame.filter(fits)
    if not len(frame):
        raise RecipeError(
            f"{', '.join(map(str, manifests))}: no {split} row with a text; run `data-splits plan`"
        )
    weights = np.array([source_weights.get(s or "", 1.0) for s in frame["source"].to_list()])
    kept = [p for p, keep in zip(phones, fits.to_list(), strict=True) if keep]
    return Transcribed(pack(frame, Path("/"), label=f"decoding {split} speech"), kept, weights)


def build_car(manifests: list[Path], surroundings: Surroundings, part: str) -> Car:
    """The car of one part: its own cabins and its own noise recordings."""
    noises = read_rows(
        manifests,
        lambda f: f.filter(
            (pl.col("split") == part) & pl.col("noise_kind").is_not_null() & pl.col("noise_parent").is_null()
        ),
    )
    cache = cache_folder()
    rirs = cabin_bank(part, surroundings.cabins, surroundings.seed, cache)
    noise = NoiseBank.build(
        noises,
        Path("/"),
        part=part,
        procedural=surroundings.procedural_noises,
        seed=surroundings.seed,
        cache=cache,
    )
    return Car(surroundings.car, rirs, noise)


class SpeechBatches:
    """Batches of log-mels with phone targets; ``batch(step, rank, world)`` is a pure function of the seed."""

    def __init__(
        self,
        data: Transcribed,
        car: Car,
        perturbation: Perturbation,
        normalise: RunningMean,
        batch_seconds: float,
        steps: int,
        world: int,
        seed: int,
    ):
        self.data, self.normalise, self.seed = data, normalise, seed
        self.perturbation = perturbation
        self.listening = Listening(car, perturbation)
        self.plan = self._plan(batch_seconds, steps * world)

    def _plan(self, batch_seconds: float, count: int) -> list[np.ndarray]:
        """Row numbers of each batch: epochs of a weighted shuffle, sorted by length within pools."""
        durations = np.array([self.data.waveforms.duration_s(i) for i in range(len(self.data.phones))])
        pool_seconds = batch_seconds * POOL_BATCHES
        batches: list[np.ndarray] = []
        rng = np.random.default_rng([self.seed, 1])
        while len(batches) < count:
            whole = np.floor(self.data.weights)
            repeats = whole + (rng.random(len(durations)) < self.data.weights - whole)
            rows = rng.permutation(np.repeat(np.arange(len(durations)), repeats.astype(int)))
            pools = np.cumsum(durations[rows]) // pool_seconds
            for pool in np.unique(pools):
                members = rows[pools == pool]
                members = members[np.argsort(durations[members], kind="stable")]
                # A batch is padded to its longest utterance, so that is what it costs.
                pool_batches: list[np.ndarray] = []
                current: list[int] = []
                for row in members:
                    if current and durations[row] * (len(current) + 1) > batch_seconds:
                        pool_batches.append(np.array(current))
                        current = []
                    current.append(int(row))
                pool_batches.append(np.array(current))
                batches += [pool_batches[i] for i in rng.permutation(len(pool_batches))]
        return batches[:count]

    def batch(self, step: int, rank: int, world: int) -> dict[str, Any]:
        number = step * world + rank
        rng = np.random.default_rng([self.seed, 2, number])
        rows = self.plan[number]
        spoken = [change_speed(self.data.waveforms[int(r)], self.listening.draw_speed(rng)) for r in rows]
        lead = rng.integers(0, 8000, len(rows))
        # Silence before, so the running mean has heard the car; 0.4 s after, for late CTC peaks.
        lengths = np.array([len(s) for s in spoken]) + lead + 6400
        speech = np.zeros((len(rows), int(lengths.max())), dtype=np.float32)
        for row, (samples, start) in enumerate(zip(spoken, lead, strict=True)):
            speech[row, start : start + len(samples)] = samples / 32768
        heard = self.listening.hear(speech, lengths, rng)
        features = spec_augment(self.normalise(heard.log_mel), self.perturbation, rng)
        targets = [self.data.phones[int(r)] for r in rows]
        return {
            "features": features,
            "n_frames": heard.n_frames // SUBSAMPLING,
            "targets": torch.tensor([p for t in targets for p in t], dtype=torch.long),
            "target_lengths": torch.tensor([len(t) for t in targets], dtype=torch.long),
        }
