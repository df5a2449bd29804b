"""What a rule sees and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

import polars as pl

from data_splits.audit.limits import Limits

MAX_IDS: Final = 100
ERROR, WARNING, INFO = "error", "warning", "info"
# A regular expression that no text matches.
_NOTHING: Final = r"[^\s\S]"
# Roles in which a recording can take part in a row: as the row itself, or as something heard in it.
ROLES: Final = ("id", "clean_parent", "noise_parent", "interferer_parent")


@dataclass(frozen=True)
class Finding:
    """One violation of one rule."""

    rule: str
    """Kebab-case id of the rule."""
    severity: str
    """`error` fails the audit; `warning` weakens what a result says; `info` is worth knowing."""
    count: int
    """Rows concerned: those of dev and test where the rule is about them, else all."""
    ids: tuple[str, ...]
    """Up to 100 of them, dev and test first."""
    message: str
    """What is wrong, with the value that most rows share."""
    remedy: str
    """What to do about it."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"ids": list(self.ids)}


class Audited:
    """A manifest under audit, with the tables that several rules share.

    Args:
        frame: rows as `read_manifest` gives them.
        measured: what was found in the audio itself, where it was decoded.
        limits: what each rule allows.
        known: columns `value, name`: lower-case SHA-256 of public recordings, and what they are.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        measured: pl.DataFrame | None = None,
        limits: Limits | None = None,
        known: pl.DataFrame | None = None,
    ) -> None:
        side = pl.col("split").replace({"train_dev": "train"}).alias("side")
        self.frame = frame.with_columns(side)
        self.measured = measured
        self.limits = limits or Limits()
        self.known = known
        self._hidden_values = _NOTHING

    def without(self, ids: Sequence[str], values: Sequence[str]) -> Audited:
        """The manifest less the rows and the values that match one of the patterns (`*`, `?`)."""
        shown = self.frame.filter(~pl.col("id").str.contains(_any_of(ids))).drop("side")
        less = Audited(shown, self.measured, self.limits, self.known)
        less._hidden_values = _any_of(values)
        return less

    def named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with a `value`, less the null and the hidden ones."""
        rows = rows.drop_nulls("value")
        if self._hidden_values == _NOTHING:
            return rows
        return rows.filter(~pl.col("value").str.contains(self._hidden_values))

    def values(self, column: str, *further: str) -> pl.DataFrame:
        """Columns `id, split, side, value, *further` for every value of a column, lists exploded, nulls left
        out."""
        rows = self.frame.select("id", "split", "side", pl.col(column).alias("value"), *further)
        if isinstance(self.frame.schema[column], pl.List):
            rows = rows.explode("value")
        return self.named(rows.with_columns(pl.col("value").cast(pl.String)))

    @cached_property
    def heard(self) -> pl.DataFrame:
        """The rows with what was measured in their audio, where it was decoded; else the rows alone."""
        if self.measured is None:
            return self.frame
        return self.frame.join(self.measured, on="id", how="left", maintain_order="left")

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """The wake phrases that `labels` has a field for."""
        labels = self.frame.schema["labels"]
        return tuple(field.name for field in labels.fields) if isinstance(labels, pl.Struct) else ()

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """The tasks that a score is claimed for: those of the limits, else the one most mirror rows say."""
        if self.limits.phrases:
            return tuple(task for task in self.tasks if task in self.limits.phrases)
        mirror = self.frame.filter(pl.col("domain") == "mirror")
        counts = {task: mirror.filter(label(task) == 1).height for task in self.tasks}
        most = max(counts.values(), default=0)
        return tuple(task for task, count in counts.items() if count == most > 0)

    @cached_property
    def spoken(self) -> pl.DataFrame:
        """Columns `id, split, side, spoken`: transcripts in plain words, rows without one left out."""
        rows = self.frame.select("id", "split", "side", plain_words(pl.col("text")).alias("spoken"))
        return rows.filter(pl.col("spoken") != "")

    @cached_property
    def uses(self) -> pl.DataFrame:
        """Every use of a recording: `id, split, side, value, role`, where value names the recording."""
        return pl.concat(
            [self.values(role).with_columns(pl.lit(role).alias("role")) for role in ROLES],
        )


Rule = Callable[[Audited, str], Iterator[Finding]]


def _any_of(patterns: Sequence[str]) -> str:
    """A regular expression that matches a whole text which one of the patterns fits."""
    if not patterns:
        return _NOTHING
    escaped = (pl.escape_regex(pattern) for pattern in patterns)
    forms = (text.replace(r"\*", ".*").replace(r"\?", ".") for text in escaped)
    return f"(?s)^(?:{'|'.join(forms)})$"


def label(task: str) -> pl.Expr:
    """The label of a task: 1, 0, or null where unknown."""
    return pl.col("labels").struct.field(task)


def recording() -> pl.Expr:
    """What a row is a rendering of: its clean parent, or itself."""
    return pl.coalesce("clean_parent", "id")


def plain_words(text: pl.Expr) -> pl.Expr:
    """Lower-case words parted by single spaces, whatever the case, punctuation and Unicode form were."""
    folded = text.str.normalize("NFKC").str.to_lowercase()
    return folded.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars()


def sort_ids(rows: pl.DataFrame, weight: str | None = None) -> tuple[str, ...]:
    """Up to 100 distinct ids of rows with `id` and `split`: dev and test first, then the heaviest."""
    order = rows.with_columns(
        (~pl.col("split").is_in(["dev", "test"])).alias("_late"),
        (pl.col(weight) if weight else pl.lit(0)).alias("_weight"),
    ).sort("_late", "_weight", "id", descending=[False, True, False])
    return tuple(order.unique("id", keep="first", maintain_order=True)["id"].head(MAX_IDS))


def crossing(rows: pl.DataFrame, one: pl.Expr, other: pl.Expr) -> pl.DataFrame:
    """Rows whose `value` is found both where `one` and where `other` holds.

    Args:
        rows: columns `id, split, value` and what the two conditions need.
        one: condition of the first side.
        other: condition of the second side.

    Returns:
        The rows of both sides that share a value, with `shared`, how many rows share it.
    """
    first, second = rows.filter(one), rows.filter(other)
    found = pl.concat(
        [
            first.join(second.select("value").unique(), on="value", how="semi"),
            second.join(first.select("value").unique(), on="value", how="semi"),
        ]
    ).unique(["id", "value"])
    return found.with_columns(pl.len().over("value").alias("shared"))


def worst(found: pl.DataFrame) -> str:
    """The number of values and the one that most rows share, for a message."""
    n_values = found["value"].n_unique()
    top = found.sort("shared", "value", descending=[True, False]).row(0, named=True)
    return f"{n_values} value{'s' if n_values > 1 else ''}, worst {top['value']!r} in {top['shared']} rows"


def report(
    found: pl.DataFrame, rule: str, severity: str, message: str, remedy: str, *, count_eval_only: bool = True
) -> Iterator[Finding]:
    """One finding over the rows that `crossing` gave, or none when there are none."""
    if found.is_empty():
        return
    counted = found.filter(pl.col("split").is_in(["dev", "test"])) if count_eval_only else found
    yield Finding(
        rule,
        severity,
        counted["id"].n_unique(),
        sort_ids(found, "shared"),
        f"{message}: {worst(found)}",
        remedy,
    )
