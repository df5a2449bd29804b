"""From sources to a manifest with splits: groups never cut, a source's own `part` respected.

The order of the work: join the sources → find the groups and the part that each one's source gave → place
the groups without a part → drop the general rows of dev and test → cut train_dev from train by speaker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_splits.errors import PlanError
from data_splits.groups import components, links
from data_splits.manifest import SPLITS, normalise
from data_splits.place import place_mirror, stratum_columns, unit, wished_shares
from data_splits.recipe import PlanRecipe
from data_splits.sources import join_sources
from data_splits.train_dev import cut_train_dev
from data_splits.units import model_name, recording_day

__all__ = ["Plan", "PlanError", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """A planned manifest and what there is to say about it."""

    frame: pl.DataFrame
    """Manifest rows with `split` set; general rows of dev and test are not among them."""
    targets: dict[str, float]
    """What is wished for, by `split`: mirror rows or hours for train, dev and test, as `unit` says;
    utterances (or hours, where the recipe gives them) for train_dev."""
    notes: tuple[str, ...]
    """Counts of what was dropped or overridden, one sentence each."""
    unit: str = "rows"
    """`rows` or `hours`."""


def make_plan(recipe: PlanRecipe, root: str | Path = ".", out_folder: str | Path | None = None) -> Plan:
    """Plan the splits.

    Args:
        recipe: the sources, the columns never cut, and the shares.
        root: folder that the recipe's sources are relative to.
        out_folder: folder the manifest will be written to; audio paths stay relative only for sources that
            lie in that same folder, and become absolute otherwise.

    Raises:
        ManifestError: for a source that is not a valid manifest, or an id that two sources share.
        PlanError: for a demand that cannot be met, naming the constraint and the remedy.
    """
    frame, notes = join_sources(
        [Path(root) / name for name in recipe.sources], Path(out_folder) if out_folder is not None else None
    )
    unknown = [name for name in recipe.groups if name not in (*frame.columns, "day")]
    if unknown:
        raise PlanError(f"groups: no source has a column {', '.join(unknown)}; remove it or add the column")
    joined = links(with_units(frame, recipe.groups), recipe.groups)
    frame = frame.with_columns(pl.Series("_group", components(frame.height, joined)))
    frame = frame.with_columns(_given_side(frame, joined).alias("_side"))
    mirror = frame.filter(pl.col("domain") == "mirror")
    wishes = wished_shares(mirror, recipe)
    mirror_size = float(mirror["duration_s"].sum()) / 3600 if recipe.hours else mirror.height
    frame = place_mirror(frame, recipe)
    kept = pl.col("_side").eq("train") | pl.col("domain").eq("mirror")
    notes += _dropped(frame.filter(~kept))
    frame, train_dev_target = cut_train_dev(frame.filter(kept), recipe)
    notes += _overridden(frame)
    frame = frame.with_columns(pl.col("_split").alias("split")).drop("_group", "_side", "_split")
    targets = {side: share * mirror_size for side, share in wishes.items()} | {"train_dev": train_dev_target}
    order = pl.col("split").replace_strict({name: i for i, name in enumerate(SPLITS)}, return_dtype=pl.UInt8)
    frame = normalise(frame.sort(order, "id"), "plan")
    return Plan(frame, targets, tuple(notes), unit(recipe))


def with_units(frame: pl.DataFrame, groups: Sequence[str]) -> pl.DataFrame:
    """The frame whose `device` names units alone, with `day` where it is asked for."""
    if "day" in groups and "day" not in frame.columns:
        frame = frame.with_columns(recording_day().alias("day"))
    device = pl.col("device")
    is_model = (device == pl.lit(model_name(frame, "device"), dtype=pl.String)).fill_null(False)
    return frame.with_columns(pl.when(~is_model).then(device).alias("device"))


def _given_side(frame: pl.DataFrame, joined: pl.DataFrame) -> pl.Series:
    """The side (train, dev, test) that the sources' parts give each row's group; null where they give none.

    Raises:
        PlanError: when the parts inside one group conflict.
    """
    side = pl.col("part").replace("train_dev", "train")
    by_group = frame.group_by("_group").agg(side.drop_nulls().unique().sort().alias("sides"))
    conflicts = by_group.filter(pl.col("sides").list.len() > 1)
    if conflicts.height:
        _raise_conflict(frame.with_columns(side.alias("_given")), joined, conflicts)
    given = frame.select("_group").join(by_group, on="_group", how="left", maintain_order="left")
    return given["sides"].list.first()


def _raise_conflict(frame: pl.DataFrame, joined: pl.DataFrame, conflicts: pl.DataFrame) -> None:
    parted = joined.join(frame.with_row_index("row").select("row", "id", "_given", "_group"), on="row")
    direct = (
        parted.drop_nulls("_given")
        .group_by("key")
        .agg(
            pl.col("column").sort().first(),
            pl.col("value").first(),
            pl.col("_given").unique().sort().alias("sides"),
            *(
                pl.col("id").filter(pl.col("_given") == part).first().alias(part)
                for part in ("train", "dev", "test")
            ),
        )
        .filter(pl.col("sides").list.len() > 1)
        .sort("key")
    )
    remedy = "give its rows one part, or take the column out of groups if the value does not mean one thing"
    if direct.height:
        row = direct.row(0, named=True)
        ids = ", ".join(
            f"{row[part]!r} in {part}" for part in ("train", "dev", "test") if row[part] is not None
        )
        more = f" ({direct.height - 1} more such values)" if direct.height > 1 else ""
        raise PlanError(
            f"the parts of group {row['column']} {row['value']!r} conflict: {ids}{more}; {remedy}"
        )
    group = conflicts["_group"].min()
    rows = frame.filter(pl.col("_group") == group)
    ids = ", ".join(
        f"{row_id!r} in {part}"
        for part, row_id in rows.drop_nulls("_given")
        .group_by("_given")
        .agg(pl.col("id").min())
        .sort("_given")
        .rows()
    )
    bridge = rows.filter(pl.col("_given").is_null())["id"].min()
    raise PlanError(
        f"the parts of one group conflict: {ids}, joined through rows without a part such as {bridge!r}; "
        "give that row a part of its own group, or take a column out of groups"
    )


def _dropped(rows: pl.DataFrame) -> list[str]:
    counts = rows.group_by("_side").agg(pl.len()).sort("_side").rows()
    return [
        f"{count} general rows of {side} are left out: they live on only as parents of mirror rows"
        for side, count in counts
    ]


def _overridden(frame: pl.DataFrame) -> list[str]:
    changed = frame.filter(pl.col("part").is_null() & (pl.col("split") != pl.col("_split"))).height
    return [f"{changed} rows came with another split and no part; only part is respected"] if changed else []


def distinct_recordings() -> pl.Expr:
    """What a row is a rendering of: its clean parent, or itself."""
    return pl.coalesce("clean_parent", "id")


def describe(plan: Plan, phrases: Sequence[str]) -> pl.DataFrame:
    """Target against achieved, one line a split and domain: rows, hours, distinct recordings, named
    speakers, and for each phrase its distinct positive recordings."""
    frame = plan.frame
    labels = frame.schema["labels"]
    known = {field.name for field in labels.fields} if isinstance(labels, pl.Struct) else set()
    order = pl.col("split").replace_strict({name: i for i, name in enumerate(SPLITS)}, return_dtype=pl.UInt8)
    target, digits = f"target {plan.unit}", 0 if plan.unit == "rows" else 2
    wished = pl.DataFrame(
        {
            "split": ["train", "dev", "test"],
            "domain": ["mirror"] * 3,
            target: [round(plan.targets[name], digits) for name in ("train", "dev", "test")],
        },
        schema_overrides={target: pl.Int64 if plan.unit == "rows" else pl.Float64},
        strict=False,
    )
    return (
        frame.group_by("split", "domain")
        .agg(
            pl.len().alias("rows"),
            (pl.col("duration_s").sum() / 3600).round(2).alias("hours"),
            distinct_recordings().n_unique().alias("recordings"),
            pl.col("speaker").drop_nulls().n_unique().alias("speakers"),
            *(
                distinct_recordings()
                .filter(pl.col("labels").struct.field(phrase) == 1)
                .n_unique()
                .alias(f"takes of {phrase!r}")
                for phrase in phrases
                if phrase in known
            ),
        )
        .join(wished, on=["split", "domain"], how="left")
        .select("split", "domain", target, pl.exclude("split", "domain", target))
        .sort(order, "domain")
    )


def describe_strata(plan: Plan, names: Sequence[str]) -> pl.DataFrame:
    """The share of each value of the stratified columns in each side's mirror rows, in percent."""
    mirror = plan.frame.filter(pl.col("domain") == "mirror")
    side = pl.col("split").replace("train_dev", "train").alias("side")
    long = mirror.select(side, *stratum_columns(mirror, names)).unpivot(list(names), index="side")
    shares = [
        (100 * (pl.col("side") == side).sum() / (mirror["split"].replace("train_dev", "train") == side).sum())
        .round(1)
        .alias(side)
        for side in ("train", "dev", "test")
    ]
    return (
        long.group_by("variable", "value").agg(*shares).rename({"variable": "column"}).sort("column", "value")
    )
