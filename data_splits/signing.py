"""Signatures of audit reports as minisign makes them (Ed25519; https://jedisct1.github.io/minisign/).

A report names the SHA-256 of the manifest and of the rules that judged it, so that the signature over its
bytes binds the three: it cannot be carried to another set.
"""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any, Final

from data_splits.files import whole_file

MAX_REPORT_BYTES: Final = 64 << 20
_MAX_KEY_BYTES: Final = 4096


class SignatureError(ValueError):
    """A report, key or signature that cannot be used; the message names the file and the remedy."""


def signature_path(report: Path) -> Path:
    """Where minisign puts a file's signature."""
    return report.with_name(f"{report.name}.minisig")


def read_report(path: Path) -> dict[str, Any]:
    """The JSON that `data-splits audit --json` printed.

    Raises:
        SignatureError: it is none.
    """
    try:
        report = json.loads(_read(path, MAX_REPORT_BYTES))
        summary = report["summary"]
        texts = [summary[key] for key in ("manifest", "sha256", "rules_version")]
        if not (all(isinstance(text, str) and text for text in texts) and isinstance(summary["errors"], int)):
            raise ValueError("its summary holds other values")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SignatureError(
            f"{path}: not a report of this program ({error}); write one: data-splits audit MANIFEST --json"
        ) from error
    return dict(report)


def sign_report(path: Path, secret_key: Path) -> str:
    """Sign a report; its signature appears beside it. Asks for the key's password if it has one.

    Returns:
        The signature's trusted comment: which manifest, which rules, how many errors.

    Raises:
        SignatureError: the report or the key cannot be used.
        OSError: the signature cannot be written.
    """
    library = _library()
    summary = read_report(path)["summary"]
    comment = (
        f"audit of {summary['sha256']} by rules {summary['rules_version'][:16]}: {summary['errors']} errors"
    )
    try:
        with library.SecretKey.from_bytes(_read(secret_key, _MAX_KEY_BYTES)) as key:
            if key.is_encrypted():
                key.decrypt(getpass.getpass(f"password of {secret_key}: "))
            signature = bytes(key.sign(_read(path, MAX_REPORT_BYTES), trusted_comment=comment))
    except library.Error as error:
        raise SignatureError(f"{secret_key}: cannot sign ({error}); make a key with 'minisign -G'") from error
    with whole_file(signature_path(path)) as stream:
        stream.write(signature)
    return comment


def check_signature(path: Path, public_key: Path) -> str:
    """The trusted comment of a report's signature.

    Raises:
        SignatureError: no signature, another key's, or the report is not what was signed.
    """
    library = _library()
    try:
        key = library.PublicKey.from_bytes(_read(public_key, _MAX_KEY_BYTES))
        signature = library.Signature.from_bytes(_read(signature_path(path), _MAX_KEY_BYTES))
        key.verify(_read(path, MAX_REPORT_BYTES), signature)
    except library.Error as error:
        raise SignatureError(f"{path}: not signed by the key in {public_key} ({error})") from error
    return str(signature.trusted_comment)


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except OSError as error:
        raise SignatureError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > most_bytes:
        raise SignatureError(f"{path}: longer than {most_bytes} bytes, so it is not what it should be")
    return content


def _library() -> Any:
    try:
        import minisign
    except ImportError as error:
        raise SignatureError(
            f"signatures need their extra: pip install 'rearview-wakeword[update]' ({error})"
        ) from error
    return minisign
