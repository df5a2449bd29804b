"""What a reader of a corpus gives, and the checks that all readers share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

# Names under which corpora keep what nobody may train on.
_HELD_OUT = re.compile(
    r"(?:^|[^a-z])(?:dev|devel|development|valid|validation|eval|evaluation|test)(?:[^a-z]|$)"
)


class CorpusError(ValueError):
    """A corpus that cannot be read; the message names the file, the value and the remedy."""


@dataclass(frozen=True)
class Place:
    """Where a corpus lies: its folder, and the folder of its audio where that is another one."""

    root: Path
    audio_root: Path
    name: str | None = None
    """Prefix of ids and sources for a corpus without a name; None: the reader finds one."""

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        """What a path inside begins with; manifests name folders with their links followed, or not."""
        roots = (self.root, self.audio_root, self.root.resolve(), self.audio_root.resolve())
        return tuple(str(root).rstrip("/") + "/" for root in roots)


@dataclass(frozen=True)
class Span:
    """A part of a recording, [start, stop); `stop` None is its end."""

    start: float
    stop: float | None
    in_samples: bool = False
    """The numbers are samples at the file's own rate, not seconds."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance as its corpus describes it; nothing of it has been decoded."""

    id: str
    audio: str
    """Absolute path, or `/…/shard.tar::member`."""
    text: str
    where: str
    """File and line that describe it, for messages."""
    source: str
    speaker: str | None = None
    session: str | None = None
    span: Span | None = None
    """None: the whole recording."""
    channel: int | None = None
    """None: all channels, averaged."""
    further: Mapping[str, str | None] = field(default_factory=dict)
    """Further columns of the manifest; the same keys for every utterance of a corpus."""
    skip: str | None = None
    """Why a row that is no error still cannot be used."""


@dataclass(frozen=True)
class Corpus:
    """A kind of corpus."""

    kind: str
    summary: str
    licence: str | None
    """None: the corpus does not say; the user does."""
    locate: Callable[[Path], Path]
    """The folder that holds the corpus, given what the user named. Raises CorpusError."""
    subsets: Callable[[Path], Sequence[str]]
    """All subsets that are there, in the order in which they are read."""
    read: Callable[[Place, str], Iterator[Utterance]]
    """The utterances of one subset, the same in the same order each time. Raises CorpusError."""
    default: Callable[[Sequence[str]], Sequence[str]] = lambda found: [s for s in found if not held_out(s)]
    """The subsets to read when none is named: never an official dev or test set."""


def held_out(subset: str) -> bool:
    """Whether a subset's name says that it is a dev, validation or test set."""
    return _HELD_OUT.search(subset.lower()) is not None


def choose(corpus: Corpus, root: Path, asked: Sequence[str] | None) -> list[str]:
    """The subsets to read.

    Raises:
        CorpusError: one that is not there, or none is left when held-out sets are not counted.
    """
    found = list(corpus.subsets(root))
    if asked:
        missing = [name for name in asked if name not in found]
        if missing:
            raise CorpusError(f"{root}: no subset {missing[0]!r}; found {', '.join(found) or 'none'}")
        return [name for name in found if name in asked]
    chosen = list(corpus.default(found))
    if not chosen:
        raise CorpusError(
            f"{root}: holds nothing but {', '.join(found)}, which is held out for dev and test; "
            "name what you want by --subset, with --split for the split it goes to"
        )
    return chosen


def inside(reference: str, place: Place, where: str) -> str:
    """The absolute path of a recording that a corpus names, which may not lie outside the corpus.

    The check is of the path as written: a link that the owner put inside the corpus is followed.

    Raises:
        CorpusError: for an empty path, or one that leaves the corpus and its audio folder.
    """
    if not reference.strip() or "\0" in reference or "::" in reference:
        raise CorpusError(f"{where}: audio {reference!r} is not a path; correct it")
    path = os.path.normpath(os.path.join(place.audio_root, reference))  # noqa: PTH118  (a million times)
    if not path.startswith(place.prefixes):
        raise CorpusError(
            f"{where}: audio {reference!r} lies outside {place.audio_root}; "
            "name the folder of the recordings by --audio-root"
        )
    return path
