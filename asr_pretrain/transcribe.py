"""The phonemes that a trained recogniser hears in a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asr_pretrain.phonemes import PHONES
from asr_pretrain.score import recognise
from asr_pretrain.targets import Targets
from asr_pretrain.train import KEPT_ENCODER, load_recogniser
from data_splits.audio import read_audio


def transcribe(wav: Path, checkpoint: Path) -> list[str]:
    """Phones of ``wav`` (any rate; resampled to 16 kHz mono). Raises AudioError, CheckpointError."""
    model, sidecar = load_recogniser(checkpoint)
    classes = recognise(model, read_audio(str(wav.resolve()), wav.resolve().parent))
    return [PHONES[phone - 1] for phone in Targets.of(sidecar).to_phones(classes)]


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "transcribe",
        help="the phonemes of a recording",
        epilog="example: asr-pretrain transcribe hello.wav --checkpoint runs/general/encoder.safetensors",
    )
    parser.add_argument("wav", type=Path, help="WAV, FLAC or Opus")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=KEPT_ENCODER,
        help="a run's encoder.safetensors (default: the kept one)",
    )


def run(args: argparse.Namespace) -> int:
    print(" ".join(transcribe(args.wav, args.checkpoint)))
    return 0
