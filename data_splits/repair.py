"""What can be repaired in a manifest without asking anybody: whole groups move, and copies leave train.

A recording that was trained on may never judge, and one that was tuned on may never test. So a group that
lies on several sides goes to the one that has seen most: train before dev before test. Rendered drives hang
together by their cabins and noises, so that a group may be all of dev: where fewer rows of train than of the
group reach over, those leave train instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from data_splits.audit.finding import Audited
from data_splits.audit.identity import identities
from data_splits.errors import PlanError
from data_splits.groups import components, links
from data_splits.plan import with_units
from data_splits.recipe import PlanRecipe
from data_splits.train_dev import cut_train_dev, speaker_groups

_LEAST_KEPT: Final = 0.5
"""Share of the mirror rows of dev and test that must stay there: beyond it, a plan is better than repair."""
_TRAIN_SIDE: Final = pl.col("split").is_in(["train", "train_dev"])
_JUDGES: Final = pl.col("split").is_in(["dev", "test"])


@dataclass(frozen=True)
class Repaired:
    """A repaired manifest."""

    frame: pl.DataFrame
    """Its rows, in their order."""
    done: tuple[str, ...]
    """What was done, one sentence each; empty where nothing was."""


def repair(frame: pl.DataFrame, recipe: PlanRecipe) -> Repaired:
    """Repair what is safe; labels, transcripts and audio are never touched.

    Args:
        frame: rows as `read_manifest` gives them.
        recipe: the groups never cut, and what train_dev is to be.

    Raises:
        PlanError: where too much of dev or test would have to move, or no train_dev can be cut.
    """
    done: list[str] = []
    judged = dict(_mirror_rows(frame))
    frame = _drop(
        frame, ~_JUDGES | (pl.col("domain") == "mirror"), "general rows of dev and test left out", done
    )
    frame = _without_copies(frame, done)
    frame = _apart_from_train(frame, recipe, done)
    frame = _apart_from_dev(frame, done)
    frame = _clean_train_dev(frame, done)
    if frame.filter(pl.col("split") == "train_dev").is_empty():
        frame = _cut(frame, recipe, done)
    for split, count in sorted(judged.items()):
        kept = dict(_mirror_rows(frame)).get(split, 0)
        if kept < _LEAST_KEPT * count:
            raise PlanError(
                f"{split} would keep {kept} of its {count} mirror rows, because its groups reach into train; "
                "plan again from the sources: data-splits plan"
            )
    return Repaired(frame, tuple(done))


def _mirror_rows(frame: pl.DataFrame) -> list[tuple[str, int]]:
    rows = frame.filter(_JUDGES & (pl.col("domain") == "mirror"))
    return list(rows.group_by("split").len().iter_rows())


def _drop(frame: pl.DataFrame, kept: pl.Expr, what: str, done: list[str]) -> pl.DataFrame:
    rest = frame.filter(kept)
    if rest.height < frame.height:
        done.append(f"{frame.height - rest.height} {what}")
    return rest


def _without_copies(frame: pl.DataFrame, done: list[str]) -> pl.DataFrame:
    """Less the train rows whose very audio is in train_dev, dev or test, and the train_dev rows whose is in
    dev or test."""
    copies: list[str] = []
    for rows, _ in identities(Audited(frame)):
        for split, others in (("train", ["train_dev", "dev", "test"]), ("train_dev", ["dev", "test"])):
            theirs = rows.filter(pl.col("split").is_in(others)).select("value")
            mine = rows.filter(pl.col("split") == split)
            copies += mine.join(theirs.unique(), on="value", how="semi")["id"].to_list()
    kept = ~pl.col("id").is_in(copies)
    return _drop(
        frame, kept, "rows of train and train_dev dropped: the same audio is held out elsewhere", done
    )


def _apart_from_train(frame: pl.DataFrame, recipe: PlanRecipe, done: list[str]) -> pl.DataFrame:
    """No group is both on the train side and in dev or test."""
    groups = [*recipe.groups, *([] if "day" in recipe.groups else ["day"])]
    joined = links(with_units(frame, groups), groups)
    frame = frame.with_row_index("row").with_columns(pl.Series("_group", components(frame.height, joined)))
    keys = joined.select("row", "key").join(frame.select("row", _TRAIN_SIDE.alias("_train")), on="row")
    sides = pl.col("_train").n_unique().over("key")
    reaching = keys.filter((sides > 1) & pl.col("_train"))["row"].unique()
    frame = frame.with_columns(pl.col("row").is_in(reaching.to_list()).alias("_reaches"))
    judging = _JUDGES.sum().over("_group")
    spans = pl.col("_reaches").any().over("_group")
    leaves = spans & (pl.col("_reaches").sum().over("_group") < judging)
    frame = frame.with_columns(
        (leaves & pl.col("_reaches")).alias("_leaves"), (spans & ~leaves).alias("_moves")
    )
    frame = _drop(
        frame, ~pl.col("_leaves"), "rows left out of train: they share something with dev or test", done
    )
    frame = _move(frame, pl.col("_moves") & _JUDGES, "train", done)
    return frame.drop("row", "_group", "_reaches", "_leaves", "_moves")


def _apart_from_dev(frame: pl.DataFrame, done: list[str]) -> pl.DataFrame:
    """No clean recording is heard in both dev and test."""
    group = pl.Series("_group", components(frame.height, links(frame, ["clean_parent"])))
    in_dev = (pl.col("split") == "dev").any().over("_group")
    frame = frame.with_columns(group).with_columns((in_dev & (pl.col("split") == "test")).alias("_moves"))
    return _move(frame, pl.col("_moves"), "dev", done).drop("_group", "_moves")


def _move(frame: pl.DataFrame, moves: pl.Expr, to: str, done: list[str]) -> pl.DataFrame:
    moved = frame.filter(moves)
    if moved.height:
        done.append(f"{moved.height} rows of {moved['_group'].n_unique()} groups moved to {to}")
    return frame.with_columns(pl.when(moves).then(pl.lit(to)).otherwise("split").alias("split"))


def _clean_train_dev(frame: pl.DataFrame, done: list[str]) -> pl.DataFrame:
    """Speakers and recordings that are in train as well leave train_dev."""
    train = frame.filter(_TRAIN_SIDE)
    shared = train.with_columns(speaker_groups(train)).filter(
        (pl.col("split") == "train").any().over("td") & (pl.col("split") == "train_dev")
    )
    if shared.is_empty():
        return frame
    done.append(f"{shared.height} rows moved from train_dev to train, where their speakers or recordings are")
    moves = pl.col("id").is_in(shared["id"].to_list())
    return frame.with_columns(pl.when(moves).then(pl.lit("train")).otherwise("split").alias("split"))


def _cut(frame: pl.DataFrame, recipe: PlanRecipe, done: list[str]) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.String).alias("part")
    side = pl.col("split").replace({"train_dev": "train"}).alias("_side")
    cut, _ = cut_train_dev(frame.with_columns(nothing, side), recipe)
    frame = frame.with_columns(cut["_split"].alias("split"))
    count = frame.filter(pl.col("split") == "train_dev").height
    done.append(f"{count} rows cut from train into train_dev, whole speakers")
    return frame
