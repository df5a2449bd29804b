"""The state of an unfinished run, in two generations: whatever dies, one of them is whole.

``state.safetensors`` holds all that a run needs to go on, here or on another machine: weights, their
average, optimizer, losses, and in its sidecar the step and what the run is made from.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from asr_pretrain.training.checkpoint import CheckpointError, pack, unpack, write_atomically

STATE, PREVIOUS, DAMAGED = "state.safetensors", "state.previous.safetensors", "state.damaged.safetensors"


@dataclass(frozen=True)
class State:
    """Tensors by name and the sidecar."""

    tensors: dict[str, Tensor]
    sidecar: dict[str, Any]

    @property
    def step(self) -> int:
        return int(self.sidecar["step"])

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors named ``name.*``, without it."""
        prefix = f"{name}."
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}

    def moments(self) -> dict[int, dict[str, Tensor]]:
        """What `optimizer_tensors` took out of the optimizer."""
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in self.part("optimizer").items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = value
        return moments


def named(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for key, value in tensors.items()}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer, flat: ``optimizer.INDEX.exp_avg`` and so on."""
    return {
        f"optimizer.{index}.{key}": value
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }


def write_state(folder: Path, state: State) -> None:
    """Puts ``state`` in the place of the newest, which becomes the previous one.

    Raises OSError, for example on a full disk; both older ones are then as they were.
    """
    newest, aside = folder / STATE, folder / (PREVIOUS + ".tmp")

    def keep_previous() -> None:
        if newest.exists():
            aside.unlink(missing_ok=True)
            try:
                os.link(newest, aside)  # the newest stays in its place until the new one takes it
            except OSError:  # a file system without links: for a moment only the previous one stands
                newest.replace(aside)
            aside.replace(folder / PREVIOUS)

    write_atomically(newest, pack(state.tensors, state.sidecar), before_rename=keep_previous)


def read_state(folder: Path) -> tuple[bytes | None, str]:
    """The newest whole state, or None where there is none, and a sentence about one that was damaged.

    A damaged newest state is put aside, lest it become the previous one. Raises CheckpointError when
    both are damaged.
    """
    complaints = []
    for name in (STATE, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            content = path.read_bytes()
            unpack(content, path)
        except (CheckpointError, OSError) as error:
            complaints.append(str(error))
            if name == STATE and (folder / PREVIOUS).exists():
                path.replace(folder / DAMAGED)
            continue
        note = f"{complaints[0]}. Kept as {DAMAGED}; going on from {name}" if complaints else ""
        return content, note
    if complaints:
        raise CheckpointError("; ".join(complaints))
    return None, ""
