"""Signatures as minisign makes them (Ed25519; https://jedisct1.github.io/minisign/), by py-minisign.

A bundle is signed as a whole, beside it in ``BUNDLE.minisig``, so that ``minisign -V`` checks it as well.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Any

from mirror_device.update.archive import BundleError, read_file

MAX_KEY_BYTES = 4096


def signature_path(bundle: Path) -> Path:
    """Where minisign puts a file's signature."""
    return bundle.with_name(f"{bundle.name}.minisig")


def check(content: bytes, signature: bytes, public_key: Path) -> str:
    """The signature's trusted comment. Raises BundleError: not signed by this key, or not these bytes."""
    library = _library()
    try:
        key = library.PublicKey.from_bytes(read_file(public_key, MAX_KEY_BYTES))
        signed = library.Signature.from_bytes(signature)
        key.verify(content, signed)
    except library.Error as error:
        raise BundleError(f"not signed by the key in {public_key} ({error}): it is not installed") from error
    return str(signed.trusted_comment)


def sign(content: bytes, secret_key: Path, comment: str) -> bytes:
    """The content of a ``.minisig`` file; asks for the key's password if it has one. Raises BundleError."""
    library = _library()
    try:
        with library.SecretKey.from_file(secret_key) as key:
            if key.is_encrypted():
                key.decrypt(getpass.getpass(f"password of {secret_key}: "))
            return bytes(key.sign(content, trusted_comment=comment))
    except (OSError, library.Error) as error:
        raise BundleError(f"{secret_key}: cannot sign ({error}); make a key with 'minisign -G'") from error


def make_key(secret_key: Path, public_key: Path) -> None:
    """A new pair, the secret one without a password: for whoever has no minisign. Raises BundleError."""
    pair = _library().KeyPair.generate()
    try:
        descriptor = os.open(secret_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(bytes(pair.secret_key))
        public_key.write_bytes(bytes(pair.public_key))
    except OSError as error:
        raise BundleError(
            f"{secret_key}: cannot be written ({error.strerror}); no key is replaced"
        ) from error


def _library() -> Any:
    try:
        import minisign
    except ImportError as error:
        raise BundleError(
            f"updates need their extra: pip install 'rearview-wakeword[update]' ({error})"
        ) from error
    return minisign
