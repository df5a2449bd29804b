"""espeak-ng: formants, every accent of English, foreign accents, about 90 variants, any rate and melody."""

from __future__ import annotations

import importlib.metadata

import numpy as np

from asr_pretrain.synthesis.espeak import engine
from asr_pretrain.synthesis.voices import Voice, draw_voice
from asr_pretrain.synthesis.voices import speak as speak_by_formants

__all__ = ["INSTALL", "READS_ALONE", "draw_voice", "speak", "start_voice", "version"]

INSTALL = "pip install 'rearview-wakeword[train]'"
READS_ALONE = False  # the phones of a text are espeak-ng's own


def version() -> str | None:
    """Of the wheel that bundles library and data."""
    try:
        return importlib.metadata.version("espeakng-loader")
    except importlib.metadata.PackageNotFoundError:
        return None


def start_voice(voice: Voice) -> None:
    """Load the library and the voice anew; `voice` itself is set by the first text."""
    engine().forget()


def speak(text: str, voice: Voice) -> np.ndarray:
    """int16 (n,) at 16 kHz. Raises EspeakError."""
    return speak_by_formants(text, voice, fresh=False)
