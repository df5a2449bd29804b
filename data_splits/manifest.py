"""The manifest: one row per utterance, one schema for every package.

Read with `read_manifest`, written with `write_manifest`. Validation is columnar throughout, so a manifest
of half a million rows is read and checked in seconds.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import polars as pl

from data_splits.schema import (
    COLUMNS,
    DOMAINS,
    INTEGERS,
    LISTS,
    NUMBERS,
    REQUIRED,
    SPLITS,
    STRINGS,
    ManifestError,
)

__all__ = [
    "COLUMNS",
    "DOMAINS",
    "REQUIRED",
    "SPLITS",
    "ManifestError",
    "manifest_sha256",
    "normalise",
    "read_manifest",
    "write_manifest",
]

_EXAMPLES = 3


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


def write_manifest(frame: pl.DataFrame, path: str | Path) -> None:
    """Write a manifest atomically: temporary file, fsync, rename. The suffix `.jsonl` gives JSON Lines.

    Raises:
        ManifestError: when the frame is not a valid manifest (nothing is written then).
        OSError: when the file cannot be written; an older file of that name is left as it was.
    """
    path = Path(path)
    frame = normalise(frame, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            if _is_jsonl(path):
                frame.write_ndjson(stream)
            else:
                frame.write_parquet(stream, compression="zstd")
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes a file for its owner alone; a manifest is read by others as the umask allows.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def manifest_sha256(path: str | Path) -> str:
    """Hex SHA-256 of a manifest's bytes: the `training_manifest_sha256` of checkpoints and models."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
    frame = _cast(frame, where)
    for name in required:
        _refuse(frame, pl.col(name).is_null(), name, where, "it may not be empty; give every row a value")
    _refuse(frame, pl.col("id").is_duplicated(), "id", where, "ids are unique; rename one of the rows")
    allowed = {"domain": DOMAINS, "split": SPLITS}
    for name, values in allowed.items():
        _refuse(frame, ~pl.col(name).is_in(values), name, where, f"one of {', '.join(values)}")
    for name in NUMBERS:
        _refuse(frame, ~pl.col(name).is_finite(), name, where, "a finite number, or null when unknown")
    _refuse(frame, pl.col("duration_s") <= 0, "duration_s", where, "seconds, greater than zero")
    _refuse(frame, pl.col("sample_rate_hz") <= 0, "sample_rate_hz", where, "hertz, greater than zero")
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
    try:
        if _is_jsonl(path):
            return pl.read_ndjson(path, infer_schema_length=None)
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        kind = "JSON Lines (one object a line; NaN is not JSON)" if _is_jsonl(path) else "Parquet"
        reason = str(error).strip().splitlines()[0]
        raise ManifestError(f"{path}: not readable as {kind}: {reason}") from error


def _cast(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """The schema's columns first, each with its type; unknown columns after them, untouched."""
    casts = []
    for name in COLUMNS:
        if name not in frame.columns:
            casts.append(pl.lit(None, dtype=_dtype(name)).alias(name))
            continue
        found = frame.schema[name]
        if found == pl.Null:
            casts.append(pl.col(name).cast(_dtype(name)))
        elif name in STRINGS:
            casts.append(_text(frame, name, where))
        elif name in LISTS:
            casts.append(_parents(frame, name, where))
        elif name in NUMBERS or name in INTEGERS:
            if not found.is_numeric():
                raise ManifestError(f"{where}: column {name} holds {found}; it must hold numbers")
            # A value that does not fit becomes NaN and is refused below, with its row's id.
            dtype = _dtype(name)
            casts.append(pl.col(name).cast(dtype, strict=False))
        elif name == "recorded_at":
            casts.append(_timestamp(frame, where))
        else:
            casts.append(_labels(frame, where))
    extra = [name for name in frame.columns if name not in COLUMNS]
    return frame.select(*casts, *extra)


def _dtype(name: str) -> pl.DataType:
    if name in STRINGS:
        return pl.String()
    if name in LISTS:
        return pl.List(pl.String)
    if name in NUMBERS:
        return pl.Float64()
    if name in INTEGERS:
        return pl.Int64()
    if name == "recorded_at":
        return pl.Datetime("us", "UTC")
    # Parquet has no struct without fields, so that the product's own word stands in an unlabelled manifest.
    return pl.Struct({"smart mirror": pl.Int8})


def _text(frame: pl.DataFrame, name: str, where: str) -> pl.Expr:
    found = frame.schema[name]
    if not (found in (pl.String, pl.Categorical, pl.Enum) or found.is_integer()):
        raise ManifestError(f"{where}: column {name} holds {found}; it must hold text")
    text = pl.col(name).cast(pl.String)
    return pl.when(text.str.strip_chars() == "").then(None).otherwise(text).alias(name)


def _parents(frame: pl.DataFrame, name: str, where: str) -> pl.Expr:
    """A string or a list of strings, as one list per row; empty lists and empty strings are null."""
    found = frame.schema[name]
    if found in (pl.String, pl.Categorical, pl.Enum):
        text = pl.col(name).cast(pl.String)
        # Strings and lists mixed in one JSONL column arrive as strings, the lists still in JSON.
        listed = text.str.starts_with("[").fill_null(False)
        if frame.select(listed.any()).item():
            decoded = pl.when(listed).then(text).otherwise(None).str.json_decode(pl.List(pl.String))
            parents = pl.when(listed).then(decoded).otherwise(pl.concat_list(text))
        else:
            parents = pl.concat_list(text)
    elif isinstance(found, pl.List) and found.inner in (pl.String, pl.Null, pl.Categorical):
        parents = pl.col(name).cast(pl.List(pl.String))
    else:
        raise ManifestError(
            f"{where}: column {name} holds {found}; a parent is a string or a list of strings"
        )
    parents = parents.list.eval(pl.element().filter(pl.element().is_not_null() & (pl.element() != "")))
    return pl.when(parents.list.len() > 0).then(parents).otherwise(None).alias(name)


def _timestamp(frame: pl.DataFrame, where: str) -> pl.Expr:
    found = frame.schema["recorded_at"]
    stamp = pl.col("recorded_at")
    if found == pl.String:
        parsed = stamp.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        wrong = frame.filter(stamp.is_not_null() & parsed.is_null())
        if wrong.height:
            raise ManifestError(
                f"{where}: recorded_at {wrong['recorded_at'][0]!r} of id {wrong['id'][0]!r} is not an ISO "
                "timestamp such as 2025-03-01T08:30:00Z"
            )
        return parsed
    if isinstance(found, pl.Datetime):
        zoned = stamp.dt.replace_time_zone("UTC") if found.time_zone is None else stamp
        return zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    if found == pl.Date:
        return stamp.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    raise ManifestError(f"{where}: column recorded_at holds {found}; it must hold timestamps")


def _labels(frame: pl.DataFrame, where: str) -> pl.Expr:
    found = frame.schema["labels"]
    if not isinstance(found, pl.Struct):
        raise ManifestError(
            f"{where}: column labels holds {found}; give a struct with one integer field a task"
        )
    if not found.fields:
        return pl.lit(None, dtype=_dtype("labels")).alias("labels")
    fields = []
    for field in found.fields:
        value = pl.col("labels").struct.field(field.name)
        if not (field.dtype.is_integer() or field.dtype == pl.Null):
            raise ManifestError(
                f"{where}: labels field {field.name!r} holds {field.dtype}; a label is 0, 1 or null"
            )
        # Anything but 0 and 1 becomes 2, which the check of values refuses with the row's id.
        fields.append(
            pl.when(value.is_in([0, 1]))
            .then(value)
            .when(value.is_not_null())
            .then(2)
            .cast(pl.Int8)
            .alias(field.name)
        )
    return pl.struct(fields).alias("labels")


def _refuse(frame: pl.DataFrame, wrong: pl.Expr, column: str, where: str, remedy: str) -> None:
    """Raise with the count and the first rows where `wrong` holds (null counts as right)."""
    found = frame.filter(wrong.fill_null(False))
    if found.height == 0:
        return
    shown = [
        f"{value!r} (id {row_id!r})" if column != "id" else repr(row_id)
        for row_id, value in found.select("id", pl.col(column).alias("value")).head(_EXAMPLES).iter_rows()
    ]
    more = f" and {found.height - len(shown)} more" if found.height > len(shown) else ""
    raise ManifestError(f"{where}: {column} {', '.join(shown)}{more}: {remedy}")


def _check_labels(frame: pl.DataFrame, where: str) -> None:
    struct = frame.schema["labels"]
    if isinstance(struct, pl.Struct):
        for field in struct.fields:
            value = pl.col("labels").struct.field(field.name)
            remedy = f"the label {field.name!r} must be 0, 1, or null where unknown"
            _refuse(frame, ~value.is_in([0, 1]), "labels", where, remedy)


def _check_paths(frame: pl.DataFrame, where: str) -> None:
    """A relative path stays under the manifest's folder; a tar's member never escapes its tar."""
    audio = pl.col("audio").str.replace_all("\\", "/", literal=True)
    file, member = audio.str.split("::").list.get(0), audio.str.split("::").list.get(1, null_on_oob=True)
    _refuse(frame, audio.str.contains("\0", literal=True), "audio", where, "a path holds no NUL character")
    _refuse(frame, _escapes(file), "audio", where, "a relative path may not leave the manifest's folder")
    bad_member = member.str.starts_with("/") | _escapes(member) | (member == "")
    _refuse(frame, bad_member, "audio", where, "a member's path is relative and stays inside its tar")


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
