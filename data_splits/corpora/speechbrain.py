"""SpeechBrain's data manifests: `train.csv` with `ID, duration, wav, spk_id, wrd`, or the same as JSON by id.

The folder's own name stands for the corpus. A path's leading placeholder (`$data_root`, `{data_root}` or any
other) is the folder itself, or `--audio-root`. Parts of recordings (`start` and `stop`, in samples) are read.

Source: `speechbrain.dataio.dataio`: `load_data_csv`, `load_data_json`, `read_audio`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_splits.corpora.corpus import Corpus, CorpusError, Place, Span, Utterance, held_out, inside
from data_splits.corpora.tables import read_csv, read_json

# The names that SpeechBrain's recipes use; the first one found in a manifest is taken.
_AUDIO = ("wav", "file_path", "wav_path", "path", "audio")
_TEXT = ("wrd", "words", "text", "transcript", "transcription")
_SPEAKER = ("spk_id", "speaker", "speaker_id", "spk")
_PLACEHOLDER = re.compile(r"^(?:\$\w+|\$?\{[\w.]+\})(?:/|$)")
_LEFT_OVER = re.compile(r"\$\w+|\{[\w.]+\}")
# A manifest's first value is an object; other JSON files beside it mostly begin otherwise.
_JSON_MANIFEST = re.compile(rb'^\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\{')


def _locate(folder: Path) -> Path:
    if not _subsets(folder):
        raise CorpusError(f"{folder}: holds no .csv or .json manifest of SpeechBrain; name their folder")
    return folder


def _subsets(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    tables = {path.stem for path in root.glob("*.csv")}
    objects = {path.stem for path in root.glob("*.json") if _JSON_MANIFEST.match(_head(path))}
    return sorted(tables | objects)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(4096)


def _default(found: Sequence[str]) -> list[str]:
    # Recipes write train.csv beside the parts that it was merged from.
    return ["train"] if "train" in found else [name for name in found if not held_out(name)]


def _read(place: Place, subset: str) -> Iterator[Utterance]:
    table = place.root / f"{subset}.csv"
    path = table if table.is_file() else place.root / f"{subset}.json"
    rows = _csv_rows(path) if path == table else _json_rows(path)
    name = place.name or place.root.name
    for where, key, row in rows:
        audio = row[_first(_AUDIO, row, where)]
        text = " ".join(str(row[_first(_TEXT, row, where)]).split())
        speaker = next((str(row[key]) for key in _SPEAKER if row.get(key) not in (None, "")), None)
        file, span = _file_and_span(audio, row, where)
        file = _PLACEHOLDER.sub(f"{place.audio_root}/", file)
        if _LEFT_OVER.search(file):
            raise CorpusError(
                f"{where}: audio {file!r} holds a placeholder in its middle; write the path out"
            )
        yield Utterance(
            id=f"{name}/{key}",
            audio=inside(file, place, where),
            text=text,
            where=where,
            source=f"{name} {subset}",
            # Ids of speakers are often numbers, which another corpus uses as well.
            speaker=speaker and f"{name}-{speaker}",
            span=span,
            skip=None if text else "no text",
        )


def _csv_rows(path: Path) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for line, row in read_csv(path, ("ID",)):
        key = row["ID"].strip()
        if not key:
            raise CorpusError(f"{path} line {line}: ID is empty; give every utterance its own")
        yield f"{path} line {line}", key, row


def _json_rows(path: Path) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for key, row in read_json(path).items():
        if not key or not isinstance(row, dict):
            raise CorpusError(f"{path}: {key!r} is not the id of an object that describes an utterance")
        yield f"{path} id {key}", key, row


def _first(names: Sequence[str], row: Mapping[str, Any], where: str) -> str:
    for name in names:
        if name in row and row[name] is not None:
            return name
    raise CorpusError(f"{where}: missing column {' or '.join(names)}; found {', '.join(row)}; rename one")


def _file_and_span(audio: Any, row: Mapping[str, Any], where: str) -> tuple[str, Span | None]:
    """The file, and which samples of it are meant: `{"file", "start", "stop"}`, or columns named so."""
    described = audio if isinstance(audio, dict) else {**row, "file": audio}
    file = described.get("file")
    if not isinstance(file, str):
        raise CorpusError(
            f"{where}: audio {audio!r} names no single file; give one path, or an object with file"
        )
    start, stop = described.get("start"), described.get("stop")
    if start in (None, "") and stop in (None, ""):
        return file, None
    try:
        first, last = int(float(start or 0)), int(float(stop or 0))
    except (TypeError, ValueError, OverflowError) as error:
        raise CorpusError(f"{where}: start {start!r} and stop {stop!r} are not numbers of samples") from error
    if first < 0 or (last and last < first):
        raise CorpusError(f"{where}: start {first} and stop {last}: a part of a recording goes forward")
    # As SpeechBrain has it: no stop, or stop equal to start, means until the end.
    until_end = last in (0, first)
    return file, None if until_end and not first else Span(
        first, None if until_end else last, in_samples=True
    )


CORPUS = Corpus(
    kind="speechbrain",
    summary="CSV or JSON manifests of SpeechBrain",
    licence=None,
    locate=_locate,
    subsets=_subsets,
    read=_read,
    default=_default,
)
