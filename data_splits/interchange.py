"""Manifests as other tools read them: CSV, SpeechBrain's CSV or JSON, Lhotse's cuts; and CSV back.

Source: `speechbrain.dataio.dataio.load_data_csv`, `load_data_json`, `lhotse.cut.MonoCut.to_dict`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import polars as pl

from data_splits.files import whole_file
from data_splits.lines import check_lines
from data_splits.schema import INTEGERS, LISTS, NUMBERS, SPLITS, ManifestError

MAX_CSV_COLUMNS: Final = 100
_LABEL: Final = "labels."
_BETWEEN: Final = "|"
"""Between the parents of one row, which no path or id should hold."""


def write_csv(frame: pl.DataFrame, path: Path) -> list[Path]:
    """One table: labels as columns `labels.PHRASE`, several parents joined by `|`.

    Raises:
        ManifestError: a parent that holds a `|`, or a further column that no table can hold.
    """
    nested = [
        name for name in frame.columns if frame.schema[name].is_nested() and name not in (*LISTS, "labels")
    ]
    if nested:
        raise ManifestError(f"{path}: column {nested[0]} is nested, which no CSV holds; leave it out")
    for name in LISTS:
        held = frame.filter(pl.col(name).list.join("").str.contains(_BETWEEN, literal=True))
        if held.height:
            raise ManifestError(f"{path}: {name} of id {held['id'][0]!r} holds {_BETWEEN!r}; rename it")
    labels = frame.schema["labels"]
    fields = [field.name for field in labels.fields] if isinstance(labels, pl.Struct) else []
    table = frame.with_columns(
        *(pl.col(name).list.join(_BETWEEN) for name in LISTS),
        *(pl.col("labels").struct.field(name).alias(_LABEL + name) for name in fields),
        pl.col("recorded_at").dt.to_string("iso:strict"),
    ).drop("labels")
    with whole_file(path) as stream:
        table.write_csv(stream)
    return [path]


def read_csv(path: Path) -> pl.DataFrame:
    """What `write_csv` wrote, or anybody's table with a manifest's columns; not yet checked.

    Raises:
        ManifestError: naming the file, the byte or the line.
    """
    check_lines(path)
    with path.open(encoding="utf-8-sig") as stream:
        width = stream.readline().count(",") + 1
    if width > MAX_CSV_COLUMNS:
        raise ManifestError(f"{path}: {width} columns; a manifest as CSV has at most {MAX_CSV_COLUMNS}")
    try:
        table = pl.read_csv(path.read_bytes(), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise ManifestError(f"{path}: not a CSV table: {str(error).strip().splitlines()[0]}") from error
    phrases = [name for name in table.columns if name.startswith(_LABEL)]
    numbers = [name for name in (*NUMBERS, *INTEGERS, *phrases) if name in table.columns]
    for name in numbers:
        value = pl.col(name).str.strip_chars()
        wrong = table.filter((value != "") & value.cast(pl.Float64, strict=False).is_null())
        if wrong.height:
            shown = wrong.with_row_index().select(pl.col(name)).item(0, 0)
            raise ManifestError(f"{path}: {name} {shown!r} is no number; leave it empty where unknown")
    table = table.with_columns(
        pl.col(name).str.strip_chars().cast(pl.Float64, strict=False) for name in numbers
    ).with_columns(pl.col(name).str.split(_BETWEEN) for name in LISTS if name in table.columns)
    if not phrases:
        return table
    whole = [pl.col(name).cast(pl.Int64, strict=False).alias(name.removeprefix(_LABEL)) for name in phrases]
    return table.with_columns(pl.struct(whole).alias("labels")).drop(phrases)


def write_speechbrain(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """A CSV a split: `ID, duration, wav, spk_id, wrd`."""

    def write(rows: pl.DataFrame, stream: IO[bytes]) -> None:
        rows.select(
            pl.col("id").alias("ID"),
            pl.col("duration_s").alias("duration"),
            pl.col("audio").alias("wav"),
            pl.col("speaker").fill_null("").alias("spk_id"),
            pl.col("text").fill_null("").alias("wrd"),
        ).write_csv(stream)

    return _by_split(frame, folder, "{}.csv", write)


def write_speechbrain_json(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """A JSON a split, `{ID: {"wav", "length", "spk_id", "words"}}`."""

    def write(rows: pl.DataFrame, stream: IO[bytes]) -> None:
        columns = rows.select("id", "audio", "duration_s", "speaker", "text").iter_rows()
        document = {
            key: {"wav": audio, "length": length_s, "spk_id": speaker or "", "words": text or ""}
            for key, audio, length_s, speaker, text in columns
        }
        stream.write(json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n")

    return _by_split(frame, folder, "{}.json", write)


def write_lhotse(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """`cuts_SPLIT.jsonl.gz`, a cut with one supervision a row; domain and labels are `custom`.

    Raises:
        ManifestError: a row without sample rate, which a recording of Lhotse must have.
    """
    unknown = frame.filter(pl.col("sample_rate_hz").is_null())
    if unknown.height:
        raise ManifestError(
            f"{folder}: id {unknown['id'][0]!r} has no sample_rate_hz, which Lhotse needs; fill it in"
        )

    def write(rows: pl.DataFrame, stream: IO[bytes]) -> None:
        # No time of writing in the header: the same manifest gives the same bytes.
        with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed:
            for cut in _cuts(rows):
                packed.write(json.dumps(cut, ensure_ascii=False).encode() + b"\n")

    return _by_split(frame, folder, "cuts_{}.jsonl.gz", write)


def _cuts(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    columns = ("id", "audio", "duration_s", "sample_rate_hz", "text", "speaker", "domain", "labels")
    for row in rows.select(columns).iter_rows(named=True):
        row_id, duration_s, rate_hz = row["id"], row["duration_s"], row["sample_rate_hz"]
        yield {
            "id": row_id,
            "type": "MonoCut",
            "start": 0.0,
            "duration": duration_s,
            "channel": 0,
            "recording": {
                "id": row_id,
                "sources": [{"type": "file", "channels": [0], "source": row["audio"]}],
                "sampling_rate": rate_hz,
                "num_samples": round(duration_s * rate_hz),
                "duration": duration_s,
                "channel_ids": [0],
            },
            "supervisions": [
                {
                    "id": row_id,
                    "recording_id": row_id,
                    "start": 0.0,
                    "duration": duration_s,
                    "channel": 0,
                    "text": row["text"] or "",
                    "speaker": row["speaker"],
                    "custom": {"domain": row["domain"], "labels": row["labels"]},
                }
            ],
        }


def _by_split(
    frame: pl.DataFrame, folder: Path, name: str, write: Callable[[pl.DataFrame, IO[bytes]], object]
) -> list[Path]:
    """A file a split that has rows. Raises ManifestError for members of tars."""
    packed = frame.filter(pl.col("audio").str.contains("::", literal=True))
    if packed.height:
        raise ManifestError(
            f"{folder}: id {packed['id'][0]!r} is a member of a tar, which has no name there; unpack it"
        )
    written = []
    for split in SPLITS:
        rows = frame.filter(pl.col("split") == split)
        if rows.height:
            written.append(folder / name.format(split))
            with whole_file(written[-1]) as stream:
                write(rows, stream)
    return written
