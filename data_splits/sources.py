"""Joining the sources of a plan into one frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data_splits.errors import PlanError
from data_splits.manifest import ManifestError, read_manifest

PARTS = ("train", "train_dev", "dev", "test")


def join_sources(paths: Sequence[Path], out_folder: Path | None) -> tuple[pl.DataFrame, list[str]]:
    """Read, check and concatenate manifests; `split` may be missing in them, `part` is added where it is.

    Args:
        paths: the manifests.
        out_folder: where the plan will lie; relative audio of a source in another folder becomes absolute.

    Returns:
        The rows, and one note a source.

    Raises:
        ManifestError: for an invalid source, or an id in two sources.
        PlanError: for a part that is not train, train_dev, dev or test.
    """
    frames = []
    for path in paths:
        frame = read_manifest(path, require_split=False)
        folder = path.parent.resolve()
        if out_folder is None or folder != out_folder.resolve():
            frame = frame.with_columns(_absolute(folder))
        frames.append(_with_part(frame, path))
    fields = {}
    for frame in frames:
        struct = frame.schema["labels"]
        if isinstance(struct, pl.Struct):
            fields.update({field.name: field.dtype for field in struct.fields})
    frames = [frame.with_columns(_widened(frame, list(fields))) for frame in frames]
    try:
        joined = pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise ManifestError(
            f"{', '.join(map(str, paths))}: a further column has two types: {error}; rename it in one source"
        ) from error
    twice = joined.filter(pl.col("id").is_duplicated())
    if twice.height:
        row_id = twice["id"][0]
        holders = [str(path) for path, frame in zip(paths, frames, strict=True) if row_id in frame["id"]]
        raise ManifestError(
            f"{' and '.join(holders)}: both hold id {row_id!r}; name each source once, rename ids"
        )
    notes = [f"{frame.height} rows from {path}" for path, frame in zip(paths, frames, strict=True)]
    return joined, notes


def _absolute(folder: Path) -> pl.Expr:
    audio = pl.col("audio")
    return pl.when(audio.str.starts_with("/")).then(audio).otherwise(pl.lit(f"{folder}/") + audio)


def _with_part(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    if "part" not in frame.columns or frame.schema["part"] == pl.Null:
        return frame.with_columns(pl.lit(None, dtype=pl.String).alias("part"))
    frame = frame.with_columns(pl.col("part").cast(pl.String))
    wrong = frame.filter(~pl.col("part").is_in(PARTS))
    if wrong.height:
        row = wrong.row(0, named=True)
        raise PlanError(
            f"{path}: part {row['part']!r} of id {row['id']!r}: one of {', '.join(PARTS)}, or null"
        )
    return frame


def _widened(frame: pl.DataFrame, names: list[str]) -> pl.Expr:
    """Labels with every source's fields, so that the structs can be concatenated."""
    struct = frame.schema["labels"]
    own = {field.name for field in struct.fields} if isinstance(struct, pl.Struct) else set()
    fields = [
        (pl.col("labels").struct.field(name) if name in own else pl.lit(None)).cast(pl.Int8).alias(name)
        for name in names
    ]
    return pl.struct(fields).alias("labels")
