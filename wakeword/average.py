"""`wakeword average`: one model whose weights are the mean of several runs' from the same start.

wakeword average runs/seed0/trigger.safetensors runs/seed1/trigger.safetensors --out mean.safetensors

Runs that differ by their seed alone and begin from the same pretrained weights end in one valley: their mean
is often better than each (Wortsman et al., ICML 2022), and costs the mirror nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from asr_pretrain.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

_SAME = ("kind", "encoder", "head", "keywords", "init_sha256")


def average(paths: list[Path], out: Path) -> Path:
    """Write the mean of finished wake-word models; the sidecar is the first one's, with all their hashes.

    Raises CheckpointError where they differ in shape, words or start, naming both values.
    """
    loaded = [load_checkpoint(path) for path in paths]
    tensors, sidecar = loaded[0]
    for path, (_, other) in zip(paths, loaded, strict=True):
        for key in _SAME:
            if other.get(key) != sidecar.get(key):
                raise CheckpointError(
                    f"{path}: its {key} is {other.get(key)!r}, that of {paths[0]} {sidecar.get(key)!r}; "
                    "only runs from the same start can be averaged"
                )
    if sidecar.get("kind") != "trigger" or sidecar.get("init_sha256") is None:
        raise CheckpointError(f"{paths[0]}: not a wake-word model that began from pretrained weights")
    mean = {
        key: torch.stack([other[key].double() for other, _ in loaded]).mean(0).to(value.dtype)
        for key, value in tensors.items()
    }
    parents = [other.get("recipe", {}).get("optimisation", {}).get("seed") for _, other in loaded]
    save_checkpoint(
        out, mean, {**sidecar, "averaged_seeds": parents, "averaged": [str(path) for path in paths]}
    )
    return out


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "average",
        help="one model from several seeds' weights",
        description=__doc__,
        epilog="example: wakeword average a/trigger.safetensors b/trigger.safetensors --out mean.safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", type=Path, nargs="+", help="runs' trigger.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="where the mean goes (.safetensors)")


def run(args: argparse.Namespace) -> int:
    """Average."""
    print(average(args.models, args.out))
    return 0
