"""``mirror-device bundle``: signed model updates, made, checked, installed and taken back."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mirror_device.update import FOLDER

EPILOG = """\
examples:
  minisign -G -p update.pub -s update.key          once; or: mirror-device bundle key update.key update.pub
  mirror-device bundle make new.onnx --word said.wav --other drive.wav --key update.key --out new.bundle
  mirror-device bundle verify new.bundle --public-key update.pub
  sudo mirror-device bundle install new.bundle --control unix:///run/mirror-device/control
  sudo mirror-device bundle rollback smart_mirror --control unix:///run/mirror-device/control
  mirror-device bundle show smart_mirror --folder /var/lib/mirror-device/models

make writes new.bundle and new.bundle.minisig; minisign -V checks them as well. The daemon uses what is
installed where its configuration says models: ["slot:smart_mirror"], and goes back to the version before
where a new one does not start. Exit: 0, or 2 with the reason; a bundle that is refused replaces nothing.
"""
PUBLIC_KEY = Path("/etc/mirror-device/update.pub")


def add_parser(sub: Any) -> None:
    """Declare the subcommand."""
    parser = sub.add_parser(
        "bundle",
        help="make, verify and install signed model updates",
        description="Signed model updates, with the version before kept to go back to.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    key = actions.add_parser("key", help="make a key pair without a password")
    key.add_argument("secret_key", type=Path)
    key.add_argument("public_key", type=Path)
    key.set_defaults(run=_key)
    make = actions.add_parser("make", help="pack a model with its recordings, try it, and sign it")
    make.add_argument("model", help="an .onnx file, or a shipped model")
    for option, text in (("--word", "the word is in it"), ("--other", "it is not")):
        make.add_argument(option, type=Path, action="append", required=True, metavar="WAV", help=text)
    make.add_argument("--key", type=Path, required=True, help="secret key of minisign")
    make.add_argument("--out", type=Path, required=True, metavar="FILE")
    make.set_defaults(run=_make)
    for name, run, text in (
        ("verify", _verify, "check signature and content"),
        ("install", _install, "check, try and make active"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("bundle", type=Path)
        action.add_argument("--public-key", type=Path, default=PUBLIC_KEY, help="(%(default)s)")
        action.set_defaults(run=run)
        if run is _install:
            _place(action)
    for name, run, text in (
        ("rollback", _rollback, "back to the version before"),
        ("show", _show, "what is installed, as JSON"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("name", help="such as smart_mirror")
        action.set_defaults(run=run)
        _place(action)


def _place(action: argparse.ArgumentParser) -> None:
    action.add_argument("--folder", type=Path, default=FOLDER, help="of all slots (%(default)s)")
    action.add_argument("--control", metavar="ADDRESS", help="have the daemon there change to it at once")


def _key(args: argparse.Namespace) -> int:
    from mirror_device.update.signature import make_key

    make_key(args.secret_key, args.public_key)
    return 0


def _make(args: argparse.Namespace) -> int:
    from mirror_device.detector import Detector, model_path
    from mirror_device.files import write_whole
    from mirror_device.metadata import parse_metadata
    from mirror_device.trial import failures
    from mirror_device.update.archive import BundleError, pack, read_file
    from mirror_device.update.signature import sign, signature_path

    path = model_path(args.model)
    detector = Detector(path)
    if wrong := failures(detector, args.word, args.other):
        raise BundleError("this model fails on these recordings: " + "; ".join(wrong))
    metadata = parse_metadata(str(path), json.dumps(detector.metadata))
    words, others = ([read_file(recording) for recording in given] for given in (args.word, args.other))
    content = pack(metadata, read_file(path), words, others)
    signature = sign(content, args.key, f"{metadata.name} {metadata.version}")
    write_whole(args.out, content)
    write_whole(signature_path(args.out), signature)
    print(f"{args.out}: {metadata.name} {metadata.version}, {len(content)} bytes, signed")
    return 0


def _verified(args: argparse.Namespace) -> Any:
    from mirror_device.update.archive import read_file, unpack
    from mirror_device.update.signature import MAX_KEY_BYTES, check, signature_path

    content = read_file(args.bundle)
    check(content, read_file(signature_path(args.bundle), MAX_KEY_BYTES), args.public_key)
    return unpack(content)


def _verify(args: argparse.Namespace) -> int:
    bundle = _verified(args)
    print(f"{args.bundle}: {bundle.name} {bundle.version}, signed by the key in {args.public_key}")
    return 0


def _install(args: argparse.Namespace) -> int:
    from mirror_device.update.slots import Slots

    bundle = _verified(args)
    try:
        place = Slots(args.folder, bundle.name).install(bundle)
    except OSError as error:
        raise ValueError(f"{args.folder}: cannot be written ({error.strerror}); run it as root") from error
    print(f"{bundle.name} {bundle.version} is installed in {place}")
    return _tell(args, bundle.name)


def _rollback(args: argparse.Namespace) -> int:
    from mirror_device.update.slots import Slots

    try:
        state = Slots(args.folder, args.name).roll_back()
    except OSError as error:
        raise ValueError(f"{args.folder}: cannot be written ({error.strerror}); run it as root") from error
    print(f"{args.name}: {state.active or 'the shipped model'} is active")
    return _tell(args, args.name)


def _show(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from mirror_device.update.slots import Slots

    print(json.dumps(asdict(Slots(args.folder, args.name).state())))
    return 0


def _tell(args: argparse.Namespace, name: str) -> int:
    """The running daemon changes to what is active now."""
    if args.control is None:
        return 0
    from mirror_device.status import ask

    answer = ask(args.control, json.dumps({"command": "model", "name": f"slot:{name}"}))
    print(json.dumps(answer, ensure_ascii=False))
    return 1 if answer.get("event") == "error" else 0
