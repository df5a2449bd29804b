"""One run in its folder: what it is made from, what it goes on from, and what it leaves.

Rank 0 alone reads and writes the folder, so processes on several hosts need no shared disk for it.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr_pretrain.training.audited import audited, lineage
from asr_pretrain.training.checkpoint import (
    CheckpointError,
    file_sha256,
    git_revision,
    save_checkpoint,
    unpack,
)
from asr_pretrain.training.processes import Processes, TrainingStopped
from asr_pretrain.training.recipe import RecipeError, TrainingRecipe, differences
from asr_pretrain.training.state import STATE, State, read_state

# Another machine has other devices and more or fewer cores; none of these moves a weight, nor does an audit.
# How many batches each process accumulates follows from the number of processes: their product is what stays.
FREE = {
    "optimisation": ("device", "workers", "checkpoint_every_steps", "log_every_s", "accumulate"),
    "teacher": ("path",),
    "audit": ("rules", "off"),
}


@dataclass(frozen=True)
class Run:
    """A run that holds its folder."""

    recipe: TrainingRecipe
    processes: Processes
    identity: dict[str, Any]
    """What a checkpoint says of the run it belongs to."""
    accumulate: int
    """Batches that each process adds up for one step."""
    state: State | None
    """What to go on from."""

    @property
    def folder(self) -> Path:
        return self.recipe.out

    def say(self, text: str) -> None:
        """One line on standard output, from rank 0."""
        if self.processes.is_main:
            print(text, flush=True)

    def bind(self, key: str, value: Any) -> None:
        """Makes ``value`` part of what the run is made from.

        Raises CheckpointError when the state to go on from was made with another.
        """
        if self.state is not None:
            _refuse(self.folder, differences({key: self.state.sidecar.get(key)}, {key: value}))
        self.identity[key] = value

    def keep(self, name: str, weights: dict[str, Tensor], sidecar: dict[str, Any]) -> Path:
        """Writes the finished model with the facts that every one records; returns its path."""
        path = self.folder / name
        if self.processes.is_main:
            facts = {
                "manifest_sha256": list(self.identity["manifests"].values()),
                "init_sha256": self.identity["init_sha256"],
                "audit": self.identity["audit"],
                "lineage": self.identity["lineage"],
                "recipe": self.identity["recipe"],
                "git_revision": self.identity["git_revision"],
                "trained_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            save_checkpoint(path, weights, {**sidecar, **facts})
        return path


@contextmanager
def open_run(recipe: TrainingRecipe) -> Iterator[Run]:
    """Joins the processes, locks the folder, seeds torch and finds the state to go on from.

    Raises RecipeError for a file that is not there, AuditRefused for data that may not be trained on,
    CheckpointError for the state of another run,
    TrainingStopped when somebody trains in the folder or another process of this run is lost.
    """
    for path in recipe.manifests:
        if not path.exists():
            raise RecipeError(
                f"{path}: no such manifest; run `data-splits plan` first, or correct `manifests`"
            )
    if recipe.init is not None and not recipe.init.exists():
        raise RecipeError(f"{recipe.init}: no such checkpoint; train it first, or correct `init`")
    processes = Processes.start(recipe.optimisation.device)
    try:
        with _exclusive(recipe.out, processes):
            identity = _identity(recipe)
            state = _found(recipe, processes)
            accumulate = recipe.optimisation.accumulate
            if state is not None:
                _refuse_change(recipe, identity, state)
                accumulate = _share(recipe, state, processes.world)
            identity["audit"] = audited(recipe, state, processes)
            identity["micro_batches"] = accumulate * processes.world
            torch.manual_seed(recipe.optimisation.seed)
            yield Run(recipe, processes, identity, accumulate, state)
    except RuntimeError as error:
        if not processes.lost(error):
            raise
        stopped = TrainingStopped(
            "another process of this run ended; its own message says why. Run the same command to go on"
        )
        raise processes.end(stopped, 1) from error
    processes.leave()


@contextmanager
def _exclusive(folder: Path, processes: Processes) -> Iterator[None]:
    """Holds the folder's lock; two runs in one folder would overwrite each other.

    A POSIX record lock: it works over NFS, and loader workers that outlive a killed run do not hold it.
    """

    def lock() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
        held.append(file)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TrainingStopped(
                f"{folder}: another run is training here; wait, or give another --out"
            ) from None

    held: list[Any] = []
    try:
        processes.on_main(lock)
        yield
    finally:
        for file in held:
            file.close()


def _identity(recipe: TrainingRecipe) -> dict[str, Any]:
    hashes = [(path.name, file_sha256(path)) for path in recipe.manifests]
    return {
        "recipe": recipe.model_dump(mode="json", exclude={"out", "manifests", "init"}),
        # Equal names get their place, for two corpora may both be called recordings.parquet.
        "manifests": {f"{index}:{name}": sha256 for index, (name, sha256) in enumerate(hashes)},
        "init_sha256": file_sha256(recipe.init) if recipe.init else None,
        "lineage": lineage(recipe.init) if recipe.init else [],
        "git_revision": git_revision(),
    }


def _found(recipe: TrainingRecipe, processes: Processes) -> State | None:
    def read() -> bytes | None:
        content, note = read_state(recipe.out)
        if note:
            print(note, flush=True)
        return content

    content = processes.on_main(read)
    return None if content is None else State(*unpack(content, recipe.out / STATE))


def _refuse_change(recipe: TrainingRecipe, identity: dict[str, Any], state: State) -> None:
    """Raises CheckpointError showing each difference between the run that made ``state`` and this one."""
    before = state.sidecar.get("recipe", {})
    try:  # keys that have come since stand at their defaults
        filled = type(recipe).model_validate({**before, "manifests": recipe.manifests, "out": recipe.out})
        before = filled.model_dump(mode="json", exclude={"out", "manifests", "init"})
    except ValueError:
        pass
    changed = differences(_bound(before), _bound(identity["recipe"]))
    for key in ("manifests", "init_sha256"):
        changed += differences({key: _short(state.sidecar.get(key))}, {key: _short(identity[key])})
    _refuse(recipe.out, changed)


def _refuse(folder: Path, changed: list[str]) -> None:
    if changed:
        raise CheckpointError(
            f"{folder / STATE}: made by another recipe or other data ({'; '.join(changed)}); "
            "give another --out, or remove the folder"
        )


def _bound(config: dict[str, Any]) -> dict[str, Any]:
    """``config`` without the keys that are `FREE`."""
    bound = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
    for section, keys in FREE.items():
        for key in keys:
            (bound.get(section) or {}).pop(key, None)
    return bound


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    return value[:12] if isinstance(value, str) else value


def _share(recipe: TrainingRecipe, state: State, world: int) -> int:
    """Batches a process accumulates, so that a step stays the step of the run that made ``state``."""
    together = int(state.sidecar["micro_batches"])
    wanted = recipe.optimisation.accumulate
    before = state.sidecar["recipe"]["optimisation"].get("accumulate", 1)
    if wanted * world != together and wanted != before:
        _refuse(
            recipe.out, differences({"optimisation.accumulate": before}, {"optimisation.accumulate": wanted})
        )
    if together % world:
        fitting = [str(n) for n in range(1, together + 1) if together % n == 0]
        raise CheckpointError(
            f"{recipe.out / STATE}: a step of this run is {together} batches, which {world} processes cannot "
            f"share evenly; start {', '.join(fitting)}"
        )
    return together // world
