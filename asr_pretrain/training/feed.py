"""From a task's batches to the training loop: workers, the time spent waiting, errors that travel."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from asr_pretrain.training.run import Run

PR_SET_PDEATHSIG = 1
MicroBatch = dict[str, Any]


class Batches(Protocol):
    """What a task gives: the batch that a rank hears in a step, or a list where a step adds up several."""

    def batch(self, step: int, rank: int, world: int) -> MicroBatch | list[MicroBatch]: ...


@dataclass(frozen=True)
class Failure:
    """Stands for the batches of a step that could not be made, and says why."""

    text: str


@dataclass(frozen=True)
class Drawn:
    """Batches that are drawn by their number alone, ``accumulate`` in a step.

    The numbers are those that as many more processes would draw.
    """

    batches: Batches
    accumulate: int

    def batch(self, step: int, rank: int, world: int) -> list[MicroBatch]:
        first = (step * world + rank) * self.accumulate
        drawn = [self.batches.batch(number, 0, 1) for number in range(first, first + self.accumulate)]
        return [batch for batch in drawn if isinstance(batch, dict)]


class _Steps(Dataset):
    def __init__(self, batches: Batches, rank: int, world: int):
        self.batches, self.rank, self.world = batches, rank, world

    def __getitem__(self, step: int) -> list[MicroBatch] | Failure:
        """The batches of ``step``; an error becomes a `Failure`, of which every rank is told in that step."""
        try:
            batch = self.batches.batch(step, self.rank, self.world)
        except (ValueError, OSError, RuntimeError) as error:
            return Failure(f"{type(error).__name__}: {error}")
        return batch if isinstance(batch, list) else [batch]


class Loader(DataLoader):
    """Steps ``first`` to ``total`` of a run; its length is ``total``, so that a progress bar resumes too."""

    def __init__(self, batches: Batches, run: Run, first: int, total: int):
        self.total = total
        config, processes = run.recipe.optimisation, run.processes
        self.waited_s = 0.0
        """Seconds that the training loop has waited here."""
        super().__init__(
            _Steps(batches, processes.rank, processes.world),
            batch_size=None,
            sampler=range(first, total),
            num_workers=config.workers,
            worker_init_fn=_quiet_worker,
            prefetch_factor=4 if config.workers else None,
            pin_memory=processes.device != "cpu",
        )

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = super().__iter__()
        while True:
            started = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:  # a worker was killed, for example for its memory
                batch = Failure(f"{type(error).__name__}: {error}")
            self.waited_s += time.monotonic() - started
            yield batch


def _quiet_worker(worker: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent decides when to stop
        signal.signal(number, signal.SIG_IGN)
    # A worker that outlived a killed parent would hold its connections open, and the other ranks waiting.
    with contextlib.suppress(OSError, AttributeError):  # Linux only; elsewhere it is noticed in seconds
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    torch.set_num_threads(1)
