"""`wakeword average`: one model whose weights are the mean of several runs', and of what they began from.

wakeword average seed0/trigger.safetensors seed1/trigger.safetensors --out mean.safetensors
wakeword average trigger.safetensors --start encoder.safetensors --start-share 0.3 --out mean.safetensors

Runs that differ by their seed alone and begin from the same pretrained weights end in one valley: their mean
is often better than each (Wortsman et al., ICML 2022), and costs the mirror nothing. A share of the start
keeps what fine-tuning on a few voices forgets of all others (Wortsman et al., CVPR 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.training.checkpoint import CheckpointError, file_sha256, load_checkpoint, save_checkpoint
from wakeword.model import HeadConfig, TriggerModel, transfer

_SAME = ("kind", "encoder", "head", "keywords", "init_sha256")
_SPENT = ("heard_utterances", "heard_audio_s", "training_s")


def average(paths: list[Path], out: Path, start: Path | None = None, start_share: float = 0.0) -> Path:
    """Write the mean of finished wake-word models; the sidecar is the first one's, with what all have spent.

    Args:
        start: the encoder or wake-word model that all began from.
        start_share: how much of the mean it is, 0 to 1; the models share the rest.

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
    mean = {key: torch.stack([other[key].double() for other, _ in loaded]).mean(0) for key in tensors}
    if start_share:
        begun = _begun(start, sidecar, paths[0])
        mean = {key: start_share * begun[key].double() + (1 - start_share) * mean[key] for key in mean}
    parents = [other.get("recipe", {}).get("optimisation", {}).get("seed") for _, other in loaded]
    spent = {key: sum(other[key] for _, other in loaded) for key in _SPENT if key in sidecar}
    facts = {"averaged_seeds": parents, "averaged": [str(path) for path in paths], "start_share": start_share}
    cast = {key: value.to(tensors[key].dtype) for key, value in mean.items()}
    save_checkpoint(out, cast, {**sidecar, **spent, **facts})
    return out


def _begun(start: Path | None, sidecar: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The weights that the model of ``sidecar`` had before it learnt."""
    if start is None or file_sha256(start) != sidecar["init_sha256"]:
        raise CheckpointError(f"{start}: not what {path} began from; its SHA-256 is {sidecar['init_sha256']}")
    head = HeadConfig.model_validate(sidecar["head"])
    model = TriggerModel(EncoderConfig.model_validate(sidecar["encoder"]), head, list(sidecar["keywords"]))
    theirs = transfer(model, start)[1]
    if not head.spot and theirs["kind"] != "trigger":
        raise CheckpointError(f"{start}: knows nothing of the word; a share of it needs head.spot")
    return model.state_dict()


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
    parser.add_argument("--start", type=Path, help="the checkpoint that they began from")
    parser.add_argument(
        "--start-share", type=float, default=0.0, help="how much of the mean it is (default: 0)"
    )
    parser.add_argument("--out", type=Path, required=True, help="where the mean goes (.safetensors)")


def run(args: argparse.Namespace) -> int:
    """Average."""
    if not 0 <= args.start_share < 1:
        raise CheckpointError(f"--start-share {args.start_share}: 0 to below 1")
    print(average(args.models, args.out, args.start, args.start_share))
    return 0
