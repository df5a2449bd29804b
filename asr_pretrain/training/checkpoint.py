"""Checkpoints: safetensors beside a JSON sidecar, never pickle; a crash leaves the old one or the new."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or not ours."""


def sidecar_path(path: Path) -> Path:
    return path.with_suffix(".json")


def write_atomically(path: Path, content: bytes, before_rename: Callable[[], None] = lambda: None) -> None:
    """Temporary file, fsync, rename: on a full disk the old file survives.

    ``before_rename`` runs when the new content is safely on the disk. Raises OSError (for example ENOSPC)
    after removing the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        before_rename()
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def pack(tensors: dict[str, Tensor], sidecar: dict[str, Any]) -> bytes:
    """A safetensors file whose header also holds the sidecar and the hash of the tensors."""
    kept = {k: v.detach().contiguous().cpu() for k, v in tensors.items()}
    return save(kept, {"sidecar": json.dumps(sidecar, sort_keys=True), "tensors_sha256": _hash(kept)})


def unpack(content: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and sidecar of what `pack` made. Raises CheckpointError naming ``path`` and what is wrong."""
    try:
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        tensors, sidecar = load(content), json.loads(metadata["sidecar"])
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: not a checkpoint of this project, or damaged ({error}); remove it to start again"
        ) from error
    expected = metadata.get("tensors_sha256")
    if expected is not None and expected != _hash(tensors):
        raise CheckpointError(f"{path}: damaged, its tensors are not those that were saved; remove it")
    return tensors, sidecar


def _hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names and bytes: a flipped bit on a disk is no reason to train on."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}\0".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_checkpoint(path: Path, tensors: dict[str, Tensor], sidecar: dict[str, Any]) -> None:
    """Writes ``path`` (.safetensors) and its sidecar, which records the hash of the file.

    The sidecar also travels inside the safetensors header, so the pair cannot disagree after a crash
    between the two renames: ``load_checkpoint`` trusts the header.
    """
    content = pack(tensors, sidecar)
    write_atomically(path, content)
    readable = {**sidecar, "tensors_sha256": hashlib.sha256(content).hexdigest()}
    write_atomically(sidecar_path(path), json.dumps(readable, indent=2, sort_keys=True).encode())


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and sidecar. Raises CheckpointError naming the file and what is wrong with it."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; train one, or give the path of its .safetensors")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    return unpack(content, path)


def git_revision() -> str:
    """The commit the package's tree is at, "+dirty" appended when it has changes, or "unknown"."""
    root = Path(__file__).resolve().parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
