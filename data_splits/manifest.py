"""The manifest: one row per utterance, one schema for every package.

Read with `read_manifest`, written with `write_manifest`. Validation is columnar throughout, so a manifest
of half a million rows is read and checked in seconds.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from data_splits.columns import cast_columns, refuse
from data_splits.files import whole_file
from data_splits.lines import check_lines
from data_splits.schema import COLUMNS, DOMAINS, NUMBERS, REQUIRED, SPLITS, ManifestError

__all__ = [
    "COLUMNS",
    "DOMAINS",
    "REQUIRED",
    "SPLITS",
    "ManifestError",
    "manifest_sha256",
    "normalise",
    "read_manifest",
    "rooted",
    "write_manifest",
]


def read_manifest(path: str | Path, *, require_split: bool = True) -> pl.DataFrame:
    """Read and validate a manifest.

    Args:
        path: Parquet, or JSON Lines (`.jsonl`, `.ndjson`).
        require_split: False for the sources of a plan, whose `split` may be absent or null.

    Returns:
        A frame with every column of `COLUMNS` in that order, then the file's own further columns. Missing
        optional columns are null; `noise_parent` and `interferer_parent` are lists of strings; `labels`
        is a struct of Int8; `recorded_at` is a UTC timestamp; empty strings are null.

    Raises:
        ManifestError: naming the file, the row's id, the value and the remedy.
    """
    path = Path(path)
    frame = _load(path)
    if frame.width == 0 or frame.height == 0:
        raise ManifestError(f"{path}: holds no rows; a manifest has one row per utterance")
    return normalise(frame, str(path), require_split=require_split)


def write_manifest(frame: pl.DataFrame, path: str | Path, *, require_split: bool = True) -> None:
    """Write a manifest atomically: temporary file, fsync, rename. The suffix `.jsonl` gives JSON Lines.

    Args:
        require_split: as of `read_manifest`.

    Raises:
        ManifestError: when the frame is not a valid manifest (nothing is written then).
        OSError: when the file cannot be written; an older file of that name is left as it was.
    """
    path = Path(path)
    frame = normalise(frame, str(path), require_split=require_split)
    with whole_file(path) as stream:
        if _is_jsonl(path):
            frame.write_ndjson(stream)
        else:
            frame.write_parquet(stream, compression="zstd")


def manifest_sha256(path: str | Path) -> str:
    """Hex SHA-256 of a manifest's bytes: the `training_manifest_sha256` of checkpoints and models."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def rooted(frame: pl.DataFrame, manifest: Path) -> pl.DataFrame:
    """Rows of ``manifest`` with absolute paths to their audio, so that several can be put together."""
    audio = pl.col("audio")
    absolute = pl.when(audio.str.starts_with("/")).then(audio)
    return frame.with_columns(absolute.otherwise(pl.lit(f"{manifest.resolve().parent}/") + audio))


def normalise(frame: pl.DataFrame, where: str, *, require_split: bool = True) -> pl.DataFrame:
    """Bring a frame to the manifest's columns and types, and check every rule of the schema.

    Args:
        frame: rows with at least the required columns.
        where: the file's name for error messages.
        require_split: whether `split` must be there and set.

    Raises:
        ManifestError: naming `where`, the row's id, the value and the remedy.
    """
    required = [name for name in REQUIRED if require_split or name != "split"]
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise ManifestError(
            f"{where}: missing column {', '.join(missing)}; found {', '.join(frame.columns)}. "
            f"Every manifest has {', '.join(required)}"
        )
    frame = cast_columns(frame, where)
    for name in required:
        refuse(frame, pl.col(name).is_null(), name, where, "it may not be empty; give every row a value")
    refuse(frame, pl.col("id").is_duplicated(), "id", where, "ids are unique; rename one of the rows")
    allowed = {"domain": DOMAINS, "split": SPLITS}
    for name, values in allowed.items():
        refuse(frame, ~pl.col(name).is_in(values), name, where, f"one of {', '.join(values)}")
    for name in NUMBERS:
        refuse(frame, ~pl.col(name).is_finite(), name, where, "a finite number, or null when unknown")
    refuse(frame, pl.col("duration_s") <= 0, "duration_s", where, "seconds, greater than zero")
    refuse(frame, pl.col("sample_rate_hz") <= 0, "sample_rate_hz", where, "hertz, greater than zero")
    _check_labels(frame, where)
    _check_paths(frame, where)
    return frame


def _is_jsonl(path: Path) -> bool:
    return path.suffix in (".jsonl", ".ndjson", ".json")


def _load(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; give a Parquet or JSONL manifest")
    if path.stat().st_size == 0:
        raise ManifestError(f"{path}: the file is empty; write the manifest again")
    if path.suffix == ".csv":
        raise ManifestError(
            f"{path}: a CSV; data-splits convert {path.name} --to parquet makes a manifest of it"
        )
    if _is_jsonl(path):
        check_lines(path)
    try:
        if _is_jsonl(path):
            # The bytes, because polars would take a * or [ in the path for a pattern.
            return pl.read_ndjson(path.read_bytes(), infer_schema_length=None)
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        kind = "JSON Lines (one object a line; NaN is not JSON)" if _is_jsonl(path) else "Parquet"
        reason = str(error).strip().splitlines()[0]
        raise ManifestError(f"{path}: not readable as {kind}: {reason}") from error


def _check_labels(frame: pl.DataFrame, where: str) -> None:
    struct = frame.schema["labels"]
    if isinstance(struct, pl.Struct):
        for field in struct.fields:
            value = pl.col("labels").struct.field(field.name)
            remedy = f"the label {field.name!r} must be 0, 1, or null where unknown"
            refuse(frame, ~value.is_in([0, 1]), "labels", where, remedy)


def _check_paths(frame: pl.DataFrame, where: str) -> None:
    """A relative path stays under the manifest's folder; a tar's member never escapes its tar."""
    audio = pl.col("audio").str.replace_all("\\", "/", literal=True)
    file, member = audio.str.split("::").list.get(0), audio.str.split("::").list.get(1, null_on_oob=True)
    refuse(frame, audio.str.contains("\0", literal=True), "audio", where, "a path holds no NUL character")
    refuse(frame, _escapes(file), "audio", where, "a relative path may not leave the manifest's folder")
    bad_member = member.str.starts_with("/") | _escapes(member) | (member == "")
    # Few manifests have any such row, and walking half a million paths part by part takes seconds.
    frame = frame.filter(audio.str.contains(r"\.\.|::/|::$|::::").fill_null(False))
    refuse(frame, bad_member, "audio", where, "a member's path is relative and stays inside its tar")


def _escapes(path: pl.Expr) -> pl.Expr:
    """True where a relative path climbs above its start: at some prefix more '..' than names."""
    parts = path.str.split("/")
    steps = parts.list.eval(
        pl.when(pl.element() == "..")
        .then(-1)
        .when(pl.element().is_in(["", "."]))
        .then(0)
        .otherwise(1)
        .cum_sum()
    )
    climbs = path.str.contains("..", literal=True) & (steps.list.min() < 0)
    return climbs & ~path.str.starts_with("/")
