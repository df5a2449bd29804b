"""The proof that the splits are honest: hard rules over a whole manifest, every one of them columnar.

A rule is a function from `Audited` to findings. To add one, write it in a module here and name it in `RULES`.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from data_splits.audit.finding import Audited, Finding, Rule
from data_splits.audit.identity import exact_duplicate, integrity
from data_splits.audit.overlap import rir_parent_leak, session_overlap, speaker_overlap, vehicle_overlap
from data_splits.audit.parents import clean_parent_leak, interferer_parent_leak, noise_parent_leak
from data_splits.audit.splits import (
    non_mirror_eval,
    split_missing,
    train_dev_leak,
    train_dev_missing,
    train_dev_speaker,
    unproven_speaker,
)

__all__ = ["RULES", "Audited", "Finding", "audit"]

RULES: Final[dict[str, Rule]] = {
    "integrity": integrity,
    "non-mirror-eval": non_mirror_eval,
    "speaker-overlap": speaker_overlap,
    "session-overlap": session_overlap,
    "vehicle-overlap": vehicle_overlap,
    "clean-parent-leak": clean_parent_leak,
    "noise-parent-leak": noise_parent_leak,
    "interferer-parent-leak": interferer_parent_leak,
    "rir-parent-leak": rir_parent_leak,
    "exact-duplicate": exact_duplicate,
    "train-dev-missing": train_dev_missing,
    "train-dev-leak": train_dev_leak,
    "train-dev-speaker": train_dev_speaker,
    "split-missing": split_missing,
    "unproven-speaker": unproven_speaker,
}


def audit(frame: pl.DataFrame, measured: pl.DataFrame | None = None) -> list[Finding]:
    """Judge a manifest by every rule.

    Args:
        frame: rows as `read_manifest` gives them.
        measured: what `measure_audio` found in the audio itself, where it was decoded.

    Returns:
        Findings in the order of `RULES`; a clean manifest gives none, or warnings alone.
    """
    audited = Audited(frame, measured)
    return [finding for name, rule in RULES.items() for finding in rule(audited, name)]
