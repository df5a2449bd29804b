"""Weights and descriptions of a teacher on disk, read without ever running what is in them."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_DESCRIPTION = "config.json"
# What torch's unpickler stumbles over in bytes that are no file of its own.
_DAMAGE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    struct.error,
)

Shape = TypeVar("Shape", bound=BaseModel)


class TeacherError(ValueError):
    """A teacher that cannot be used; the message names the file, what is wrong and the remedy."""


def find_weights(path: Path) -> Path:
    """The file of weights: `path` itself, or the only one in a folder (safetensors before others).

    Raises:
        TeacherError: there is none, or it is not clear which.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise TeacherError(f"{path}: no such teacher; give its weights, or the folder that holds them")
    found = [file for file in sorted(path.iterdir()) if file.suffix in SUFFIXES]
    # SpeechBrain keeps the statistics of its normaliser in a file of their own.
    found = [file for file in found if file.stem != "normalizer"]
    safe = [file for file in found if file.suffix == ".safetensors"]
    chosen = safe or found
    if len(chosen) != 1:
        names = ", ".join(file.name for file in chosen) or "none"
        raise TeacherError(
            f"{path}: one file of weights ({', '.join(SUFFIXES)}) is needed, found {names}; name it"
        )
    return chosen[0]


def description(weights: Path, shape: type[Shape]) -> Shape | None:
    """What the JSON beside the weights says (`NAME.json`, or `config.json`); None where there is none.

    Raises:
        TeacherError: it is not JSON, or not of this shape.
    """
    for path in (weights.with_suffix(".json"), weights.parent / _DESCRIPTION):
        if not path.is_file():
            continue
        try:
            return shape.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TeacherError(f"{path}: not JSON ({error}); write it again") from error
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}" for item in error.errors()
            )
            raise TeacherError(f"{path}: {wrong}; see docs/corpora.md for its keys") from error
    return None


def check_hash(found: str, expected: str | None, path: Path) -> str:
    """The hash, as found.

    Raises:
        TeacherError: it is not the one that the recipe expects.
    """
    if expected is not None and found != expected:
        raise TeacherError(
            f"{path}: has the hash {found}, the recipe expects {expected}; fetch it again, or correct sha256"
        )
    return found


def folder_sha256(folder: Path) -> str:
    """Hash of the names and contents of all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder)}\0{digest}\n".encode())
    return total.hexdigest()


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A file's tensors by name; Python objects in it are never built.

    Raises:
        TeacherError: it holds anything but tensors, or is damaged.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(str(path))
        except SafetensorError as error:
            raise TeacherError(f"{path}: not safetensors, or damaged ({error}); fetch it again") from error
    state = load_plain(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TeacherError(
            f"{path}: not a state_dict of tensors alone; save `model.state_dict()`, best as safetensors"
        )
    return dict(state)


def load_plain(path: Path) -> Any:
    """What torch saved, if it is tensors, numbers and strings in lists and dicts.

    Raises:
        TeacherError: it holds other Python objects, or is damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except torch.serialization.pickle.UnpicklingError as error:
        raise TeacherError(
            f"{path}: holds pickled Python objects, which could run anything when they are loaded; "
            "save its state_dict alone, best as safetensors"
        ) from error
    except _DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TeacherError(
            f"{path}: not weights that torch saved, or damaged ({reason}); fetch it again"
        ) from error


def fit(module: nn.Module, tensors: dict[str, Tensor], path: Path, ignored: tuple[str, ...] = ()) -> None:
    """Put tensors into a module; those whose names begin with one of `ignored` may be left over.

    Raises:
        TeacherError: names or sizes do not fit, naming the first.
    """
    wanted = module.state_dict()
    given = {}
    for name, value in tensors.items():
        # torch 2 stores weight normalisation under other names than torch 1.
        if name not in wanted and name.endswith((".weight_g", ".weight_v")):
            name = name[: -len("weight_g")] + f"parametrizations.weight.original{int(name.endswith('v'))}"
        if name in wanted or not name.startswith(ignored):
            given[name] = value
    missing, unknown = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    sizes = [
        f"{name} is {tuple(given[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & given.keys())
        if wanted[name].shape != given[name].shape
    ]
    wrong = [f"missing {name}" for name in missing] + [f"unknown {name}" for name in unknown] + sizes
    if wrong:
        raise TeacherError(
            f"{path}: not weights of the model that is described beside it: {wrong[0]} ({len(wrong)} such); "
            "correct the description"
        )
    module.load_state_dict(given)
