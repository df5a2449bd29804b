"""Batches of transcribed speech, heard in a car: a pure function of the seed and the step.

Workers decode and augment on demand; `asr_pretrain/loading/plan.py` says which utterance is in which batch.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from asr_pretrain.augment.cabin import cabin_bank
from asr_pretrain.augment.car import Car
from asr_pretrain.augment.company import company_bank
from asr_pretrain.augment.folders import noise_rows, response_bank
from asr_pretrain.augment.listening import Listening, change_speed, spec_augment
from asr_pretrain.augment.noise import NoiseBank
from asr_pretrain.encoder import SUBSAMPLING, RunningMean
from asr_pretrain.loading.pack import SAMPLE_RATE_HZ, cache_folder
from asr_pretrain.loading.plan import Group, Plan, Utterances
from asr_pretrain.loading.rate import measure_loader, one_thread
from asr_pretrain.loading.transcripts import Transcribed, read_rows, transcribed
from asr_pretrain.loading.variations import Variations
from asr_pretrain.logmel import HOP_SAMPLES, N_MELS
from asr_pretrain.training.recipe import Perturbation, Surroundings

__all__ = ["SpeechBatches", "Transcribed", "build_car", "measure_loader", "read_rows", "transcribed"]


def build_car(
    manifests: list[Path], surroundings: Surroundings, part: str, phrases: list[str] | None = None
) -> Car:
    """The car of one part: its own cabins and its own noise recordings.

    Who else is heard on board says none of ``phrases``.
    """
    noises = read_rows(
        manifests,
        lambda f: f.filter(
            (pl.col("split") == part) & pl.col("noise_kind").is_not_null() & pl.col("noise_parent").is_null()
        ),
    )
    cache, recipe = cache_folder(), surroundings.car
    peopled = recipe.talker_share + recipe.radio_share + recipe.music_share > 0
    if surroundings.impulse_responses is not None:
        rirs = response_bank(surroundings.impulse_responses)
    else:
        rirs = cabin_bank(part, surroundings.cabins, surroundings.seed, cache, company=peopled)
    if surroundings.noise is not None:
        noises = pl.concat([noises, noise_rows(surroundings.noise, part)], how="diagonal_relaxed")
    noise = NoiseBank.build(
        noises,
        Path("/"),
        part=part,
        procedural=surroundings.procedural_noises,
        seed=surroundings.seed,
        cache=cache,
        unique_s=surroundings.unique_noise_s,
    )
    company = None
    if peopled:
        rows = read_rows(manifests, lambda f: f.filter(pl.col("split") == part))
        company = company_bank(rows, Path("/"), part, phrases or [], surroundings.seed, cache)
    return Car(recipe, rirs, noise, company)


class SpeechBatches:
    """Batches of log-mels with what is to be spelled.

    Batch number ``(step × world + rank) × accumulate + micro`` is a pure function of the data, the recipe,
    the seed and ``world × accumulate``: other processes hear the same batches in the same steps, and a
    resumed run goes on with the batch that it would have heard.
    """

    def __init__(
        self,
        data: Transcribed,
        car: Car,
        perturbation: Perturbation,
        normalise: RunningMean,
        batch_seconds: float,
        world: int,
        seed: int,
        *,
        accumulate: int = 1,
        chapter_shards: int = 25,
        silent_share: float = 0.0,
        waveform: bool = False,
    ):
        """Plans nothing yet.

        Args:
            data: the utterances.
            car: what they are heard in.
            perturbation: speeds, tempos, vocal tracts and masks.
            normalise: the encoder's own normalisation of log-mels.
            batch_seconds: of one batch, padding included; an utterance that is longer makes a batch alone.
            world: processes that train together.
            seed: decides everything that is drawn.
            accumulate: batches that each process hears in a step.
            chapter_shards: shards that are shuffled together.
            silent_share: utterances that are left unspoken, with nothing to spell and nobody else on board.
            waveform: whether batches hold their clean ``waveform`` too, for a teacher.

        Raises:
            RecipeError: when every utterance has weight 0.
        """
        self.data, self.normalise, self.seed = data, normalise, seed
        self.perturbation, self.world, self.accumulate = perturbation, world, accumulate
        self.listening, self.waveform = Listening(car, perturbation), waveform
        self.silent_share = silent_share
        self.variations = Variations(perturbation)
        utterances = Utterances(data.waveforms.n_samples, data.shard, data.weights)
        self.plan = Plan(utterances, self.variations, batch_seconds, world * accumulate, chapter_shards, seed)

    def steps_in(self, epochs: float) -> int:
        """Steps in which the first ``epochs`` epochs are heard."""
        return self.plan.steps_in(epochs)

    def batch(self, step: int, rank: int, world: int) -> dict[str, Any] | list[dict[str, Any]]:
        """What a process hears in a step: a batch, or a list of them where steps accumulate several.

        Returns:
            ``features`` (batch, frames, 40), where frames is one of a few lengths and the same for all
            batches of the step; ``n_frames`` (batch,), encoder frames with speech; ``targets``, CTC classes
            end to end; ``target_lengths`` (batch,); ``hop`` (batch,), samples from log-mel to log-mel;
            ``seconds``, of recordings in the batch.
            On demand ``waveform`` (batch, samples), clean, in [-1, 1]: log-mel i stands at sample i × hop.

        Raises:
            ValueError: ``world`` is not the one that was planned for.
            AudioError: a recording cannot be read or is not as long as stated; ShardError, its shard.
        """
        if world != self.world:
            raise ValueError(f"planned for {self.world} process(es), asked by one of {world}")
        group = self.plan.group(step)
        first = rank * self.accumulate
        batches = []
        with one_thread():
            for number in range(first, first + self.accumulate):
                part = group.batch(number, of=self.plan.batches)
                rng = np.random.default_rng([self.seed, 3, step * self.plan.batches + number])
                batches.append(self._heard(part, rng))
        return batches if self.accumulate > 1 else batches[0]

    def spoken(self, group: Group, n_samples: int) -> np.ndarray:
        """The utterances of a batch at their drawn speed, each after its lead: float32 (batch, n_samples)."""
        speech = np.zeros((len(group.rows), n_samples), dtype=np.float32)
        for place, row in enumerate(group.rows):
            speed = self.variations.speed(int(group.drawn.ratio[place]))
            lead, length = int(group.drawn.lead[place]), int(group.drawn.spoken[place])
            samples = change_speed(self.data.waveforms[int(row)], speed)[:length]
            speech[place, lead : lead + len(samples)] = samples / 32768
        return speech

    def _heard(self, group: Group, rng: np.random.Generator) -> dict[str, Any]:
        car, n_samples = self.listening.car, group.frames * HOP_SAMPLES
        speech, drives = self.spoken(group, n_samples), car.draw(rng, len(group.rows), n_samples)
        rows = self.data.spoken.take(group.rows)
        if self.silent_share:
            silent = rng.random(len(speech)) < self.silent_share
            speech[silent] = 0
            drives = [replace(d, company=None) if s else d for d, s in zip(drives, silent, strict=True)]
            rows = rows.without(silent)
        heard = car.apply(torch.from_numpy(speech), drives)
        warps = torch.from_numpy(rng.integers(0, len(self.listening.front_end.warps), len(speech)))
        features = self._features(heard, group, warps)
        n_frames = group.drawn.content // group.drawn.hop
        seconds = int(self.data.waveforms.n_samples[group.rows].sum()) / SAMPLE_RATE_HZ
        return {
            "features": spec_augment(features, self.perturbation, rng),
            "n_frames": torch.from_numpy(n_frames.astype(np.int64)) // SUBSAMPLING,
            "targets": torch.from_numpy(rows.flat.astype(np.int64)),
            "target_lengths": torch.from_numpy(rows.lengths.astype(np.int64)),
            "hop": torch.from_numpy(group.drawn.hop.astype(np.int64)),
            "seconds": seconds,
            **({"waveform": torch.from_numpy(speech)} if self.waveform else {}),
        }

    def _features(self, heard: Tensor, group: Group, warps: Tensor) -> Tensor:
        """Normalised log-mels (batch, frames, 40), each utterance's at its own hop; zeros behind the last."""
        log_mel = heard.new_zeros(len(heard), group.frames, N_MELS)
        behind = torch.full((len(heard), 1, 1), group.frames)
        hops = torch.from_numpy(group.drawn.hop.astype(np.int64))
        for hop in np.unique(group.drawn.hop).tolist():
            rows = torch.nonzero(hops == hop)[:, 0]
            needed = (group.frames - 1) * hop + HOP_SAMPLES
            made = self.listening.front_end(heard[rows, :needed], warps[rows], hop)
            log_mel[rows, : made.shape[1]] = made
            behind[rows] = made.shape[1]
        features = self.normalise(log_mel)
        return features * (torch.arange(group.frames)[None, :, None] < behind)
