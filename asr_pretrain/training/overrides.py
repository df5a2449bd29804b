"""The command line of both ``train`` commands: options that stand above the recipe's values."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TypeVar

from asr_pretrain.training.recipe import TrainingRecipe, validated

Recipe = TypeVar("Recipe", bound=TrainingRecipe)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe and what may be set beside it."""
    parser.add_argument("recipe", type=Path, help="YAML recipe")
    parser.add_argument("--manifest", type=Path, action="append", help="planned manifest (repeatable)")
    parser.add_argument("--out", type=Path, help="folder of the run; a run found there is resumed")
    parser.add_argument("--init", type=Path, help="start from this run's encoder or trigger.safetensors")
    parser.add_argument("--rules", type=Path, help="limits and waivers for the audit of the manifests (YAML)")
    parser.add_argument("--from-scratch", action="store_true", help="leave the recipe's `init` out")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="number of steps")
    length.add_argument("--epochs", type=float, help="times the training rows are gone through")
    parser.add_argument("--accumulate", type=int, help="batches a process adds up for one step")
    parser.add_argument("--seed", type=int, help="seed of weights, batches and car")
    parser.add_argument("--device", help="cpu, cuda (under torchrun each process its own), cuda:1 …")


def override(recipe: Recipe, args: argparse.Namespace) -> Recipe:
    """``recipe`` with what the command line gives. Raises RecipeError naming a value it may not have."""
    document: dict[str, Any] = recipe.model_dump(exclude_unset=True)
    optimisation: dict[str, Any] = dict(document.get("optimisation", {}))
    given = {"manifests": args.manifest, "out": args.out, "init": args.init}
    moves = {key: getattr(args, key) for key in ("steps", "epochs", "accumulate", "seed", "device")}
    document |= {key: value for key, value in given.items() if value is not None}
    if args.rules is not None:
        document["audit"] = {"rules": args.rules}
    if args.from_scratch:
        document["init"] = None
    if args.epochs is not None:
        optimisation["steps"] = None
    optimisation |= {key: value for key, value in moves.items() if value is not None}
    return validated({**document, "optimisation": optimisation}, type(recipe), "command line")
