"""Placing the groups that come without a part: general ones in train, mirror ones by shares."""

from __future__ import annotations

import polars as pl

from data_splits.errors import PlanError
from data_splits.groups import shuffled
from data_splits.recipe import PlanRecipe

SIDES = ("train", "dev", "test")


def place_mirror(frame: pl.DataFrame, recipe: PlanRecipe) -> pl.DataFrame:
    """Fill `_side` where it is null.

    A group with a general row goes to train, where every general row belongs. The other groups, mirror rows
    alone, go one by one, large before small, to the side that lacks most of its share.

    Raises:
        PlanError: when dev or test would be empty, or a share further from its wish than the tolerance.
    """
    is_mirror = pl.col("domain") == "mirror"
    free = (
        frame.filter(pl.col("_side").is_null())
        .group_by("_group")
        .agg(
            is_mirror.sum().alias("size"),
            (~is_mirror).any().alias("has_general"),
            pl.col("id").min().alias("first_id"),
        )
    )
    groups = shuffled(free.filter(~pl.col("has_general")), recipe.seed)
    # Sizes in octaves: large groups first so that the shares come out, the seed's order among alike.
    groups = groups.sort(pl.col("size").log(2).floor(), descending=True, maintain_order=True)
    wishes = recipe.shares.model_dump()
    n_mirror = frame.filter(is_mirror).height
    placed = dict.fromkeys(SIDES, 0)
    placed.update(frame.filter(is_mirror & pl.col("_side").is_not_null()).group_by("_side").len().iter_rows())
    n_given = sum(placed.values())
    sides = []
    for size in groups["size"].to_list():
        side = max(SIDES, key=lambda name: wishes[name] - placed[name] / n_mirror)
        placed[side] += size
        sides.append(side)
    chosen = pl.concat(
        [
            groups.select("_group", pl.Series("_placed", sides, dtype=pl.String)),
            free.filter("has_general").select("_group", pl.lit("train").alias("_placed")),
        ]
    )
    frame = frame.join(chosen, on="_group", how="left", maintain_order="left")
    frame = frame.with_columns(pl.coalesce("_side", "_placed").alias("_side")).drop("_placed")
    _check(frame.filter(is_mirror), recipe, shares_bind=n_given == 0)
    return frame


def _check(mirror: pl.DataFrame, recipe: PlanRecipe, *, shares_bind: bool) -> None:
    wishes = recipe.shares.model_dump()
    achieved = dict.fromkeys(SIDES, 0) | dict(mirror.group_by("_side").len().iter_rows())
    empty = [side for side in ("dev", "test") if wishes[side] > 0 and achieved[side] == 0]
    if mirror.height == 0 and not empty:
        return
    if mirror.height == 0:
        raise PlanError(
            f"no source has a mirror row, and {' and '.join(empty)} hold mirror audio only; add recorded "
            "or rendered drives to sources"
        )
    largest = (
        mirror.group_by("_group").agg(pl.len(), pl.col("id").min()).sort("len", "id").row(-1, named=True)
    )
    n_groups = mirror["_group"].n_unique()
    why = (
        f"{mirror.height} mirror rows form {n_groups} groups that may not be cut, the largest of "
        f"{largest['len']} rows with id {largest['id']!r}"
    )
    if empty:
        raise PlanError(
            f"{' and '.join(empty)} would get no mirror row: {why}; add drives of other speakers, noise and "
            f"cabins, give rows a part, or take a column out of groups ({', '.join(recipe.groups)})"
        )
    if not shares_bind:
        return
    for side in SIDES:
        share = achieved[side] / mirror.height
        if abs(share - wishes[side]) > recipe.tolerance:
            raise PlanError(
                f"{side} would get {share:.0%} of the mirror rows instead of {wishes[side]:.0%}: {why}; add "
                "drives, change shares, raise tolerance, or take a column out of groups "
                f"({', '.join(recipe.groups)})"
            )
