"""A SpeechBrain ``Brain`` whose runs repeat and resume exactly.

A step's batch is a pure function of (seed, step, rank), so the state of a run is its weights, its
optimizer and one number. ``kill -9`` costs the steps since the last checkpoint and changes nothing else.
"""

from __future__ import annotations

import fcntl
import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from asr_pretrain import torchaudio_standin
from asr_pretrain.checkpoint import (
    CheckpointError,
    git_revision,
    load_checkpoint,
    save_checkpoint,
    write_atomically,
)
from asr_pretrain.recipe import Optimisation

torchaudio_standin.install()
import speechbrain as sb  # noqa: E402  (after the stand-in: it imports torchaudio)


class TrainingStopped(RuntimeError):
    """Training ended early: interrupted, or the loss was no longer finite."""


class Batches(Protocol):
    """What a task gives: the batch of a step, drawn from the seed alone."""

    def batch(self, step: int, rank: int, world: int) -> dict[str, Any]: ...


class _Steps(Dataset):
    def __init__(self, batches: Batches, rank: int, world: int):
        self.batches, self.rank, self.world = batches, rank, world

    def __getitem__(self, step: int) -> dict[str, Any]:
        return self.batches.batch(step, self.rank, self.world)


class _Loader(DataLoader):
    """Runs from ``first`` to ``total`` but reports ``total``, so that the progress bar resumes too."""

    def __init__(self, steps: _Steps, first: int, total: int, workers: int):
        self.total = total
        super().__init__(
            steps,
            batch_size=None,
            sampler=range(first, total),
            num_workers=workers,
            worker_init_fn=_one_thread,
            prefetch_factor=4 if workers else None,
        )

    def __len__(self) -> int:
        return self.total


def _one_thread(worker: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent decides when to stop
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)


class ResumableBrain(sb.Brain):
    """Trains ``modules["model"]``; subclasses give ``compute_forward`` and ``compute_objectives``."""

    def __init__(self, model: nn.Module, config: Optimisation, folder: Path, identity: dict[str, Any]):
        trained = [p for p in model.parameters() if p.requires_grad]
        run_options = {
            "device": config.device,
            "precision": config.precision,
            "max_grad_norm": config.max_grad_norm,
            "nonfinite_patience": 0,
            "distributed_backend": "gloo" if config.device == "cpu" else "nccl",
        }
        super().__init__(
            modules={"model": model},
            opt_class=lambda _: torch.optim.AdamW(trained, lr=0.0, weight_decay=config.weight_decay),
            hparams={},  # under DDP a Brain without hparams fails (speechbrain 1.1)
            run_opts=run_options,
        )
        self.model, self.config, self.folder, self.identity = model, config, folder, identity
        self.history: list[dict[str, float]] = []
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.done_steps = 0
        self.stop_requested = False
        self.started_s = time.monotonic()

    @property
    def is_main(self) -> bool:
        return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0

    def _wrap_distributed(self) -> None:
        """DDP without SyncBatchNorm on CPU, where torch refuses it: each rank normalises its own batch."""
        if not self.distributed_launch or self.device_type != "cpu":
            super()._wrap_distributed()
            return
        for name, module in self.modules.items():
            if any(p.requires_grad for p in module.parameters()):
                self.modules[name] = nn.parallel.DistributedDataParallel(module)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then a cosine down to ``final_rate``."""
        config = self.config
        if step < config.warmup_steps:
            return config.learning_rate * (step + 1) / config.warmup_steps
        progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return config.learning_rate * (config.final_rate + (1 - config.final_rate) * cosine)

    def on_fit_batch_start(self, batch: Any, should_step: bool) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.done_steps)

    def on_fit_batch_end(self, batch: Any, outputs: Any, loss: Tensor, should_step: bool) -> None:
        self.done_steps += 1
        decay = min(self.config.average_decay, self.done_steps / (10 + self.done_steps))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)
        self.history.append({"step": self.done_steps, "loss": float(loss.detach())})
        last = self.done_steps == self.config.steps
        if last or self.stop_requested or self.done_steps % self.config.checkpoint_every_steps == 0:
            self.save()
        if self.stop_requested and not last:
            raise TrainingStopped(
                f"stopped after step {self.done_steps} of {self.config.steps}; run the same command to go on"
            )

    def check_loss_isfinite(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise TrainingStopped(
                f"the loss is {float(loss)} at step {self.done_steps + 1}; the checkpoint of an earlier step "
                f"is kept in {self.folder}. Lower learning_rate (now {self.config.learning_rate}) and resume"
            )

    # -- state ---------------------------------------------------------------------------------------

    @property
    def state_file(self) -> Path:
        return self.folder / "state.safetensors"

    def save(self) -> None:
        """Weights, their average, optimizer and step, atomically; rank 0 only."""
        if not self.is_main:
            return
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        save_checkpoint(self.state_file, tensors, {**self.identity, "step": self.done_steps})
        write_atomically(self.folder / "history.json", json.dumps(self.history).encode())

    def resume(self) -> bool:
        """Loads the folder's state, if there is one. Raises CheckpointError for another run's state."""
        if not self.state_file.exists():
            return False
        tensors, sidecar = load_checkpoint(self.state_file)
        if sidecar.get("recipe_sha256") != self.identity.get("recipe_sha256"):
            raise CheckpointError(
                f"{self.state_file}: made by another recipe or other data "
                f"({sidecar.get('recipe_sha256', '?')[:12]}, now "
                f"{self.identity.get('recipe_sha256', '?')[:12]}); give another --out, or remove the folder"
            )
        self.model.load_state_dict(_strip(tensors, "model."))
        self.average = {k: v.to(self.device) for k, v in _strip(tensors, "average.").items()}
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in _strip(tensors, "optimizer.").items():
            index, name = key.split(".", 1)
            states.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": states, "param_groups": groups})
        self.done_steps = int(sidecar["step"])
        history = self.folder / "history.json"
        if history.exists():
            self.history = [h for h in json.loads(history.read_text()) if h["step"] <= self.done_steps]
        return True

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.resume() and self.is_main:
            print(f"resuming {self.folder} at step {self.done_steps} of {self.config.steps}", flush=True)

    def run(self, batches: Batches) -> None:
        """Trains to ``config.steps``. Raises TrainingStopped on SIGINT or SIGTERM, after a checkpoint."""
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        if self.state_file.exists():
            first = int(load_checkpoint(self.state_file)[1]["step"])
        else:
            first = 0
        self.started_s = time.monotonic()
        if first >= self.config.steps:
            self.init_optimizers()
            self.resume()
            return
        loader = _Loader(_Steps(batches, rank, world), first, self.config.steps, self.config.workers)
        self.step = first
        with exclusive(self.folder, rank), _stoppable(self):
            self.fit([1], loader, progressbar=self.is_main)

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights of the model, the ones to keep."""
        return self.average


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@contextmanager
def exclusive(folder: Path, rank: int) -> Iterator[None]:
    """Holds the folder's lock; two runs in one folder would overwrite each other."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".lock-{rank}").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingStopped(
                f"{folder}: another run is training here; wait, or give another --out"
            ) from None
        yield


@contextmanager
def _stoppable(brain: ResumableBrain) -> Iterator[None]:
    """Ctrl-C and SIGTERM finish the step, save and stop."""

    def request(signum: int, frame: Any) -> None:
        brain.stop_requested = True

    handled = (signal.SIGINT, signal.SIGTERM)
    before = {s: signal.signal(s, request) for s in handled}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def identity(recipe_sha256: str, manifest_sha256: list[str], config: dict[str, Any]) -> dict[str, Any]:
    """The part of a checkpoint's sidecar that says what run it belongs to."""
    return {
        "recipe_sha256": recipe_sha256,
        "manifest_sha256": manifest_sha256,
        "config": config,
        "git_revision": git_revision(),
    }
