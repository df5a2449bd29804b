"""Cutting train_dev from train: the same distribution, other speakers, never trained on.

Only speakers and clean parents are kept apart here. A noise recording or a cabin of the train side may be
heard in both, which are drawn alike.
"""

from __future__ import annotations

import polars as pl

from data_splits.errors import PlanError
from data_splits.groups import components, links, shuffled
from data_splits.recipe import PlanRecipe


def cut_train_dev(frame: pl.DataFrame, recipe: PlanRecipe) -> tuple[pl.DataFrame, float]:
    """Add `_split`: `train` or `train_dev` for rows of side train, the side itself otherwise.

    Each source gives its share, in whole groups; what large groups leave missing comes from any source.
    Noise recordings stay in train. Rows without a speaker are one group a session (corpora whose speakers
    are not named), else one group a recording.

    Args:
        frame: planned rows with `_side`.
        recipe: `train_dev.share`, `train_dev.at_least` and the seed.

    Returns:
        The frame, and how many utterances (or hours, where the recipe gives hours) are wished for.

    Raises:
        PlanError: when no group is small enough, or too few positives are there.
    """
    train = frame.filter(pl.col("_side") == "train")
    train = train.with_columns(speaker_groups(train))
    groups = _groups(train, recipe)
    sizes = groups.filter(~pl.col("pinned_train"))
    total = float(sizes["size"].sum())
    share = _share(total, recipe)
    target = share * total
    chosen = set(sizes.filter("pinned_train_dev")["td"].to_list())
    free = shuffled(sizes.filter(~pl.col("pinned_train_dev")), recipe.seed)
    for phrase, wanted in recipe.train_dev.at_least.items():
        chosen |= _positives(groups, free, phrase, wanted, chosen)
    chosen |= _fill(free, share, target, chosen)
    if not chosen:
        chosen = _smallest(free, total, recipe)
    rows = train.select("id", pl.col("td").is_in(list(chosen)).alias("_cut"))
    frame = frame.join(rows, on="id", how="left", maintain_order="left")
    cut = pl.when(pl.col("_cut")).then(pl.lit("train_dev")).otherwise("_side").alias("_split")
    frame = frame.with_columns(cut).drop("_cut")
    if frame.filter(pl.col("_split") == "train").is_empty():
        raise PlanError(
            "train would be empty: every row of its part is given to train_dev; add training rows"
        )
    return frame, target


def _share(total: float, recipe: PlanRecipe) -> float:
    """The share of the training utterances (rows, or hours) that is wished for."""
    wish = recipe.train_dev
    unit, amount = ("hours", wish.hours) if wish.hours else ("rows", wish.rows)
    if not amount:
        return wish.share
    if 2 * amount > total:
        raise PlanError(
            f"train_dev.{unit} asks for {amount:g}, but the training utterances have {total:g} in all, and "
            "most of them are to be trained on; lower it or add recordings"
        )
    return amount / total


def is_noise_recording() -> pl.Expr:
    """A row that is material for the car, not an utterance."""
    return (
        pl.col("noise_kind").is_not_null()
        & pl.col("clean_parent").is_null()
        & pl.col("text").is_null()
        & (pl.col("domain") == "general")
    )


def speaker_groups(train: pl.DataFrame) -> pl.Series:
    """The group of each row by speaker and clean parent, where a session stands for unnamed speakers."""
    speaker = pl.coalesce("speaker", pl.lit("session ") + pl.col("session")).alias("speaker")
    keyed = train.select("id", "audio", "pcm_sha256", speaker, "clean_parent")
    return pl.Series("td", components(train.height, links(keyed, ["speaker", "clean_parent"])))


def _groups(train: pl.DataFrame, recipe: PlanRecipe) -> pl.DataFrame:
    """One line a group: its rows, where they come from, and the distinct positives of each phrase wanted."""
    struct = train.schema["labels"]
    known = {field.name for field in struct.fields} if isinstance(struct, pl.Struct) else set()
    recording = pl.coalesce("clean_parent", "id")
    positives = []
    for phrase in recipe.train_dev.at_least:
        if phrase not in known:
            raise PlanError(
                f"train_dev.at_least names {phrase!r}, which no source labels; "
                f"known: {', '.join(sorted(known))}"
            )
        said = pl.col("labels").struct.field(phrase) == 1
        positives.append(recording.filter(said).n_unique().alias(f"positives {phrase}"))
    noise = is_noise_recording()
    size = pl.col("duration_s") / 3600 if recipe.train_dev.hours else pl.col("duration_s").sign()
    return train.group_by("td").agg(
        noise.any().alias("pinned_train"),
        (pl.col("part") == "train_dev").fill_null(False).any().alias("pinned_train_dev"),
        size.filter(~noise).sum().alias("size"),
        pl.col("id").min().alias("first_id"),
        # Mirror rows stand with the source of the recordings that they render.
        pl.coalesce(
            pl.col("source").filter(pl.col("domain") == "general").min(), pl.col("source").min()
        ).alias("stratum"),
        *positives,
    )


def _positives(
    groups: pl.DataFrame, free: pl.DataFrame, phrase: str, wanted: int, chosen: set[int]
) -> set[int]:
    """Groups that bring `phrase` to `wanted` positives: those that do not overshoot first."""
    count = pl.col(f"positives {phrase}")
    have = groups.filter(pl.col("td").is_in(list(chosen))).select(count.sum()).item()
    if have >= wanted:
        return set()
    candidates = (
        free.filter((count > 0) & ~pl.col("td").is_in(list(chosen)))
        .sort(count > wanted - have, maintain_order=True)
        .with_columns((count.cum_sum() - count + have).alias("before"))
    )
    total = groups.select(count.sum()).item()
    if total <= wanted or candidates.is_empty():
        raise PlanError(
            f"train_dev.at_least asks for {wanted} recordings of {phrase!r}, but train has {total}, and some "
            "must stay in train; lower at_least or add recordings"
        )
    taken = candidates.filter(pl.col("before") < wanted)
    brought = groups.filter(pl.col("td").is_in(taken["td"].to_list())).select(count.sum()).item()
    if have + brought < wanted or have + brought >= total:
        raise PlanError(
            f"train_dev.at_least asks for {wanted} of the {total} recordings of {phrase!r} in train, which "
            f"come in {candidates.height} groups by speaker that may not be cut; whole groups would take "
            f"{have + brought}; lower at_least or record more speakers"
        )
    return set(taken["td"].to_list())


def _fill(free: pl.DataFrame, share: float, target: float, chosen: set[int]) -> set[int]:
    """Groups in the seed's order while their sum stays within the share, by source and then over all."""
    done = set(chosen)
    used = pl.col("td").is_in(list(done))
    wish = share * pl.col("size").sum().over("stratum")
    had = pl.col("size").filter(used).sum().over("stratum")
    room = free.with_columns(_room=wish - had).filter(~used & (pl.col("size") <= pl.col("_room")))
    picked = room.filter(pl.col("size").cum_sum().over("stratum") <= pl.col("_room"))
    done |= set(picked["td"].to_list())
    rest = free.filter(~pl.col("td").is_in(list(done)))
    missing = target - float(free.filter(pl.col("td").is_in(list(done)))["size"].sum())
    more = rest.filter(pl.col("size") <= missing).filter(pl.col("size").cum_sum() <= missing)
    return done | set(more["td"].to_list())


def _smallest(free: pl.DataFrame, total: float, recipe: PlanRecipe) -> set[int]:
    """In a small manifest even the smallest group is more than the share: take it if train stays larger."""
    if free.height > 1:
        smallest = free.sort("size", maintain_order=True).row(0, named=True)
        if 2 * smallest["size"] <= total:
            return {smallest["td"]}
    raise PlanError(
        f"train_dev cannot be cut: the {total:g} training utterances form {free.height} groups by speaker, "
        f"none small enough for a share of {recipe.train_dev.share:g}; add other speakers to train"
    )
