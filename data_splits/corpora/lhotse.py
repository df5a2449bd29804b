"""Lhotse's manifests, read as plain JSON: recordings with supervisions, cuts, or a shar folder.

A subset is what follows `recordings_`, `supervisions_` or `cuts_` in a file's name, as icefall writes them:
`librispeech_cuts_train-clean-100.jsonl.gz`. Where a subset has both, recordings and supervisions are taken,
for cuts are often copies at other speeds. An utterance is a supervision: its text, its stretch of time.

Source: `lhotse.audio.Recording`, `lhotse.supervision.SupervisionSegment`, `lhotse.cut.MonoCut` and their
`to_dict`; `lhotse.shar.writers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_splits.corpora.corpus import Corpus, CorpusError, Place, Span, Utterance, inside
from data_splits.corpora.tables import read_jsonl
from data_splits.errors import ShardError
from data_splits.members import open_shard

_NAME = re.compile(
    r"^(?:(?P<prefix>.+?)[_-])??(?P<kind>recordings|supervisions|cuts)(?:[_-](?P<part>.+?))?\.jsonl(?:\.gz)?$"
)
_SHAR = re.compile(r"^cuts\.(?P<number>\d+)\.jsonl(?:\.gz)?$")
_ALL = "all"
_TOLERANCE_S = 0.025  # Lhotse's own: a supervision may end a rounding error after its recording


@dataclass(frozen=True)
class _Source:
    """A recording: the file of each channel and the channel's place in that file."""

    files: Mapping[int, tuple[str, int]]
    duration_s: float
    skip: str | None


def _files(root: Path) -> dict[str, dict[str, Path]]:
    """By subset: the files of recordings, supervisions and cuts."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(root.glob("*.jsonl*")):
        if match := _NAME.match(path.name):
            found.setdefault(match["part"] or _ALL, {})[match["kind"]] = path
    return {
        part: kinds
        for part, kinds in sorted(found.items())
        if "cuts" in kinds or {"recordings", "supervisions"} <= kinds.keys()
    }


def _shards(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("cuts.*.jsonl*") if _SHAR.match(path.name))


def _subsets(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    shar = [path.name for path in sorted(root.iterdir()) if path.is_dir() and _shards(path)]
    return [*_files(root), *([_ALL] if _shards(root) else []), *shar]


def _locate(folder: Path) -> Path:
    if not _subsets(folder):
        raise CorpusError(
            f"{folder}: holds neither recordings and supervisions nor cuts (.jsonl or .jsonl.gz), nor a shar "
            "folder; name the folder of the manifests"
        )
    return folder


def _read(place: Place, subset: str) -> Iterator[Utterance]:
    kinds = _files(place.root).get(subset)
    match = _NAME.match(next(iter(kinds.values())).name) if kinds else None
    place = replace(place, name=place.name or (match and match["prefix"]) or place.root.name)
    if kinds is None:
        folder = place.root if subset == _ALL and _shards(place.root) else place.root / subset
        for shard in _shards(folder):
            yield from _cuts(shard, place, subset, _members(shard))
    elif "supervisions" in kinds and "recordings" in kinds:
        yield from _supervisions(kinds["recordings"], kinds["supervisions"], place, subset)
    else:
        yield from _cuts(kinds["cuts"], place, subset, None)


def _supervisions(recordings: Path, supervisions: Path, place: Place, subset: str) -> Iterator[Utterance]:
    sources: dict[str, _Source] = {}
    for line, row in read_jsonl(recordings):
        where = f"{recordings} line {line}"
        key = str(_value(row, "id", where))
        if key in sources:
            raise CorpusError(f"{where}: recording {key!r} is there twice; remove one of them")
        sources[key] = _source(row, place, where)
    for line, row in read_jsonl(supervisions):
        where = f"{supervisions} line {line}"
        recording = str(_value(row, "recording_id", where))
        if recording not in sources:
            raise CorpusError(
                f"{where}: recording_id {recording!r} is not in {recordings.name}; write both again"
            )
        yield _utterance(row, sources[recording], place, subset, where)


def _cuts(path: Path, place: Place, subset: str, members: Mapping[str, str] | None) -> Iterator[Utterance]:
    """Utterances of a file of cuts; in a shar folder `members` names each cut's audio."""
    for line, cut in read_jsonl(path):
        where = f"{path} line {line}"
        key = str(_value(cut, "id", where))
        if cut.get("type", "MonoCut") not in ("MonoCut", "MultiCut"):
            yield _unusable(key, place, subset, where, f"a {cut['type']}, not a plain cut")
            continue
        recording = cut.get("recording")
        if not isinstance(recording, dict):
            yield _unusable(key, place, subset, where, "a cut without recording")
            continue
        if members is None:
            source = _source(recording, place, where)
        else:
            if key not in members:
                raise CorpusError(
                    f"{where}: no audio of cut {key!r} in its recording tar; export the shar again"
                )
            duration_s = _number(recording, "duration", where)
            files = {
                channel: (members[key], i) for i, channel in enumerate(recording.get("channel_ids") or [0])
            }
            source = _Source(files, duration_s, None)
        cut_start_s, cut_s = _number(cut, "start", where), _number(cut, "duration", where)
        for supervision in cut.get("supervisions") or []:
            start_s = _number(supervision, "start", where)
            end_s = start_s + _number(supervision, "duration", where)
            if start_s < -_TOLERANCE_S or end_s > cut_s + _TOLERANCE_S:
                yield _unusable(
                    str(_value(supervision, "id", where)), place, subset, where, "only partly in its cut"
                )
                continue
            yield _utterance(supervision, source, place, subset, where, cut_start_s)


def _utterance(
    row: Mapping[str, Any], source: _Source, place: Place, subset: str, where: str, offset_s: float = 0.0
) -> Utterance:
    key = str(_value(row, "id", where))
    start_s = max(0.0, offset_s + _number(row, "start", where))
    stop_s = min(source.duration_s, offset_s + _number(row, "start", where) + _number(row, "duration", where))
    whole = start_s <= _TOLERANCE_S and stop_s >= source.duration_s - _TOLERANCE_S
    channel = row.get("channel", 0)
    channel = channel[0] if isinstance(channel, list) and channel else channel
    if channel not in source.files:
        raise CorpusError(
            f"{where}: {key!r} is in channel {channel!r}, its recording has {list(source.files)}"
        )
    file, index = source.files[channel]
    text = " ".join(str(row.get("text") or "").split())
    skip = source.skip or (None if text else "no text")
    return Utterance(
        id=f"{place.name}/{key}",
        audio=file,
        text=text,
        where=where,
        source=f"{place.name} {subset}",
        speaker=f"{place.name}-{row['speaker']}" if row.get("speaker") else None,
        session=f"{place.name}-{row['recording_id']}" if row.get("recording_id") else None,
        span=None if whole else Span(start_s, stop_s),
        channel=index if len(source.files) > 1 else None,
        further={name: row.get(name) and str(row[name]) for name in ("language", "gender")},
        skip=skip if skip or stop_s > start_s else "empty",
    )


def _unusable(key: str, place: Place, subset: str, where: str, why: str) -> Utterance:
    further = {"language": None, "gender": None}
    return Utterance(
        f"{place.name}/{key}", "", "", where, f"{place.name} {subset}", further=further, skip=why
    )


def _source(row: Mapping[str, Any], place: Place, where: str) -> _Source:
    """A recording's files. Commands and addresses are refused: nothing that a file says is run or fetched."""
    files: dict[int, tuple[str, int]] = {}
    for source in _value(row, "sources", where):
        if source.get("type") != "file":
            raise CorpusError(
                f"{where}: source of type {source.get('type')!r}: only files are read; store the audio as "
                "files, `lhotse cut export-to-shar` does it"
            )
        file = inside(str(_value(source, "source", where)), place, where)
        for index, channel in enumerate(source.get("channels") or [0]):
            files[channel] = (file, index)
    if not files:
        raise CorpusError(f"{where}: recording {row.get('id')!r} has no sources; write it again")
    transformed = "a copy with transforms, such as another speed" if row.get("transforms") else None
    return _Source(files, _number(row, "duration", where), transformed)


def _members(shard: Path) -> dict[str, str]:
    """The audio of each cut of a shar shard: `recording.NNNNNN.tar::CUT.flac`."""
    match = _SHAR.match(shard.name)
    tar_path = shard.with_name(f"recording.{match['number'] if match else ''}.tar")
    try:
        names = open_shard(tar_path).members
    except ShardError as error:
        raise CorpusError(f"{shard}: its recordings cannot be read: {error}") from error
    audio = [name for name in names if not name.endswith((".json", ".nodata", ".nometa"))]
    return {name.rpartition(".")[0]: f"{tar_path}::{name}" for name in audio}


def _value(row: Mapping[str, Any], name: str, where: str) -> Any:
    if row.get(name) in (None, ""):
        raise CorpusError(f"{where}: no {name!r}; found {', '.join(row)}; write the manifest again")
    return row[name]


def _number(row: Mapping[str, Any], name: str, where: str) -> float:
    value = row.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e9:
        raise CorpusError(f"{where}: {name} {value!r} is not a number of seconds; write the manifest again")
    return float(value)


CORPUS = Corpus(
    kind="lhotse",
    summary="Lhotse's recordings and supervisions, cuts, or shar folders",
    licence=None,
    locate=_locate,
    subsets=_subsets,
    read=_read,
)
