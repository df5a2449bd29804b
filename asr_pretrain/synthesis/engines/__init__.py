"""The synthesizers of a corpus: one module each, all with the same few functions.

A further synthesizer is one more file with `INSTALL`, `READS_ALONE`, `version`, `draw_voice`, `start_voice`
and `speak`, one more line in `_MODULES`, and its name in `recipe.py`.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

import numpy as np

from asr_pretrain.synthesis.voices import Voice

_MODULES = {"espeak": "espeak_ng", "flite": "flite", "festival": "festival"}
ENGINES: tuple[str, ...] = tuple(_MODULES)
"""Names that a recipe may give shares to."""


class Synthesizer(Protocol):
    """What a module of this package offers."""

    INSTALL: str
    """The command that installs it."""
    READS_ALONE: bool
    """Whether it reads text by rules of its own, so that its phones may differ from `phonemes.to_phones`."""

    def version(self) -> str | None:
        """What is installed, None when it is absent. Other versions give other samples."""

    def draw_voice(self, rng: np.random.Generator) -> Voice:
        """A random speaker."""

    def start_voice(self, voice: Voice) -> None:
        """Forget all earlier speech: what follows depends on the calls of `speak` from here on."""

    def speak(self, text: str, voice: Voice) -> np.ndarray:
        """int16 (n,) at 16 kHz, peak 6 dB below full scale, 100 ms of quiet around. Raises EspeakError."""


def synthesizer(name: str) -> Synthesizer:
    """The module of that name in `ENGINES`."""
    return cast(Synthesizer, importlib.import_module(f"{__name__}.{_MODULES[name]}"))
