"""What is measured in one recording, in one decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import polars as pl

from data_splits.audio import SAMPLE_RATE_HZ, AudioError, pcm_sha256, read_recording
from data_splits.audit.sound.exact import make_marks
from data_splits.audit.sound.fingerprint import make_sketch
from data_splits.audit.sound.levels import measure_levels
from data_splits.audit.sound.spectrum import spectra

VERSION: Final = 2
"""Raised whenever a measure changes, so that older measurements are made again."""
SCHEMA: Final[dict[str, pl.DataType]] = {
    "decoded_sha256": pl.String(),
    "decoded_s": pl.Float64(),
    "problem": pl.String(),
    "file_rate_hz": pl.Int64(),
    "file_channels": pl.Int64(),
    "level_dbfs": pl.Float32(),
    "peak_dbfs": pl.Float32(),
    "noise_floor_dbfs": pl.Float32(),
    "measured_snr_db": pl.Float32(),
    "clipped_share": pl.Float32(),
    "dc_offset": pl.Float32(),
    "silence_share": pl.Float32(),
    "bandwidth_hz": pl.Float32(),
    "sketch": pl.Binary(),
    "marks": pl.Binary(),
}
"""`problem` is null where the audio could be read, and everything else null where it could not."""
# A day: whatever a manifest may hold is measured, a damaged header is not believed.
_MAX_S: Final = 86_400.0


def hear(reference: str, root: Path) -> dict[str, Any]:
    """Decode one recording and measure it.

    Args:
        reference: as a manifest's `audio`.
        root: the manifest's folder.

    Returns:
        A row of `SCHEMA`.
    """
    try:
        samples, rate_hz, channels = read_recording(reference, root, max_s=_MAX_S)
    except AudioError as error:
        return dict.fromkeys(SCHEMA) | {"problem": str(error)}
    bands, spectrum = spectra(samples)
    return {
        "decoded_sha256": pcm_sha256(samples),
        "decoded_s": len(samples) / SAMPLE_RATE_HZ,
        "problem": None,
        "file_rate_hz": rate_hz,
        "file_channels": channels,
        **measure_levels(samples, spectrum),
        "sketch": make_sketch(bands),
        "marks": make_marks(samples),
    }
