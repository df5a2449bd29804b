"""Files found by what they hold, and the facts that a model or a checkpoint states of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from data_splits.manifest import manifest_sha256

_SUFFIXES: Final = (".safetensors", ".parquet", ".jsonl", ".ndjson", ".json", ".yaml", ".yml")
_MAX_FILES: Final = 10_000
_MAX_FACTS_BYTES: Final = 64 << 20
METADATA_KEY: Final = "rearview"


class EvidenceError(ValueError):
    """A file whose claims cannot be read; the message names it and the remedy."""


def find_evidence(beside: Path, places: Iterable[Path]) -> dict[str, Path]:
    """Files by their SHA-256: those in the same folder as ``beside``, those given, and those in the folders
    given and below, which are not left by links.

    Raises:
        EvidenceError: a place that is not there, or a folder of more files than anybody means.
    """
    folder = beside.absolute().parent
    neighbours = [path for path in folder.glob("*") if path.suffix in _SUFFIXES and path.is_file()]
    found = {manifest_sha256(path): path for path in sorted(neighbours)}
    for place in places:
        if not place.exists():
            raise EvidenceError(f"{place}: no such file or folder; give --evidence what is there")
        files = [place] if place.is_file() else _files(place)
        found |= {manifest_sha256(path): path for path in files}
    return found


def _files(folder: Path) -> list[Path]:
    files: list[Path] = []
    for parent, _, names in os.walk(folder):  # follows no links
        paths = [Path(parent, name) for name in names if name.endswith(_SUFFIXES)]
        files += [path for path in paths if path.is_file() and not path.is_symlink()]
        if len(files) > _MAX_FILES:
            raise EvidenceError(f"{folder}: more than {_MAX_FILES} files; name the ones that matter")
    return sorted(files)


def stated_facts(path: Path) -> dict[str, Any]:
    """What a device model (`.onnx`) or a checkpoint (`.safetensors`) says of its own making.

    Raises:
        EvidenceError: not such a file.
    """
    if not path.is_file():
        raise EvidenceError(f"{path}: no such file; give a model (.onnx), a checkpoint or a signed report")
    text = _onnx_property(path) if path.suffix == ".onnx" else _sidecar(path)
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{path}: what it says of itself is not JSON ({error})") from error
    if not isinstance(facts, dict):
        raise EvidenceError(f"{path}: what it says of itself is no object")
    return facts


def _sidecar(path: Path) -> str:
    """The sidecar in a safetensors file's header."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = stream.read(min(size, _MAX_FACTS_BYTES))
    try:
        return str(json.loads(header)["__metadata__"]["sidecar"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EvidenceError(f"{path}: not a checkpoint of this project ({error!r})") from error


def _onnx_property(path: Path) -> str:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise EvidenceError(
            f"{path}: models are read by the 'train' extra: pip install 'rearview-wakeword[train]' ({error})"
        ) from error
    if path.stat().st_size > _MAX_FACTS_BYTES:
        raise EvidenceError(f"{path}: {path.stat().st_size} bytes; a device model has at most 1 MB")
    try:
        properties = onnx.load(str(path), load_external_data=False).metadata_props
    except DecodeError as error:
        raise EvidenceError(f"{path}: not an ONNX file ({error})") from error
    texts = [item.value for item in properties if item.key == METADATA_KEY]
    if not texts:
        raise EvidenceError(f"{path}: no metadata {METADATA_KEY!r}, so it is no model of this project")
    return str(texts[0])
