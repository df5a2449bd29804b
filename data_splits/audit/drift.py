"""Dev and test are drawn alike, and train_dev is drawn like train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import polars as pl

from data_splits.audit.finding import WARNING, Audited, Finding, sort_ids
from data_splits.audit.limits import Drift
from data_splits.audit.two_sample import (
    chance,
    classifier_auc,
    cramers_v,
    deals,
    family_chance,
    ks_distance,
)
from data_splits.train_dev import is_noise_recording

_PAIRS: Final = (("dev", "test"), ("train", "train_dev"))
# Columns of conditions. Those that name a group (speaker, vehicle, session) differ by design.
_COLUMNS: Final = (
    "duration_s",
    "snr_db",
    "noise_kind",
    "source",
    "sample_rate_hz",
    "speed_band",
    "speed_kmh",
    "blower_level",
    "distance",
    "distance_m",
    "accent",
    "gender",
    "age",
    "level_dbfs",
    "noise_floor_dbfs",
    "measured_snr_db",
    "clipped_share",
    "dc_offset",
    "silence_share",
    "bandwidth_hz",
)
# Rows compared of each side: more would only find differences too small to matter.
_MAX_ROWS: Final = 5_000
_MIN_ROWS: Final = 20
_MAX_CATEGORIES: Final = 30
_SEED: Final = 1
_SHOWN: Final = 4


@dataclass(frozen=True)
class _Column:
    """One property of the compared rows."""

    name: str
    values: np.ndarray
    """(rows,) codes from 0 of a category, or numbers with NaN where unknown."""
    is_number: bool


def drift(audited: Audited, rule: str) -> Iterator[Finding]:
    """Dev against test and train against train_dev: each column's two-sample test, and a classifier's."""
    limits = audited.limits.drift
    for one, other in _PAIRS:
        rows = _compared(audited.heard, one, other)
        columns = _columns(rows, audited.tasks, limits)
        second = rows["split"].to_numpy() == other
        if min(second.sum(), (~second).sum()) < _MIN_ROWS or not columns:
            continue
        told, worst_rows = _shifts(columns, second, rows["_group"].to_physical().to_numpy(), limits)
        if worst_rows is not None:
            found = rows.filter(pl.Series(worst_rows))
            yield Finding(
                rule,
                WARNING,
                found.height,
                sort_ids(found),
                f"{one} and {other} are not drawn alike: {', '.join(told[:_SHOWN])}",
                "plan again with these columns in stratify, or record what one of the two lacks",
            )


def _compared(frame: pl.DataFrame, one: str, other: str) -> pl.DataFrame:
    """Up to 5,000 rows of each of two splits, noise recordings left out, with `_group`."""
    rows = frame.filter(pl.col("split").is_in([one, other]) & ~is_noise_recording())
    rows = rows.filter(pl.int_range(pl.len()).shuffle(_SEED).over("split") < _MAX_ROWS)
    speaker = pl.coalesce("speaker", "session", "clean_parent", "id") + "\n" + pl.col("split")
    return rows.with_columns(speaker.cast(pl.Categorical).alias("_group"))


def _columns(rows: pl.DataFrame, tasks: tuple[str, ...], limits: Drift) -> list[_Column]:
    found = []
    for task in tasks:
        found.append(_category(f"labels.{task}", rows["labels"].struct.field(task)))
    for name in (*_COLUMNS, *limits.columns):
        if name not in rows.columns:
            continue
        if rows.schema[name].is_numeric():
            found.append(_Column(name, rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy(), True))
        elif rows[name].n_unique() <= _MAX_CATEGORIES:
            found.append(_category(name, rows[name]))
    return [column for column in found if _varies(column)]


def _category(name: str, values: pl.Series) -> _Column:
    # Unknown is a category of its own: two splits alike are unknown alike.
    codes = values.cast(pl.String).fill_null("unknown").rank("dense").to_numpy().astype(np.int64) - 1
    return _Column(name, codes, False)


def _varies(column: _Column) -> bool:
    known = column.values[~np.isnan(column.values)] if column.is_number else column.values
    return len(known) > 0 and bool((known != known[0]).any())


def _shifts(
    columns: list[_Column], second: np.ndarray, groups: np.ndarray, limits: Drift
) -> tuple[list[str], np.ndarray | None]:
    """What differs, the largest first, and (rows,) bool of the rows that show it, null where nothing does.

    Chance is asked only for a difference that is large enough to matter.
    """
    rng = np.random.default_rng(_SEED)
    as_they_are = second.astype(np.float32)[:, None]
    dealt = cache(lambda: deals(second, groups, rng))
    large, by_chance = [], []
    for column in columns:
        known = ~np.isnan(column.values) if column.is_number else np.ones(len(second), dtype=bool)
        if min((second & known).sum(), (~second & known).sum()) < _MIN_ROWS:
            continue
        distance = ks_distance if column.is_number else cramers_v
        effect = float(distance(column.values[known], as_they_are[known])[0])
        by_chance.append((distance, column.values[known], known))
        if effect >= limits.min_effect:
            large.append((effect, column, len(by_chance) - 1))
    found = []
    if large:
        shares = family_chance(
            np.stack([distance(values, dealt()[known]) for distance, values, known in by_chance])
        )
        for effect, column, place in large:
            if shares[place] <= limits.alpha:
                measure = "distance" if column.is_number else "Cramér's V"
                line = f"{column.name} ({measure} {effect:.2f}, p {shares[place]:.3f})"
                found.append((effect, line, _excess(column, second)))
    found.sort(key=lambda item: -item[0])
    told = [item[1] for item in found]
    shown = found[0][2] if found else None
    features = _features(columns)
    areas, scores = classifier_auc(features, as_they_are, groups, np.random.default_rng(_SEED))
    if areas[0] >= limits.min_auc:
        areas, _ = classifier_auc(features, dealt(), groups, np.random.default_rng(_SEED))
        if chance(areas) <= limits.alpha:
            told.append(f"all columns together (classifier AUC {areas[0]:.2f}, p {chance(areas):.3f})")
            shown = second & (scores > np.median(scores[second])) if shown is None else shown
    return told, shown


def _excess(column: _Column, second: np.ndarray) -> np.ndarray:
    """(rows,) bool: the rows of the side and the range or category of which it has too many."""
    values = column.values
    if not column.is_number:
        share = np.bincount(values[second], minlength=values.max() + 1) / second.sum()
        share -= np.bincount(values[~second], minlength=values.max() + 1) / (~second).sum()
        top = int(np.abs(share).argmax())
        return np.asarray((values == top) & (second == (share[top] > 0)))
    known = np.sort(values[~np.isnan(values)])
    below = np.searchsorted(np.sort(values[second & ~np.isnan(values)]), known, side="right")
    above = np.searchsorted(np.sort(values[~second & ~np.isnan(values)]), known, side="right")
    gap = below / max(1, below[-1]) - above / max(1, above[-1])
    at = int(np.abs(gap).argmax())
    return np.asarray((values <= known[at]) & (second == (gap[at] > 0)))


def _features(columns: list[_Column]) -> np.ndarray:
    """(rows, features) standardised: ranks of numbers, their squares, indicators of categories and gaps."""
    parts = []
    for column in columns:
        if column.is_number:
            unknown = np.isnan(column.values)
            rank = pl.Series(column.values).fill_nan(None).rank().fill_null(strategy="mean").to_numpy()
            rank = rank / len(rank) - 0.5
            parts += [rank, rank**2, unknown.astype(float)]
        else:
            parts += [(column.values == code).astype(float) for code in range(int(column.values.max()) + 1)]
    table = np.stack(parts, axis=1)
    return np.asarray((table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-9))
