"""How many cuts a second one core decodes and augments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from asr_pretrain.augment.car import Car, CarRecipe
from asr_pretrain.augment.listening import change_speed
from asr_pretrain.loading.pack import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from asr_pretrain.loading.batches import SpeechBatches

CUT_S = 2.0
"""Length of the cuts that loaders are compared by."""
_CUTS = 32
_RECORDINGS = 200
_SHARDS = 25
"""They are taken from, as a chapter of training is: from hundreds, each read would open another one."""


def measure_loader(batches: SpeechBatches, seconds: float = 20.0) -> dict[str, float]:
    """Two-second cuts that one core makes in a second, by its processor time: each figure takes its share.

    Returns:
        ``decode``: a recording is read and decoded, and cut or filled to two seconds. ``cabin_and_noise``:
        decoded, and heard through one impulse response and one noise at a drawn SNR. ``car``: decoded, spoken
        at another speed, and heard in the recipe's full car. ``batches``: whole batches as training gets
        them, with log-mels and masks, by their padded length.
    """
    one_noise = CarRecipe.for_scoring().model_copy(update={"mix_share": 0, "noise_kinds": None})
    plain = Car(one_noise, batches.listening.car.rirs, batches.listening.car.noise)
    rng = np.random.default_rng(0)
    n_samples = int(CUT_S * SAMPLE_RATE_HZ)
    # Those of about two seconds, so that what is decoded is what is counted.
    near = np.flatnonzero(batches.data.shard < _SHARDS)
    off = np.abs(batches.data.waveforms.n_samples[near] - n_samples)
    rows = near[np.argsort(off, kind="stable")[:_RECORDINGS]]
    step = iter(range(1 << 30))

    def cuts(changed: bool) -> np.ndarray:
        speech = np.zeros((_CUTS, n_samples), dtype=np.float32)
        for place, row in enumerate(rng.choice(rows, _CUTS)):
            samples = batches.data.waveforms[int(row)][:n_samples]
            if changed:
                samples = change_speed(samples, batches.listening.draw_speed(rng))[:n_samples]
            speech[place, : len(samples)] = samples / np.float32(32768)
        return speech

    def heard(car: Car, changed: bool) -> float:
        car.apply(torch.from_numpy(cuts(changed)), car.draw(rng, _CUTS, n_samples))
        return _CUTS

    def decoded() -> float:
        return len(cuts(changed=False))

    def whole() -> float:
        made = batches.batch(next(step), 0, batches.world)
        some = made if isinstance(made, list) else [made]
        return sum(batch["features"].shape[0] * batch["features"].shape[1] for batch in some) / 100 / CUT_S

    stages: dict[str, Callable[[], float]] = {
        "decode": decoded,
        "cabin_and_noise": lambda: heard(plain, changed=False),
        "car": lambda: heard(batches.listening.car, changed=True),
        "batches": whole,
    }
    with one_thread():
        return {name: _rate(stage, seconds / len(stages)) for name, stage in stages.items()}


@contextmanager
def one_thread() -> Iterator[None]:
    """Of torch: sums over several threads round otherwise, and a batch is to be the same in any process."""
    threads = torch.get_num_threads()
    if threads != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if threads != 1:
            torch.set_num_threads(threads)


def _rate(make: Callable[[], float], seconds: float) -> float:
    """What ``make`` counts, by second of processor time, once it has warmed up."""
    for _ in range(3):
        make()
    count, started, until = 0.0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < until:
        count += make()
    return round(count / max(time.process_time() - started, 1e-9), 1)
