"""An update bundle: a model and the recordings it is tried on, in one tar that is signed as a whole.

Members: ``bundle.json`` (format, name, version, SHA-256 of every other member), ``model.onnx``, one to nine
``word-N.wav``, in each of which the model has to hear its word, and one to nine ``other-N.wav``, in which it
has to hear nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirror_device.metadata import ModelMetadata

FORMAT = "rearview-bundle/1"
MAX_BUNDLE_BYTES = 32 << 20
MAX_MEMBERS = 20
MANIFEST, MODEL = "bundle.json", "model.onnx"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MEMBER = re.compile(r"bundle\.json|model\.onnx|(word|other)-[1-9]\.wav")


class BundleError(ValueError):
    """An update that is not taken; says why and what would be."""


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds."""

    name: str
    version: str
    files: dict[str, bytes]
    """All members but the manifest, by name."""
    manifest: bytes

    @property
    def digest(self) -> str:
        """Of the model, hexadecimal."""
        return hashlib.sha256(self.files[MODEL]).hexdigest()


def version_key(version: str) -> tuple[int, ...]:
    """``1.10.0`` as (1, 10, 0). Raises BundleError."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}", version):
        raise BundleError(
            f"version {version[:40]!r}: numbers with dots between them are wanted, such as 1.0.2"
        )
    numbers = [int(part) for part in version.split(".")]
    return tuple(numbers + [0] * (4 - len(numbers)))


def pack(metadata: ModelMetadata, model: bytes, words: list[bytes], others: list[bytes]) -> bytes:
    """The bytes of a bundle; the same arguments give the same bytes. Raises BundleError."""
    files = {MODEL: model}
    files |= {f"word-{number}.wav": sound for number, sound in enumerate(words, start=1)}
    files |= {f"other-{number}.wav": sound for number, sound in enumerate(others, start=1)}
    manifest = {
        "format": FORMAT,
        "name": metadata.name,
        "version": metadata.version,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:", format=tarfile.USTAR_FORMAT) as tar:
        for name, member in {MANIFEST: json.dumps(manifest, indent=1).encode(), **files}.items():
            info = tarfile.TarInfo(name)
            info.size = len(member)
            tar.addfile(info, io.BytesIO(member))
    packed = content.getvalue()
    unpack(packed)
    return packed


def unpack(content: bytes) -> Bundle:
    """Raises BundleError: anything but the members above, each once, whole, and as the manifest says."""
    if len(content) > MAX_BUNDLE_BYTES:
        raise BundleError(f"a bundle of {len(content)} bytes; at most {MAX_BUNDLE_BYTES}")
    members = _members(content)
    for needed in (MANIFEST, MODEL, "word-1.wav", "other-1.wav"):
        if needed not in members:
            raise BundleError(f"no {needed} in the bundle: make it again with 'mirror-device bundle make'")
    manifest = members.pop(MANIFEST)
    fields = manifest_fields(manifest)
    digests = {name: hashlib.sha256(member).hexdigest() for name, member in members.items()}
    if fields["sha256"] != digests:
        raise BundleError("members of the bundle are not those that its manifest lists: it is damaged")
    return Bundle(fields["name"], fields["version"], members, manifest)


def manifest_fields(content: bytes) -> dict[str, Any]:
    """A manifest, checked. Raises BundleError."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} is not JSON ({str(error)[:80]})") from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise BundleError(f"{MANIFEST} is not of the format {FORMAT}: another program's?")
    name, version, digests = (fields.get(key) for key in ("name", "version", "sha256"))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BundleError(f"{MANIFEST} has name = {str(name)[:40]!r}: small letters, digits and _ are wanted")
    if not isinstance(version, str) or not isinstance(digests, dict):
        raise BundleError(f"{MANIFEST} lacks its version or its sha256")
    version_key(version)
    return fields


def _members(content: bytes) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                if member.type != tarfile.REGTYPE or member.issparse() or not MEMBER.fullmatch(member.name):
                    raise BundleError(f"{member.name[:80]!r} does not belong into a bundle")
                if member.name in members or len(members) >= MAX_MEMBERS:
                    raise BundleError(f"{member.name!r} is in the bundle twice")
                file = tar.extractfile(member)
                found = file.read(MAX_BUNDLE_BYTES) if file is not None else b""
                if len(found) != member.size:
                    raise BundleError(f"{member.name!r} is cut off: copy the bundle again")
                members[member.name] = found
    except BundleError:
        raise
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        raise BundleError(f"no bundle, or a damaged one ({str(error)[:80]}): copy it again") from error
    return members


def read_file(path: Path, most_bytes: int = MAX_BUNDLE_BYTES) -> bytes:
    """A file's bytes, so many at most. Raises BundleError."""
    try:
        if not path.is_file():
            raise BundleError(f"{path}: no such file")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > most_bytes:
        raise BundleError(f"{path}: more than {most_bytes} bytes; this is not what is wanted here")
    return content
