"""The manifest's columns, their types and their closed vocabularies. No heavy imports here."""

from __future__ import annotations

from typing import Final

REQUIRED: Final = ("id", "audio", "duration_s", "domain", "split")
DOMAINS: Final = ("general", "mirror")
SPLITS: Final = ("train", "train_dev", "dev", "test")

COLUMNS: Final = (
    "id",
    "audio",
    "duration_s",
    "sample_rate_hz",
    "text",
    "domain",
    "source",
    "speaker",
    "session",
    "vehicle",
    "device",
    "microphone",
    "recorded_at",
    "labels",
    "word_start_s",
    "word_end_s",
    "clean_parent",
    "noise_parent",
    "interferer_parent",
    "noise_kind",
    "noise_offset_s",
    "rir_parent",
    "snr_db",
    "split",
    "pcm_sha256",
)

NUMBERS: Final = ("duration_s", "word_start_s", "word_end_s", "noise_offset_s", "snr_db")
INTEGERS: Final = ("sample_rate_hz",)
LISTS: Final = ("noise_parent", "interferer_parent")
STRINGS: Final = tuple(
    name for name in COLUMNS if name not in (*NUMBERS, *INTEGERS, *LISTS, "recorded_at", "labels")
)


class ManifestError(ValueError):
    """A manifest that cannot be used; the message names the file, the value and the remedy."""
