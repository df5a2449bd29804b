"""Tables and JSON lines of unknown origin, read in a stream, with errors that name the file and the line."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import polars as pl

from data_splits.corpora.corpus import CorpusError


def scan_tsv(path: Path, required: Sequence[str]) -> pl.LazyFrame:
    """A tab-separated table, all columns text, quotes taken literally; nothing is read but the header.

    Raises:
        CorpusError: the file is empty, is not UTF-8, or lacks a required column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline().rstrip("\r\n").split("\t")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 ({error.reason}); download it again") from error
    _require(path, header, required)
    # No glob: a * or [ in the path is a character of its name.
    return pl.scan_csv(
        path,
        separator="\t",
        quote_char=None,
        infer_schema=False,
        glob=False,
        truncate_ragged_lines=False,
    )


def batches(table: pl.LazyFrame, path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """The table in order, some rows at a time; no more of it is in memory.

    Raises:
        CorpusError: a line has too many values, or is not UTF-8.
    """
    try:
        yield from table.collect_batches(chunk_size=rows, maintain_order=True)
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise CorpusError(f"{path}: not a tab-separated table: {reason}; download it again") from error


def read_csv(path: Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and row of a comma-separated table; spaces after commas are no part of a value.

    Raises:
        CorpusError: as `scan_tsv`, and for a row with too few or too many values.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, skipinitialspace=True)
            _require(path, list(rows.fieldnames or ()), required)
            for row in rows:
                if None in row or None in row.values():
                    raise CorpusError(
                        f"{path} line {rows.line_num}: not as many values as the header has columns; "
                        "quote values that hold a comma"
                    )
                yield rows.line_num, row
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 ({error.reason}); write it again") from error
    except csv.Error as error:
        raise CorpusError(f"{path}: not a comma-separated table: {error}; write it again") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of JSON Lines, gzipped where the name ends in `.gz`.

    Raises:
        CorpusError: a truncated or damaged gzip, a line that is no JSON object.
    """
    number = 0
    try:
        with _open_text(path) as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise CorpusError(f"{path} line {number}: not JSON ({error}); write it again") from error
                if not isinstance(row, dict):
                    raise CorpusError(f"{path} line {number}: {type(row).__name__}, not a JSON object")
                yield number, row
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorpusError(
            f"{path}: damaged or truncated after line {number} ({error}); copy it again, `gzip -t` checks it"
        ) from error
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: not UTF-8 after line {number} ({error.reason}); write it again"
        ) from error


def _open_text(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The one object of a JSON file.

    Raises:
        CorpusError: it is not JSON, or not an object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: not JSON ({error}); write it again") from error
    if not isinstance(document, dict):
        raise CorpusError(f"{path}: {type(document).__name__}, not an object of utterances by their ids")
    return document


def _require(path: Path, found: Sequence[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in found]
    if missing:
        columns = ", ".join(name for name in found if name) or "nothing"
        raise CorpusError(
            f"{path}: missing column {', '.join(missing)}; found {columns}; is it of this kind of corpus?"
        )
