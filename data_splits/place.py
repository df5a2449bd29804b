"""Placing the groups that come without a part: general ones in train, mirror ones by the sizes asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import polars as pl

from data_splits.errors import PlanError
from data_splits.groups import shuffled
from data_splits.recipe import PlanRecipe

SIDES = ("train", "dev", "test")
_BANDS = 4


def place_mirror(frame: pl.DataFrame, recipe: PlanRecipe) -> pl.DataFrame:
    """Fill `_side` where it is null.

    A group with a general row goes to train, where every general row belongs. The other groups, mirror rows
    alone, go one by one, large before small, to the side that lacks most of its share, of the whole and of
    each stratum that the group has rows in (Sechidis et al. 2011, ECML PKDD, for groups).

    Raises:
        PlanError: when dev or test would be empty, or a share further from its wish than the tolerance.
    """
    frame = frame.with_columns(_weight(recipe).alias("_weight"))
    is_mirror = pl.col("domain") == "mirror"
    wishes = wished_shares(frame.filter(is_mirror), recipe)
    free = (
        frame.filter(pl.col("_side").is_null())
        .group_by("_group")
        .agg(
            pl.col("_weight").filter(is_mirror).sum().alias("size"),
            (~is_mirror).any().alias("has_general"),
            pl.col("id").min().alias("first_id"),
        )
    )
    groups = shuffled(free.filter(~pl.col("has_general")), recipe.seed)
    # Sizes in octaves: large groups first so that the shares come out, the seed's order among alike.
    groups = groups.sort(pl.col("size").log(2).floor(), descending=True, maintain_order=True)
    strata = _strata(frame.filter(is_mirror), recipe.stratify)
    sides = _deal(groups, strata, frame.filter(is_mirror), wishes)
    chosen = pl.concat(
        [
            groups.select("_group", pl.Series("_placed", sides, dtype=pl.String)),
            free.filter("has_general").select("_group", pl.lit("train").alias("_placed")),
        ]
    )
    n_given = frame.filter(is_mirror & pl.col("_side").is_not_null()).height
    frame = frame.join(chosen, on="_group", how="left", maintain_order="left")
    frame = frame.with_columns(pl.coalesce("_side", "_placed").alias("_side")).drop("_placed")
    amounts_bind = recipe.rows is not None or recipe.hours is not None
    _check(frame.filter(is_mirror), recipe, wishes, bind=n_given == 0 or amounts_bind)
    return frame.drop("_weight")


def unit(recipe: PlanRecipe) -> str:
    """What the sizes of dev and test are counted in."""
    return "hours" if recipe.hours else "rows"


def _weight(recipe: PlanRecipe) -> pl.Expr:
    return pl.col("duration_s") / 3600 if recipe.hours else pl.lit(1.0)


def wished_shares(mirror: pl.DataFrame, recipe: PlanRecipe) -> dict[str, float]:
    """The share of each side in the mirror rows (or hours).

    Raises:
        PlanError: when more is asked for than there is.
    """
    amounts = recipe.hours or recipe.rows
    if amounts is None:
        return recipe.shares.model_dump()
    there = float(mirror["duration_s"].sum()) / 3600 if recipe.hours else mirror.height
    asked = amounts.dev + amounts.test
    if asked > there:
        raise PlanError(
            f"{unit(recipe)}: dev {amounts.dev:g} and test {amounts.test:g} ask for {asked:g} {unit(recipe)} "
            f"of mirror audio, but the sources have {there:g}; lower them or add {asked - there:g}"
        )
    dev, test = (amount / there if there else 0.0 for amount in (amounts.dev, amounts.test))
    return {"train": 1 - dev - test, "dev": dev, "test": test}


def stratum_columns(frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Expr]:
    """One text column a stratifier: `labels.x` is a label, numbers of many values are cut in quarters.

    Raises:
        PlanError: for a column that no source has.
    """
    columns = []
    labels = frame.schema["labels"]
    tasks = {field.name for field in labels.fields} if isinstance(labels, pl.Struct) else set()
    for name in names:
        if name.removeprefix("labels.") in tasks and name.startswith("labels."):
            value = pl.col("labels").struct.field(name.removeprefix("labels."))
        elif name not in frame.columns:
            raise PlanError(f"stratify: no source has a column {name!r}; remove it or add the column")
        elif frame.schema[name].is_float() and frame[name].n_unique() > 2 * _BANDS:
            value = (pl.col(name).rank() / pl.col(name).count() * _BANDS).ceil().cast(pl.Int64)
        else:
            value = pl.col(name)
        if not name.startswith("labels.") and isinstance(frame.schema[name], pl.List):
            value = value.list.join("+")
        columns.append(value.cast(pl.String).fill_null("unknown").alias(name))
    return columns


def _strata(mirror: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Columns `_group, _side, stratum, size`: what each group has in each value of each column."""
    rows = mirror.select("_group", "_side", "_weight", *stratum_columns(mirror, names))
    if not names:
        return rows.select("_group", "_side", pl.lit("").alias("stratum"), "_weight").clear()
    long = rows.unpivot(list(names), index=["_group", "_side", "_weight"])
    stratum = pl.concat_str("variable", pl.lit("="), "value").alias("stratum")
    return long.group_by("_group", "_side", stratum).agg(pl.col("_weight").sum())


def _deal(
    groups: pl.DataFrame, strata: pl.DataFrame, mirror: pl.DataFrame, wishes: dict[str, float]
) -> list[str]:
    """The side of each group, in its order."""
    total = float(mirror["_weight"].sum())
    placed = dict.fromkeys(SIDES, 0.0)
    given = mirror.filter(pl.col("_side").is_not_null())
    placed.update(given.group_by("_side").agg(pl.col("_weight").sum()).iter_rows())
    totals = dict(strata.group_by("stratum").agg(pl.col("_weight").sum()).iter_rows())
    inside: dict[tuple[str, str], float] = defaultdict(float)
    for _, side, stratum, size in strata.filter(pl.col("_side").is_not_null()).iter_rows():
        inside[side, stratum] += size
    of_group: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for group, _, stratum, size in strata.filter(pl.col("_side").is_null()).sort("stratum").iter_rows():
        of_group[group].append((stratum, size))
    allowed = [side for side in SIDES if wishes[side] > 0]
    sides = []
    for group, size in groups.select("_group", "size").iter_rows():
        mine = of_group[group]

        def lack(side: str, mine: list[tuple[str, float]] = mine) -> float:
            whole = wishes[side] - placed[side] / total
            parts = (
                (wishes[side] - inside[side, stratum] / totals[stratum]) * part / totals[stratum]
                for stratum, part in mine
            )
            weight = sum(part / totals[stratum] for stratum, part in mine)
            # The rarer the stratum, the more its share is at stake; without strata the whole decides.
            return whole + (sum(parts) / weight if weight else 0.0)

        side = max(allowed, key=lack)
        placed[side] += size
        for stratum, part in mine:
            inside[side, stratum] += part
        sides.append(side)
    return sides


def _check(mirror: pl.DataFrame, recipe: PlanRecipe, wishes: dict[str, float], *, bind: bool) -> None:
    achieved = dict.fromkeys(SIDES, 0.0)
    achieved.update(mirror.group_by("_side").agg(pl.col("_weight").sum()).iter_rows())
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
    if not bind:
        return
    total = float(mirror["_weight"].sum())
    for side in SIDES:
        share = achieved[side] / total
        if abs(share - wishes[side]) > recipe.tolerance:
            raise PlanError(
                f"{side} would get {share:.0%} of the mirror {unit(recipe)} instead of {wishes[side]:.0%}: "
                f"{why}; add drives, ask for other sizes, raise tolerance to "
                f"{abs(share - wishes[side]):.2f}, or take a column out of groups "
                f"({', '.join(recipe.groups)})"
            )
