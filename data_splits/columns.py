"""The manifest's column types: whatever a file holds, brought to one type a column or refused by name."""

from __future__ import annotations

import polars as pl

from data_splits.schema import COLUMNS, INTEGERS, LISTS, NUMBERS, STRINGS, ManifestError

_EXAMPLES = 3


def refuse(frame: pl.DataFrame, wrong: pl.Expr, column: str, where: str, remedy: str) -> None:
    """Raise when `wrong` holds for any row (null counts as right), naming the first few of them.

    Raises:
        ManifestError: with `where`, the column, the values, the rows' ids, their count and the remedy.
    """
    found = frame.filter(wrong.fill_null(False))
    if found.height == 0:
        return
    shown = [
        f"{value!r} (id {row_id!r})" if column != "id" else repr(row_id)
        for row_id, value in found.select("id", pl.col(column).alias("value")).head(_EXAMPLES).iter_rows()
    ]
    more = f" and {found.height - len(shown)} more" if found.height > len(shown) else ""
    raise ManifestError(f"{where}: {column} {', '.join(shown)}{more}: {remedy}")


def cast_columns(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """The schema's columns first, each with its type; unknown columns after them, untouched.

    Args:
        frame: rows as they were read, with the required columns.
        where: the file's name for error messages.

    Raises:
        ManifestError: for a column of another kind.
    """
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
            if name in INTEGERS and found.is_float():
                broken = ~pl.col(name).is_finite() | (pl.col(name) != pl.col(name).round())
                refuse(frame, broken, name, where, "a whole number, or null when unknown")
            casts.append(pl.col(name).cast(_dtype(name)))
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
