"""`wakeword sketch`: a detector for any phrase in a minute, without one recording of it.

wakeword sketch "hello car" --out hello_car.onnx

The general recogniser's layers, the phrase followed through its phones (`wakeword/spotter.py`), int8 for
the device. It is where training begins, and good enough to try a phrase before anybody records it: for
"smart mirror" docs/experiments.md has the figures. Choose its threshold by `wakeword tune` on what you have.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path
from typing import Any

from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.phonemes import to_phones
from asr_pretrain.train import KEPT_ENCODER
from asr_pretrain.training.checkpoint import file_sha256, git_revision, load_checkpoint, save_checkpoint
from asr_pretrain.training.recipe import RecipeError
from wakeword.cuts import CutConfig, Group
from wakeword.model import HeadConfig, TriggerModel, transfer
from wakeword.train import TriggerRecipe

FEWEST_PHONES = 6
"""Shorter phrases are said within others: "alexa" has six."""
CALIBRATED_BY = "smart mirror"
"""The phrase that the calibration corpus is labelled for; none of its takes is used."""


def sketch(phrase: str, out: Path, encoder: Path, manifests: list[Path]) -> Path:
    """Write the int8 device model of ``phrase``; calibrated on speech of ``manifests`` in the car.

    Raises CheckpointError, ManifestError, and RecipeError for a phrase of too few phones.
    """
    phones = to_phones(phrase)
    if len(phones) < FEWEST_PHONES:
        raise RecipeError(
            f"{phrase!r} is {' '.join(phones)}: at least {FEWEST_PHONES} phones make a wake word"
        )
    from wakeword.quantize import quantize

    _, theirs = load_checkpoint(encoder)
    shape, head = EncoderConfig.model_validate(theirs["encoder"]), HeadConfig(layers=0, spot=True)
    model = TriggerModel(shape, head, [phrase])
    transfer(model, encoder)
    speech = Group(name="speech", share=0.8, label="other")
    cuts = CutConfig(groups=[speech, Group(name="noise", share=0.2, label="noise")])
    recipe = TriggerRecipe(phrase=CALIBRATED_BY, manifests=manifests, out=out.parent, cuts=cuts)
    sidecar: dict[str, Any] = {
        "kind": "trigger",
        "name": re.sub(r"[^a-z0-9]+", "_", phrase.lower()),
        "encoder": shape.model_dump(mode="json"),
        "head": head.model_dump(mode="json"),
        "keywords": [phrase],
        "recipe": recipe.model_dump(mode="json"),
        "manifest_sha256": [file_sha256(path) for path in manifests],
        "init_sha256": file_sha256(encoder),
        "git_revision": git_revision(),
    }
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "trigger.safetensors"
        save_checkpoint(checkpoint, dict(model.state_dict()), sidecar)
        return quantize(checkpoint, manifests, out, cuts=48, version="0.1.0")


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "sketch",
        help="a detector for any phrase, without one recording of it",
        description=__doc__,
        epilog='example: wakeword sketch "hello car" --out hello_car.onnx',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("phrase", help="what is to be heard, in English")
    parser.add_argument("--out", type=Path, required=True, help="the device model (.onnx)")
    parser.add_argument(
        "--encoder", type=Path, default=KEPT_ENCODER, help="recogniser (default: the kept one)"
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        action="append",
        help="train rows to calibrate on (default: synthetic speech)",
    )


def run(args: argparse.Namespace) -> int:
    """Sketch."""
    from asr_pretrain.synthesis.corpus import make_corpus

    if args.manifest:
        print(sketch(args.phrase, args.out, args.encoder, args.manifest))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder) / "corpus", size="tiny", quiet=True)
        print(sketch(args.phrase, args.out, args.encoder, [corpus]))
    return 0
