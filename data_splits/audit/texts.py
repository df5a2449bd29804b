"""What is said in train and again in dev or test, and recordings that are public test sets of others."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from data_splits.audit.finding import WARNING, Audited, Finding, crossing, plain_words, sort_ids, worst
from data_splits.audit.identity import identities


def transcript_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """Sentences of dev and test are not said in train, word for word.

    Wake phrases are said in both by design, and so are texts shorter than `min_words`.
    """
    limits = audited.limits.transcript_overlap
    phrases = pl.Series(audited.tasks, dtype=pl.String).to_frame("text").select(plain_words(pl.col("text")))
    long_enough = pl.col("spoken").str.count_matches(" ", literal=True) >= limits.min_words - 1
    rows = audited.named(audited.spoken.filter(long_enough).rename({"spoken": "value"}))
    rows = rows.join(phrases.rename({"text": "value"}), on="value", how="anti")
    for split in ("dev", "test"):
        here = pl.col("split") == split
        found = crossing(rows, here, pl.col("side") == "train")
        n_said, n_here = found.filter(here).height, rows.filter(here).height
        if n_said > limits.max_share * n_here:
            yield Finding(
                rule,
                WARNING,
                n_said,
                sort_ids(found, "shared"),
                f"{n_said} of {n_here} rows of {split} ({n_said / n_here:.1%}) say a sentence of train: "
                f"{worst(found)}",
                "give dev and test sentences of their own, or plan again with text in groups",
            )


def contamination(audited: Audited, rule: str) -> Iterator[Finding]:
    """No row is a recording of the public sets that the user named by their hashes.

    Trained on, it makes a score on that set worthless; in dev or test, others may have trained on it.
    """
    if audited.known is None:
        return
    hashes = pl.concat([rows.select("id", "split", "side", "value") for rows, _ in identities(audited)])
    found = hashes.join(audited.known, on="value").unique("id", keep="first", maintain_order=True)
    for is_train, place, remedy in (
        (True, "the train side", "leave them out of train, or claim no score on that set"),
        (False, "dev or test", "replace them by recordings that nobody else has"),
    ):
        rows = found.filter((pl.col("side") == "train") == is_train)
        if rows.height:
            names = rows["name"].drop_nulls().value_counts(sort=True, name="n")
            such = f", such as {names['name'][0]!r}" if names.height else ""
            yield Finding(
                rule,
                WARNING,
                rows.height,
                sort_ids(rows),
                f"{rows.height} rows of {place} are known public recordings{such}",
                remedy,
            )
