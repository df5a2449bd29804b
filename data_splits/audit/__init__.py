"""The proof that the splits are honest: hard rules over a whole manifest, every one of them columnar.

A rule is a function from `Audited` to findings. To add one, write it in a module here and name it in `RULES`.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from data_splits.audit.coverage import class_balance, slice_coverage
from data_splits.audit.cues import spurious_cue
from data_splits.audit.drift import drift
from data_splits.audit.finding import Audited, Finding, Rule
from data_splits.audit.identity import exact_duplicate, integrity
from data_splits.audit.labels import keyword_in_negative, keyword_missing, label_conflict, missing_labels
from data_splits.audit.limits import Limits
from data_splits.audit.noise import noise_budget
from data_splits.audit.overlap import (
    day_overlap,
    device_overlap,
    microphone_overlap,
    rir_parent_leak,
    session_overlap,
    speaker_overlap,
    vehicle_overlap,
)
from data_splits.audit.parents import clean_parent_leak, interferer_parent_leak, noise_parent_leak
from data_splits.audit.power import power
from data_splits.audit.sound.rules import near_duplicate, sound_quality
from data_splits.audit.splits import (
    non_mirror_eval,
    split_missing,
    train_dev_leak,
    train_dev_missing,
    train_dev_speaker,
    unproven_speaker,
)
from data_splits.audit.suspicious import suspicious_labels
from data_splits.audit.texts import contamination, transcript_overlap
from data_splits.audit.voices import probable_speaker_overlap

__all__ = ["BY_EAR", "HARD", "RULES", "Audited", "Finding", "Limits", "audit"]

RULES: Final[dict[str, Rule]] = {
    "integrity": integrity,
    "non-mirror-eval": non_mirror_eval,
    "speaker-overlap": speaker_overlap,
    "probable-speaker-overlap": probable_speaker_overlap,
    "session-overlap": session_overlap,
    "day-overlap": day_overlap,
    "vehicle-overlap": vehicle_overlap,
    "device-overlap": device_overlap,
    "microphone-overlap": microphone_overlap,
    "clean-parent-leak": clean_parent_leak,
    "noise-parent-leak": noise_parent_leak,
    "interferer-parent-leak": interferer_parent_leak,
    "rir-parent-leak": rir_parent_leak,
    "exact-duplicate": exact_duplicate,
    "near-duplicate": near_duplicate,
    "label-conflict": label_conflict,
    "keyword-in-negative": keyword_in_negative,
    "train-dev-missing": train_dev_missing,
    "train-dev-leak": train_dev_leak,
    "train-dev-speaker": train_dev_speaker,
    "split-missing": split_missing,
    "unproven-speaker": unproven_speaker,
    "keyword-missing": keyword_missing,
    "suspicious-labels": suspicious_labels,
    "transcript-overlap": transcript_overlap,
    "contamination": contamination,
    "noise-budget": noise_budget,
    "class-balance": class_balance,
    "slice-coverage": slice_coverage,
    "drift": drift,
    "spurious-cue": spurious_cue,
    "power": power,
    "sound-quality": sound_quality,
    "missing-labels": missing_labels,
}

# Rules that have nothing to say unless the audio was decoded.
BY_EAR: Final = ("probable-speaker-overlap", "near-duplicate", "suspicious-labels", "sound-quality")
# Rules whose errors are no matter of opinion: only a waiver, with a reason and an end, takes them away.
HARD: Final = (
    "integrity",
    "non-mirror-eval",
    "speaker-overlap",
    "session-overlap",
    "day-overlap",
    "vehicle-overlap",
    "device-overlap",
    "microphone-overlap",
    "clean-parent-leak",
    "noise-parent-leak",
    "interferer-parent-leak",
    "rir-parent-leak",
    "exact-duplicate",
    "near-duplicate",
    "label-conflict",
    "keyword-in-negative",
    "train-dev-missing",
    "train-dev-leak",
)


def audit(
    frame: pl.DataFrame,
    measured: pl.DataFrame | None = None,
    limits: Limits | None = None,
    known: pl.DataFrame | None = None,
) -> list[Finding]:
    """Judge a manifest by every rule.

    Args:
        frame: rows as `read_manifest` gives them.
        measured: what `measure_audio` found in the audio itself, where it was decoded.
        limits: what each rule allows, where it is not the default.
        known: public recordings: columns `value` (SHA-256) and `name`.

    Returns:
        Findings in the order of `RULES`; a clean manifest gives none, or warnings alone.
    """
    audited = Audited(frame, measured, limits, known)
    return [finding for name, rule in RULES.items() for finding in rule(audited, name)]
