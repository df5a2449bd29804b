"""Labels that a classifier of the sound would not believe."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from data_splits.audit.finding import WARNING, Audited, Finding, label, sort_ids
from data_splits.audit.sound.suspect import cross_validated, suspects, word_shape


def suspicious_labels(audited: Audited, rule: str) -> Iterator[Finding]:
    """No label is one that recordings of other speakers speak against, among takes of a few seconds."""
    if audited.measured is None:
        return
    limits = audited.limits.suspicious_labels
    takes = audited.heard.filter(pl.col("sketch").is_not_null() & (pl.col("decoded_s") <= limits.max_s))
    # Renderings of a take that is not a row are of nobody; they stay together all the same.
    group = pl.coalesce("speaker", "session", "clean_parent", "id").rank("dense").alias("_group")
    for task in audited.phrases:
        rows = takes.with_columns(label(task).alias("_label")).drop_nulls("_label")
        if rows.is_empty():
            continue
        rows = rows.with_columns(group)
        shapes = np.stack([word_shape(sketch) for sketch in rows["sketch"]])
        positive = rows["_label"].to_numpy().astype(np.float64)
        probability, area = cross_validated(shapes, positive, rows["_group"].to_numpy())
        if area < limits.min_auc:
            continue
        own = np.where(positive == 1, probability, 1 - probability)
        doubted = rows.with_columns(pl.Series("_doubt", 1 - own))
        doubted = doubted.filter(pl.Series(suspects(probability, positive, limits.max_probability)))
        if doubted.height:
            top = doubted.sort("_doubt", "id", descending=[True, False]).row(0, named=True)
            yield Finding(
                rule,
                WARNING,
                doubted.height,
                sort_ids(doubted, "_doubt"),
                f"{doubted.height} of {rows.height} labels for {task!r} are doubted by what other speakers "
                f"sound like (AUC {area:.2f}), most of all {top['id']}, labelled {top['_label']}",
                "listen to each; correct the label, or drop a take that is cut, silent or unintelligible",
            )
