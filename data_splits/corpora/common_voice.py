"""Mozilla Common Voice: `LOCALE/{train,dev,test,validated,…}.tsv` beside `LOCALE/clips/*.mp3`.

Only the official train set is read unless another is named. `validated` holds the dev and test sets too:
their speakers are left out of it, unless dev or test is named as well.

Source: https://github.com/common-voice/cv-dataset (columns by release; CC0 1.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import polars as pl

from data_splits.corpora.corpus import Corpus, CorpusError, Place, Utterance, inside
from data_splits.corpora.tables import batches, scan_tsv

_REQUIRED = ("client_id", "path", "sentence")
_SUBSETS = ("train", "validated", "other", "invalidated", "dev", "test")
_HELD_OUT = ("dev", "test")
_BATCH_ROWS = 20_000


def _locate(folder: Path) -> Path:
    if _subsets(folder):
        return folder
    inner = sorted(path for path in folder.glob("*") if path.is_dir() and _subsets(path))
    if len(inner) == 1:
        return inner[0]
    if inner:
        raise CorpusError(
            f"{folder}: holds several languages ({', '.join(path.name for path in inner)}); name one of them"
        )
    raise CorpusError(
        f"{folder}: holds no train.tsv nor validated.tsv; name the folder that also holds clips/"
    )


def _subsets(root: Path) -> list[str]:
    return [name for name in _SUBSETS if (root / f"{name}.tsv").is_file()]


def _default(found: Sequence[str]) -> list[str]:
    return [name for name in ("train", "validated") if name in found][:1]


def _read(place: Place, subset: str) -> Iterator[Utterance]:
    path = place.root / f"{subset}.tsv"
    table = scan_tsv(path, _REQUIRED)
    found = table.collect_schema().names()
    accents = next((name for name in ("accents", "accent") if name in found), None)
    table = table.with_row_index("line", 2).select(
        "line",
        *_REQUIRED,
        *(
            (pl.col(name) if name in found else pl.lit(None, dtype=pl.String)).alias(alias)
            for alias, name in (
                ("accents", accents or "accents"),
                ("age", "age"),
                ("gender", "gender"),
                ("language", "locale"),
            )
        ),
    )
    if subset not in (*_HELD_OUT, "train"):
        for name in _HELD_OUT:
            if (place.root / f"{name}.tsv").is_file():
                held = scan_tsv(place.root / f"{name}.tsv", _REQUIRED).select("client_id").unique()
                table = table.join(held, on="client_id", how="anti", maintain_order="left")
    for batch in batches(table, path, _BATCH_ROWS):
        for row in batch.iter_rows(named=True):
            yield _utterance(place, subset, f"{path} line {row.pop('line')}", row)


def _utterance(place: Place, subset: str, where: str, row: dict[str, str | None]) -> Utterance:
    clip, speaker = row.pop("path"), row.pop("client_id")
    text = (row.pop("sentence") or "").strip()
    if not clip or not speaker:
        missing = "path" if not clip else "client_id"
        raise CorpusError(f"{where}: {missing} is empty; download the corpus again, or remove the line")
    # Up to release 2 the table names the clip without its suffix.
    file = clip if PurePosixPath(clip).suffix else f"{clip}.mp3"
    language = row["language"] or place.root.name
    return Utterance(
        id=f"common-voice/{PurePosixPath(file).stem}",
        audio=inside(f"{place.root}/clips/{file}", place, where),
        text=text,
        where=where,
        source=f"common-voice {language} {subset}",
        speaker=speaker,
        further={**row, "language": language},
        skip=None if text else "no text",
    )


CORPUS = Corpus(
    kind="common-voice",
    summary="one language of Mozilla Common Voice",
    licence="CC0-1.0",
    locate=_locate,
    subsets=_subsets,
    read=_read,
    default=_default,
)
