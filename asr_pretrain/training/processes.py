"""The processes that train together: who they are, what they tell each other, and how they end together.

What crosses from one to another is numbers, text and checkpoint bytes, never pickled objects.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Event

import torch
from torch import Tensor, distributed

SET_UP = timedelta(hours=2)
"""The first process to decode a corpus may keep the others waiting this long; a dead one is seen at once."""
_NOTHING, _FAILED = -1.0, -2.0


class TrainingStopped(RuntimeError):
    """Training ended early: interrupted, or the loss was no longer finite."""


@dataclass(frozen=True)
class Processes:
    """This process among ``world``, on ``device``. Alone, everything here is immediate."""

    rank: int
    world: int
    device: str

    @classmethod
    def start(cls, device: str) -> Processes:
        """Joins the others that `torchrun` started, if it did; ``cuda`` becomes this process's own GPU."""
        if "RANK" not in os.environ:
            return cls(0, 1, device)
        if device == "cuda":
            device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        if device != "cpu":
            torch.cuda.set_device(torch.device(device))
        store, rank, world = next(distributed.rendezvous("env://", timeout=SET_UP))
        distributed.init_process_group(
            "gloo" if device == "cpu" else "nccl",
            store=distributed.PrefixStore(_meet(store, rank, world), store),
            rank=rank,
            world_size=world,
            timeout=SET_UP,
        )
        return cls(rank, world, device)

    def leave(self) -> None:
        """Ends the group, after work that went well."""
        if distributed.is_initialized():
            distributed.destroy_process_group()

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Every process's ``values``, by rank; each gives as many."""
        if self.world == 1:
            return [[float(value) for value in values]]
        mine = torch.tensor(values, dtype=torch.float64, device=self.device)
        return [row.tolist() for row in self._gathered(mine)]

    def gather_text(self, text: str) -> list[str]:
        """Every process's ``text``, by rank."""
        content = text.encode()
        longest = int(max(row[0] for row in self.gather([len(content)])))
        if self.world == 1 or not longest:
            return [text] * self.world
        mine = torch.zeros(longest, dtype=torch.uint8, device=self.device)
        mine[: len(content)] = _as_tensor(content)
        return [bytes(row.cpu().numpy()).rstrip(b"\0").decode() for row in self._gathered(mine)]

    def on_main(self, work: Callable[[], bytes | None]) -> bytes | None:
        """What ``work`` gives on rank 0, on every rank; when it fails there, the others end quietly."""
        content, failure = None, None
        if self.is_main:
            try:
                content = work()
            except (ValueError, OSError, RuntimeError) as error:
                failure = error
        size = _FAILED if failure else _NOTHING if content is None else float(len(content))
        size = self.gather([size])[0][0]
        if failure is not None:
            raise failure
        if size == _FAILED:
            raise SystemExit(2)
        if size == _NOTHING or self.world == 1:
            return content
        shared = _as_tensor(content) if content else torch.zeros(int(size), dtype=torch.uint8)
        shared = shared.to(self.device)
        distributed.broadcast(shared, 0)
        return bytes(shared.cpu().numpy())

    def end(self, error: Exception, status: int) -> Exception | SystemExit:
        """What to raise when all processes end for one reason: rank 0 tells it, the others are quiet.

        They leave later, too: `torchrun` kills the rest as soon as one of them has gone.
        """
        if self.is_main:
            return error
        time.sleep(2)
        return SystemExit(status)

    def lost(self, error: RuntimeError) -> bool:
        """Whether ``error`` says that another process is gone."""
        text = str(error).lower()
        return self.world > 1 and any(word in text for word in ("gloo", "nccl", "connection", "socket"))

    def _gathered(self, mine: Tensor) -> list[Tensor]:
        rows = [torch.empty_like(mine) for _ in range(self.world)]
        distributed.all_gather(rows, mine)
        return rows


@contextmanager
def asked_to_stop() -> Iterator[Event]:
    """An event that Ctrl-C and SIGTERM set, so that a step can be finished first."""
    asked, handled = Event(), (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in handled}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _meet(store: distributed.Store, rank: int, world: int) -> str:
    """A name for this group that no earlier one of the job had.

    When `torchrun` restarts its workers, torch 2.13 gives them the store of those that died, where their
    addresses still stand; whoever read these would wait for the dead. So each rank says a word of its own
    there, and rank 0 answers to it.
    """
    if rank == 0:
        name, absent = uuid.uuid4().hex, set(range(1, world))
        while absent:
            for other in list(absent):
                if store.check([f"{name}/{other}"]):
                    absent.discard(other)
                elif store.check([f"word/{other}"]):
                    store.set(store.get(f"word/{other}").decode(), name)
            time.sleep(0.05)
        return name
    word = uuid.uuid4().hex
    store.set(f"word/{rank}", word)
    store.wait([word], SET_UP)
    name = store.get(word).decode()
    store.set(f"{name}/{rank}", "here")
    return name


def _as_tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.zeros(0).byte()
