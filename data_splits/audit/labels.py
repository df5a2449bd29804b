"""Labels and transcripts agree with each other, and unknown labels are not taken for negative ones."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from data_splits.audit.finding import (
    ERROR,
    INFO,
    WARNING,
    Audited,
    Finding,
    label,
    plain_words,
    recording,
    report,
    sort_ids,
)
from data_splits.audit.identity import identities


def label_conflict(audited: Audited, rule: str) -> Iterator[Finding]:
    """One recording has one label: the same audio, or renderings of one clean recording that say the same."""
    labels = audited.frame.select("id", "labels")
    twins = [(rows.filter(pl.col("value").is_duplicated()), what) for rows, what in identities(audited)]
    sources = [(rows.join(labels, on="id"), f"the same {what}") for rows, what in twins]
    sources.append((_renderings(audited), "renderings of one recording"))
    for rows, what in sources:
        for task in audited.tasks:
            known = rows.drop_nulls("value").with_columns(label(task).alias("label")).drop_nulls("label")
            conflicting = known.filter(
                pl.col("label").min().over("value") != pl.col("label").max().over("value")
            )
            yield from report(
                conflicting.with_columns(pl.len().over("value").alias("shared")),
                rule,
                ERROR,
                f"{what} labelled both 1 and 0 for {task!r}",
                "listen, and give every copy the same label",
                count_eval_only=False,
            )


def _renderings(audited: Audited) -> pl.DataFrame:
    """Columns `id, split, value, labels`: what each row renders, parted where transcripts differ (a part of a
    recording may be a negative of its own)."""
    rows = audited.frame.select("id", "split", "labels", recording().alias("recording"))
    shared = rows.filter(pl.col("recording").is_duplicated())
    said = audited.spoken.select("id", "spoken")
    shared = shared.join(said, on="id", how="left", maintain_order="left")
    first = pl.col("spoken").drop_nulls().first().over("recording")
    text = pl.coalesce("spoken", first, pl.lit(""))
    value = (
        pl.when(text == first.fill_null("")).then("recording").otherwise(pl.col("recording") + " | " + text)
    )
    return shared.with_columns(value.alias("value"))


def keyword_in_negative(audited: Audited, rule: str) -> Iterator[Finding]:
    """No transcript of a row labelled 0 holds the phrase."""
    for task, rows in _transcribed(audited, 0):
        found = rows.filter("says")
        if found.height:
            yield Finding(
                rule,
                ERROR,
                found.height,
                sort_ids(found),
                f"{found.height} rows labelled 0 for {task!r} have it in their transcript, such as "
                f"{found['spoken'][0]!r}",
                "listen, then correct the label or the transcript",
            )


def keyword_missing(audited: Audited, rule: str) -> Iterator[Finding]:
    """Every transcript of a row labelled 1 holds the phrase."""
    for task, rows in _transcribed(audited, 1):
        found = rows.filter(~pl.col("says"))
        if found.height:
            yield Finding(
                rule,
                WARNING,
                found.height,
                sort_ids(found),
                f"{found.height} rows labelled 1 for {task!r} lack it in their transcript, such as "
                f"{found['spoken'][0]!r}",
                "listen, then correct the label or the transcript",
            )


def _transcribed(audited: Audited, value: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """For each task the transcribed rows of a label, with `spoken` and whether it `says` the phrase."""
    for task in audited.tasks:
        labelled = audited.frame.filter(label(task) == value).select("id")
        if labelled.is_empty():
            continue
        phrase = pl.Series([task]).to_frame("text").select(plain_words(pl.col("text"))).item()
        padded = pl.concat_str(pl.lit(" "), "spoken", pl.lit(" "))
        # Written as one word, it is still said.
        forms = {f" {phrase} ", f" {phrase.replace(' ', '')} "}
        says = pl.any_horizontal(padded.str.contains(form, literal=True) for form in sorted(forms))
        rows = audited.spoken.join(labelled, on="id", how="semi").with_columns(says.alias("says"))
        yield task, rows


def missing_labels(audited: Audited, rule: str) -> Iterator[Finding]:
    """Mirror rows whose label is unknown: they are neither positives nor negatives."""
    mirror = audited.frame.filter(pl.col("domain") == "mirror")
    for task in audited.tasks:
        unknown = mirror.filter(label(task).is_null())
        if unknown.height:
            counts = unknown.group_by("split").len().sort("split").iter_rows()
            by_split = ", ".join(f"{count} of {split}" for split, count in counts)
            yield Finding(
                rule,
                INFO,
                unknown.height,
                sort_ids(unknown),
                f"the label of {task!r} is unknown in {unknown.height} of {mirror.height} mirror rows "
                f"({by_split})",
                "label them where they shall count; until then they are left out, not taken for negatives",
            )
