"""Cuts drawn once and kept on disk: as log-mels, or as what the frozen layers make of them.

A layer that does not learn gives the same for the same cut each time; computed once, training touches only
what learns. The price is that no cut is ever heard in another car.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from asr_pretrain.encoder import SUBSAMPLING
from asr_pretrain.loading.rate import one_thread
from wakeword.model import TriggerModel, Unfreeze

TARGETS = "targets.npz"
_ROWS = 64


class Drawn(Protocol):
    """What draws cuts: a batch holds features (batch, frames, 40), word_start and word_end."""

    def batch(self, step: int, rank: int, world: int) -> dict[str, Any]: ...


class CachedCuts:
    """``batch_size`` cuts a step out of a fixed set; a pure function of (seed, step, rank)."""

    def __init__(self, folder: Path, batch_size: int, seed: int = 0):
        """The set that `draw` or `activations` wrote into ``folder``."""
        self.folder, self.batch_size, self.seed = folder, batch_size, seed
        self.features = np.load(folder / "features.npy", mmap_mode="r")
        with np.load(folder / TARGETS, allow_pickle=False) as targets:
            self.targets = dict(targets)

    def __len__(self) -> int:
        return len(self.features)

    def batch(self, step: int, rank: int, world: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, 5, step * world + rank])
        rows = np.sort(rng.choice(len(self), min(self.batch_size, len(self)), replace=False))
        features = torch.from_numpy(np.asarray(self.features[rows], dtype=np.float32))
        return {"features": features, **{k: torch.from_numpy(v[rows]) for k, v in self.targets.items()}}


def draw(
    make: Callable[[], Drawn],
    folder: Path,
    count: int,
    shape: tuple[int, int, int],
    made_from: dict[str, Any],
) -> Path:
    """Writes the first ``count`` batches of ``make()`` into ``folder``, unless they are there; returns it.

    ``shape`` is that of a batch's features; a batch of fewer frames is filled with zeros, the running mean.
    ``made_from`` tells them from others: where it differs, they are drawn anew.
    """
    made_from = {**made_from, "count": count, "shape": shape}
    if _is_made(folder, made_from):
        return folder
    cuts, (size, n_frames, _) = make(), shape
    features = _empty(folder, (count * size, *shape[1:]))
    targets: dict[str, list[np.ndarray]] = {}
    with one_thread():
        for number in _progress(count, f"drawing {count * size} cuts"):
            batch = cuts.batch(number, 0, 1)
            rows = slice(number * size, (number + 1) * size)
            drawn = batch["features"][:, :n_frames].numpy()
            features[rows, : drawn.shape[1]] = drawn
            for key, value in batch.items():
                if key != "features":
                    targets.setdefault(key, []).append(_framed(value.numpy(), n_frames // SUBSAMPLING))
    arrays: dict[str, Any] = {key: np.concatenate(parts) for key, parts in targets.items()}
    np.savez(folder / TARGETS, **arrays)
    return _made(folder, made_from, features)


@torch.inference_mode()
def activations(cached: Path, model: TriggerModel, unfreeze: Unfreeze, folder: Path) -> Path:
    """Writes what the frozen layers of ``model`` make of the cuts in ``cached`` into ``folder``, unless it is
    there; returns it.
    """
    weights = hashlib.sha256(b"".join(v.numpy().tobytes() for v in model.encoder.state_dict().values()))
    made_from = {
        "cuts": json.loads((cached / "made_from.json").read_text(encoding="utf-8")),
        "encoder_sha256": weights.hexdigest(),
        "unfreeze": unfreeze,
    }
    if _is_made(folder, made_from):
        return folder
    source = CachedCuts(cached, 1)
    model.eval()
    kept: np.ndarray | None = None
    for start in _progress(range(0, len(source), _ROWS), f"layers below {unfreeze}"):
        rows = torch.from_numpy(np.asarray(source.features[start : start + _ROWS], dtype=np.float32))
        hidden = model.frozen_part(rows, unfreeze)
        if kept is None:
            kept = _empty(folder, (len(source), *hidden.shape[1:]))
        kept[start : start + _ROWS] = hidden.numpy()
    shutil.copyfile(cached / TARGETS, folder / TARGETS)
    assert kept is not None
    return _made(folder, made_from, kept)


def speed_up(model: TriggerModel, cached: Path, hidden: CachedCuts, unfreeze: Unfreeze) -> float:
    """How many times as fast a step is from `activations` as from log-mels, each the best of three."""
    log_mels = CachedCuts(cached, hidden.batch_size, hidden.seed)
    model = copy.deepcopy(model)  # training mode moves the statistics of batch norms

    def step_s(cuts: CachedCuts, frozen: Unfreeze) -> float:
        times = []
        for step in range(3):
            began = time.monotonic()
            model(cuts.batch(step, 0, 1)["features"], frozen)[0].sum().backward()
            times.append(time.monotonic() - began)
        return min(times)

    model.train_mode(unfreeze)
    return step_s(log_mels, "all") / step_s(hidden, unfreeze)


def _framed(target: np.ndarray, n_frames: int) -> np.ndarray:
    """A target of each frame, filled with −1 or cut to ``n_frames``; another as it is."""
    if target.ndim != 2 or target.shape[1] < 65:  # a word's place, or at most 64 phones
        return target
    filled = np.full((len(target), n_frames), -1, dtype=target.dtype)
    filled[:, : target.shape[1]] = target[:, :n_frames]
    return filled


def _empty(folder: Path, shape: tuple[int, ...]) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made_from.json").unlink(missing_ok=True)
    return np.lib.format.open_memmap(folder / "features.npy", mode="w+", dtype=np.float16, shape=shape)


def _made(folder: Path, made_from: dict[str, Any], features: np.ndarray) -> Path:
    if isinstance(features, np.memmap):
        features.flush()
    (folder / "made_from.json").write_text(json.dumps(made_from) + "\n", encoding="utf-8")
    return folder


def _is_made(folder: Path, made_from: dict[str, Any]) -> bool:
    marker = folder / "made_from.json"
    return marker.is_file() and json.loads(marker.read_text(encoding="utf-8")) == json.loads(
        json.dumps(made_from)
    )


def _progress(items: Any, label: str) -> Any:
    from rich.progress import track

    items = range(items) if isinstance(items, int) else items
    return track(items, label, disable=not sys.stderr.isatty())
