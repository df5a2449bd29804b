"""Folder trees: recordings whose paths say what they are, as a manifest; and a manifest as such a tree.

A pattern such as `{split}/{label}/{speaker}_{*}` names the parts of a path without its suffix by the
manifest's columns. `{label}` is the phrase that is said (`_` for a space), `{id}` may hold slashes, `{*}` is
anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from data_splits.audio import AudioError, resolve
from data_splits.corpora.corpus import Utterance
from data_splits.corpora.sound import Unusable, measure
from data_splits.errors import ShardError
from data_splits.files import whole_file
from data_splits.members import open_shard
from data_splits.schema import STRINGS, ManifestError

SUFFIXES: Final = (".wav", ".flac", ".ogg", ".opus", ".mp3")
MAX_S: Final = 36_000.0
ANYTHING, LABEL, UNKNOWN = "*", "label", "unknown"
_FIELD = re.compile(r"\{([^{}]*)\}")
_COLUMNS = tuple(name for name in STRINGS if name not in ("audio", "pcm_sha256"))


def fields(pattern: str) -> list[str]:
    """The columns that a pattern names. Raises ManifestError for one that no manifest has, or twice."""
    names = [name for name in _FIELD.findall(pattern) if name != ANYTHING]
    for name in names:
        if name not in (*_COLUMNS, LABEL):
            known = ", ".join((LABEL, *_COLUMNS))
            raise ManifestError(f"--tree {pattern}: {{{name}}} is no column; it may be {known} or {{*}}")
        if names.count(name) > 1:
            raise ManifestError(f"--tree {pattern}: {{{name}}} stands there twice; name a part once")
    if not names or re.search("[{}]", _FIELD.sub("", pattern)):
        raise ManifestError(f"--tree {pattern}: names no column; for example {{split}}/{{speaker}}/{{id}}")
    return names


def read_tree(
    folder: Path, pattern: str, constants: Mapping[str, str]
) -> tuple[pl.DataFrame, list[tuple[str, str]]]:
    """One row a recording, not yet checked; and what was left out, by path and reason.

    Links are not followed. A recording in a folder of one phrase is labelled 0 for the tree's other phrases.

    Args:
        constants: columns that are the same for all, such as ``{"domain": "mirror"}``.

    Raises:
        ManifestError: a path that the pattern does not describe, or no recording at all.
    """
    named = fields(pattern)
    for name in constants:
        if name not in _COLUMNS:
            raise ManifestError(f"--set {name}: no column; it may be {', '.join(_COLUMNS)}")
        if name in named:
            raise ManifestError(f"--set {name}: is named by --tree as well; leave one out")
    described = _expression(pattern)
    rows, left_out = [], []
    for path in _recordings(folder):
        place = path.relative_to(folder).as_posix()
        found = described.fullmatch(place.removesuffix(path.suffix))
        if found is None:
            raise ManifestError(
                f"{folder}: {place!r} is not {pattern!r}; correct --tree, or move the file away"
            )
        told = Utterance(id=place, audio=str(path), text="", where=place, source="")
        try:
            if path.is_symlink():
                raise Unusable("a link")
            duration_s, rate_hz = measure(told, MAX_S)
        except Unusable as error:
            left_out.append((place, str(error)))
            continue
        row: dict[str, Any] = {"id": place.removesuffix(path.suffix), **constants, **found.groupdict()}
        rows.append(
            {**row, "audio": str(path.resolve()), "duration_s": duration_s, "sample_rate_hz": rate_hz}
        )
    if not rows:
        why = f"; {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise ManifestError(f"{folder}: holds no recording ({', '.join(SUFFIXES)}){why}")
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return _labelled(frame) if LABEL in named else frame, left_out


def write_tree(frame: pl.DataFrame, root: Path, folder: Path, pattern: str) -> list[Path]:
    """Copies each recording to the path that the pattern gives it; an unknown value becomes `unknown`.

    Args:
        root: folder of relative audio paths.

    Raises:
        ManifestError: two rows of one path, or a value that would leave ``folder``; nothing is written then.
    """
    named = fields(pattern)
    if ANYTHING in _FIELD.findall(pattern):
        raise ManifestError(f"--tree {pattern}: what stands for {{*}} is not known; name columns alone")
    targets: dict[Path, str] = {}
    for row in frame.iter_rows(named=True):
        values = {name: _said(row) if name == LABEL else str(row[name] or UNKNOWN) for name in named}
        for name, value in values.items():
            climbs = any(part in ("", ".", "..") for part in value.split("/"))
            if climbs or "\0" in value or (name != "id" and "/" in value):
                raise ManifestError(f"{folder}: {name} {value!r} of id {row['id']!r} is no name of a folder")
        suffix = Path(row["audio"].rpartition("::")[2]).suffix
        path = folder / (pattern.format_map(values) + suffix)
        if path in targets:
            raise ManifestError(f"{path}: would be two recordings; put {{id}} into --tree")
        targets[path] = row["audio"]
    for path, audio in targets.items():
        content = _content(audio, root)
        with whole_file(path) as stream:
            stream.write(content)
    return list(targets)


def _expression(pattern: str) -> re.Pattern[str]:
    literals, names = _FIELD.sub("{}", pattern).split("{}"), _FIELD.findall(pattern)
    expression = re.escape(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        one = "[^/]*?" if name == ANYTHING else "(?P<id>.+?)" if name == "id" else f"(?P<{name}>[^/]+?)"
        expression += one + re.escape(literal)
    return re.compile(expression)


def _recordings(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise ManifestError(f"{folder}: no such folder")
    for at, folders, files in os.walk(folder, followlinks=False):
        folders.sort()
        yield from (Path(at, name) for name in sorted(files) if Path(name).suffix.lower() in SUFFIXES)


def _labelled(frame: pl.DataFrame) -> pl.DataFrame:
    said = pl.col(LABEL).str.replace_all("_", " ")
    phrases = frame.select(said.unique().sort())[LABEL].to_list()
    labels = pl.struct((said == phrase).cast(pl.Int8).alias(phrase) for phrase in phrases)
    return frame.with_columns(labels.alias("labels")).drop(LABEL)


def _said(row: Mapping[str, Any]) -> str:
    labels = row["labels"] or {}
    return next((phrase.replace(" ", "_") for phrase, label in labels.items() if label == 1), UNKNOWN)


def _content(audio: str, root: Path) -> bytes:
    try:
        path, member = resolve(audio, root)
        return path.read_bytes() if member is None else open_shard(path).read(member)
    except (AudioError, ShardError, OSError) as error:
        raise ManifestError(f"{audio}: cannot be copied: {error}") from error
