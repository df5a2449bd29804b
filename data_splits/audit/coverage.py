"""Every class and every condition is found in train, dev and test often enough to count."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from data_splits.audit.finding import WARNING, Audited, Finding, label, recording, sort_ids

_SPLITS = ("train", "dev", "test")


def class_balance(audited: Audited, rule: str) -> Iterator[Finding]:
    """Positives and negatives of the claimed phrases stand in every split, in like shares."""
    limits = audited.limits.class_balance
    mirror = pl.col("domain") == "mirror"
    for task in audited.phrases:
        said = label(task)
        rows = audited.frame.filter(said.is_not_null())
        counts = {
            split: rows.filter(pl.col("split") == split)
            .select(
                recording().filter(said == 1).n_unique().alias("positives"),
                recording().filter(said == 0).n_unique().alias("negatives"),
                (said == 1).filter(mirror).mean().alias("share"),
            )
            .row(0, named=True)
            for split in _SPLITS
        }
        for split, found in counts.items():
            few = [
                f"{found[name]} {name}"
                for name in ("positives", "negatives")
                if found[name] < limits.min_recordings
            ]
            if few:
                here = rows.filter(pl.col("split") == split)
                yield Finding(
                    rule,
                    WARNING,
                    here.height,
                    sort_ids(here),
                    f"{split} has {' and '.join(few)} of {task!r} (distinct recordings); "
                    f"{limits.min_recordings} are the least",
                    "add recordings of the class, or move groups that hold it",
                )
        shares = {split: found["share"] for split, found in counts.items() if found["share"]}
        if len(shares) > 1 and max(shares.values()) > limits.max_ratio * min(shares.values()):
            told = ", ".join(f"{split} {share:.1%}" for split, share in shares.items())
            here = rows.filter(mirror & pl.col("split").is_in(list(shares)))
            yield Finding(
                rule,
                WARNING,
                here.height,
                sort_ids(here),
                f"the share of positives of {task!r} among mirror rows differs more than "
                f"{limits.max_ratio:g} times: {told}",
                "stratify by the label: data-splits plan with it in stratify",
            )


def slice_coverage(audited: Audited, rule: str) -> Iterator[Finding]:
    """A condition that is common in one split's mirror rows is in the others too."""
    limits = audited.limits.slice_coverage
    mirror = audited.frame.filter((pl.col("domain") == "mirror") & pl.col("split").is_in(_SPLITS))
    present = mirror["split"].unique().to_list()
    for column in limits.columns:
        if column not in mirror.columns:
            continue
        rows = mirror.drop_nulls(column).with_columns(pl.col(column).cast(pl.String).alias("value"))
        # A split that names no condition at all is unknown, not without it.
        named = [split for split in _SPLITS if split in present and split in set(rows["split"])]
        table = rows.group_by("value").agg(
            *((pl.col("split") == split).sum().alias(split) for split in named), pl.len().alias("n")
        )
        for split in named:
            common = pl.any_horizontal(pl.col(other) >= limits.min_rows for other in named)
            missing = table.filter((pl.col(split) == 0) & common).sort("n", "value", descending=[True, False])
            if missing.height:
                found = rows.join(missing, on="value", how="semi")
                yield Finding(
                    rule,
                    WARNING,
                    found.height,
                    sort_ids(found),
                    f"{split} has no mirror row of {column} {_listed(missing['value'].to_list())}, "
                    f"which other splits have {missing['n'].sum()} rows of",
                    f"record it, or stratify by it: data-splits plan with {column} in stratify",
                )


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - 3} more" if len(values) > 3 else ""
    return ", ".join(map(repr, values[:3])) + more
