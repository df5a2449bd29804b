"""Decoding a manifest's audio, for the rules that want to know what is really in it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from data_splits.audio import SAMPLE_RATE_HZ, AudioError, pcm_sha256, read_audio

# A day: whatever a manifest may hold is measured, a damaged header is not believed.
_MAX_S = 86_400.0


def measure_audio(
    frame: pl.DataFrame, root: Path, *, n_threads: int = 1, advance: Callable[[], object] = lambda: None
) -> pl.DataFrame:
    """Decode every row.

    Args:
        frame: manifest rows.
        root: the manifest's folder.
        n_threads: decoders at work; libsndfile does not hold the interpreter.
        advance: called once a row, for a progress bar.

    Returns:
        Columns `id`, `decoded_sha256`, `decoded_s` (seconds at 16 kHz) `problem` (null where none).
    """

    def measure(reference: str) -> tuple[str | None, float | None, str | None]:
        try:
            samples = read_audio(reference, root, max_s=_MAX_S)
        except AudioError as error:
            return None, None, str(error)
        finally:
            advance()
        return pcm_sha256(samples), len(samples) / SAMPLE_RATE_HZ, None

    with ThreadPoolExecutor(n_threads) as pool:
        found = list(pool.map(measure, frame["audio"]))
    columns = {"decoded_sha256": pl.String, "decoded_s": pl.Float64, "problem": pl.String}
    return pl.DataFrame(found, schema=columns, orient="row").insert_column(0, frame["id"])
