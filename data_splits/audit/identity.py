"""The rows themselves: the same audio twice, spans that cannot be, audio that is not what the row says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from data_splits.audit.finding import ERROR, WARNING, Audited, Finding, report, sort_ids

# A container may pad by a packet; beyond this, false accepts would be divided by hours that are not there.
DURATION_TOLERANCE_S: Final = 0.1
_SPAN_TOLERANCE_S: Final = 0.01


def exact_duplicate(audited: Audited, rule: str) -> Iterator[Finding]:
    """No identical audio in two splits: by file, by the manifest's hash, by the decoded samples."""
    for rows, what in identities(audited):
        twins = rows.filter(pl.col("value").is_duplicated())
        across = twins.filter(pl.col("split").n_unique().over("value") > 1)
        yield from report(
            across.with_columns(pl.len().over("value").alias("shared")),
            rule,
            ERROR,
            f"the same {what} in several splits",
            "keep each recording in one split only",
            count_eval_only=False,
        )


def identities(audited: Audited) -> Iterator[tuple[pl.DataFrame, str]]:
    """What makes two rows the same audio: columns `id, split, side, value`, and what the value is."""
    plain = pl.col("value").str.replace_all(r"(^|/)(\./)+", "${1}").str.replace_all(r"/{2,}", "/")
    files = audited.values("audio")
    path = pl.col("value").str
    if files.select((path.contains("./", literal=True) | path.contains("//", literal=True)).any()).item():
        files = files.with_columns(plain)
    yield files, "audio file"
    yield audited.values("pcm_sha256").with_columns(pl.col("value").str.to_lowercase()), "pcm_sha256"
    if audited.measured is not None:
        decoded = audited.measured.select("id", pl.col("decoded_sha256").alias("value")).drop_nulls("value")
        yield audited.frame.select("id", "split", "side").join(decoded, on="id"), "decoded audio"


def integrity(audited: Audited, rule: str) -> Iterator[Finding]:
    """Word spans lie inside their audio; decoded audio is readable and is what the row says."""
    start, end = pl.col("word_start_s"), pl.col("word_end_s")
    outside = (start < 0) | (end < start) | (end > pl.col("duration_s") + _SPAN_TOLERANCE_S)
    yield from _rows(
        audited.frame.filter(outside.fill_null(False)),
        rule,
        "word spans that leave their audio or end before they start",
        "measure word_start_s and word_end_s again",
    )
    if audited.measured is None:
        return
    rows = audited.frame.join(audited.measured, on="id")
    broken = rows.drop_nulls("problem")
    if broken.height:
        first = broken["problem"][0]
        yield from _rows(broken, rule, f"audio that cannot be read, such as {first}", "restore or drop it")
    off = (pl.col("decoded_s") - pl.col("duration_s")).abs() > DURATION_TOLERANCE_S
    yield from _rows(
        rows.filter(off.fill_null(False)),
        rule,
        f"audio whose length differs from duration_s by more than {DURATION_TOLERANCE_S} s",
        "write duration_s from the audio",
    )
    yield from _rows(
        rows.filter((pl.col("file_rate_hz") != pl.col("sample_rate_hz")).fill_null(False)),
        rule,
        "audio whose rate is not sample_rate_hz",
        "write sample_rate_hz from the audio, and find out whether it was resampled on the way",
    )
    other = pl.col("decoded_sha256") != pl.col("pcm_sha256").str.to_lowercase()
    yield from _rows(
        rows.filter(other.fill_null(False)),
        rule,
        "audio whose samples do not have the manifest's pcm_sha256",
        "find out which changed, the audio or the manifest, before trusting either",
    )

    yield from _rows(
        rows.filter((pl.col("file_channels") > 1).fill_null(False)),
        rule,
        "audio of several channels, which reading averages",
        "choose the channel of the microphone that the mirror has",
        WARNING,
    )


def _rows(
    rows: pl.DataFrame, rule: str, message: str, remedy: str, severity: str = ERROR
) -> Iterator[Finding]:
    if rows.height:
        yield Finding(rule, severity, rows.height, sort_ids(rows), message, remedy)
