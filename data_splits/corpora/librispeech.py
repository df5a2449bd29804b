"""LibriSpeech as it is unpacked: `SPEAKERS.TXT`, and `SUBSET/SPEAKER/CHAPTER/*.flac` beside `*.trans.txt`.

Source: https://www.openslr.org/12, README.TXT of the corpus (Panayotov et al., ICASSP 2015; CC BY 4.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data_splits.corpora.corpus import Corpus, CorpusError, Place, Utterance

_SPEAKERS = "SPEAKERS.TXT"


def _locate(folder: Path) -> Path:
    for root in (folder, folder / "LibriSpeech"):
        if _subsets(root):
            return root
    raise CorpusError(
        f"{folder}: holds no SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt; name the folder LibriSpeech, "
        "which holds train-clean-100 and its like"
    )


def _subsets(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(
        folder.name
        for folder in root.iterdir()
        if folder.is_dir() and next(folder.glob("[0-9]*/[0-9]*/*"), None) is not None
    )


def _read(place: Place, subset: str) -> Iterator[Utterance]:
    genders = _genders(place.root / _SPEAKERS)
    for chapter in _numbered(place.root / subset):
        speaker, name = chapter.parent.name, chapter.name
        transcripts = chapter / f"{speaker}-{name}.trans.txt"
        recorded = {path.stem for path in chapter.glob("*.flac")}
        texts = _texts(transcripts, bool(recorded))
        untold = sorted(recorded - texts.keys())
        if untold:
            raise CorpusError(
                f"{transcripts}: no transcript of {', '.join(untold[:3])} ({len(untold)} in all); "
                "unpack the subset again, or remove the recordings"
            )
        for line, (key, text) in enumerate(texts.items(), 1):
            yield Utterance(
                id=f"librispeech/{key}",
                audio=str(chapter / f"{key}.flac"),
                text=text,
                where=f"{transcripts} line {line}",
                source=f"librispeech {subset}",
                # As the development recordings name them, so that one voice is one group in a plan of both.
                speaker=f"ls-{speaker}",
                session=f"ls-{speaker}-{name}",
                further={"gender": genders.get(speaker)},
                skip=None if text else "no text",
            )


def _numbered(subset: Path) -> Iterator[Path]:
    """The chapters' folders, by the numbers of speaker and chapter."""
    for speaker in sorted((f for f in subset.iterdir() if f.name.isdigit()), key=lambda f: int(f.name)):
        yield from sorted((f for f in speaker.iterdir() if f.name.isdigit()), key=lambda f: int(f.name))


def _texts(path: Path, needed: bool) -> dict[str, str]:
    """Text by utterance. A line is `SPEAKER-CHAPTER-NUMBER THE TEXT`."""
    if not path.is_file():
        if not needed:
            return {}
        raise CorpusError(f"{path}: no such file, but recordings lie beside it; unpack the subset again")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 ({error.reason}); unpack the subset again") from error
    texts: dict[str, str] = {}
    prefix = path.name.removesuffix(".trans.txt") + "-"
    for number, line in enumerate(lines, 1):
        key, _, text = line.strip().partition(" ")
        if not key:
            continue
        if not key.startswith(prefix) or not key.removeprefix(prefix).isdigit():
            raise CorpusError(f"{path} line {number}: {key!r} is not {prefix}NUMBER; unpack the subset again")
        if key in texts:
            raise CorpusError(f"{path} line {number}: {key} is there twice; remove one of the lines")
        texts[key] = text.strip()
    return texts


def _genders(path: Path) -> dict[str, str]:
    """`male` or `female` by speaker, of lines `14 | F | SUBSET | MINUTES | NAME`; empty without the file."""
    if not path.is_file():
        return {}
    lines = pl.Series(path.read_text(encoding="utf-8", errors="replace").splitlines(), dtype=pl.String)
    table = lines.str.extract_groups(r"^\s*(?<speaker>\d+)\s*\|\s*(?<sex>[FM])\s*\|").struct.unnest()
    table = table.drop_nulls().with_columns(pl.col("sex").replace_strict({"F": "female", "M": "male"}))
    return dict(table.iter_rows())


CORPUS = Corpus(
    kind="librispeech",
    summary="the LibriSpeech tree of OpenSLR 12",
    licence="CC BY 4.0",
    locate=_locate,
    subsets=_subsets,
    read=_read,
)
