"""From a corpus to a manifest and shards.

Two passes over the corpus' lists, neither of which holds them in memory: the first finds every error before
anything is decoded, the second decodes. A shard is a function of the corpus and the wish, so that a run that
was stopped goes on with the shards that are missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from data_splits.corpora.corpus import Corpus, CorpusError, Place, Utterance, choose, held_out
from data_splits.corpora.skips import SkipLog
from data_splits.corpora.sound import DEFAULT_MAX_S
from data_splits.corpora.writing import Advance, Same, list_files, write_shards
from data_splits.manifest import write_manifest
from data_splits.schema import SPLITS

MANIFEST = "recordings.parquet"
_STAMP = "prepare.json"
_NAMED = 3
# What a run may be gone on with in another way; the shards come out the same.
_FREE = ("jobs", "audio_root", "skip_missing")


@dataclass(frozen=True)
class Wish:
    """What to make of a corpus."""

    subsets: tuple[str, ...] | None = None
    """None: all but the official dev and test sets."""
    split: str = "train"
    limit: int | None = None
    """The first utterances only, for a try."""
    shards: bool = True
    """False: the manifest points at the corpus' own files."""
    per_shard: int = 1000
    max_s: float = DEFAULT_MAX_S
    licence: str | None = None
    """None: the corpus' own, where it is known."""
    name: str | None = None
    """Prefix of ids and sources for a corpus without a name; None: its files' or its folder's."""
    audio_root: Path | None = None
    """The folder of the recordings where it is not the corpus' own."""
    skip_missing: bool = False
    """Leave out transcripts without audio instead of refusing the corpus."""
    jobs: int = 1
    """Processes that decode and encode."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise CorpusError(f"split {self.split!r}: one of {', '.join(SPLITS)}")
        for name, least in (("limit", 1), ("per_shard", 1), ("jobs", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise CorpusError(f"{name} {value}: at least {least}")
        if not 0 < self.max_s <= 600:
            raise CorpusError(f"max_s {self.max_s:g}: seconds, more than 0 and at most 600")


@dataclass(frozen=True)
class Prepared:
    """What was made."""

    manifest: Path
    utterances: int
    hours: float
    speakers: int
    subsets: Sequence[str]
    left_out: Sequence[str]
    """Subsets that are there and were not read, because nobody named them."""
    skipped: dict[str, list[str]]
    """Ids by reason; the details are in `skipped.jsonl`."""


def prepare(
    corpus: Corpus, folder: Path, out: Path, wish: Wish | None = None, advance: Advance | None = None
) -> Prepared:
    """Make `out/recordings.parquet` of a corpus, and shards beside it.

    Args:
        corpus: one of `CORPORA`.
        folder: where it lies; nothing is written there, offset indexes of its tars aside.
        out: a new or empty folder, or one that an earlier call with the same wish began.
        wish: what to make of it.
        advance: hears of the progress.

    Raises:
        CorpusError: the corpus cannot be read, is inconsistent, or nothing of it can be used; `out` holds
            something else, or another run is writing there.
        ShardError: a shard cannot be written.
    """
    wish, advance = wish or Wish(), advance or (lambda doing, done, total: None)
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; name the folder of the corpus")
    root = corpus.locate(folder.absolute())
    subsets = choose(corpus, root, wish.subsets)
    audio_root = (wish.audio_root or root).absolute()
    if not audio_root.is_dir():
        raise CorpusError(f"{audio_root}: no such folder; --audio-root names the folder of the recordings")
    place = Place(root, audio_root, wish.name)
    licence = wish.licence or corpus.licence
    with _exclusive(out):
        made = {
            **asdict(wish),
            "kind": corpus.kind,
            "subsets": subsets,
            "licence": licence,
        }
        stamp = {key: value for key, value in made.items() if key not in _FREE}
        _check_stamp(out, stamp)

        def utterances() -> Iterator[Utterance]:
            usable = (
                utterance
                for subset in subsets
                for utterance in corpus.read(place, subset)
                if utterance.skip is None and not (wish.skip_missing and not _is_there(utterance))
            )
            return islice(usable, wish.limit)

        everything = (u for subset in subsets for u in corpus.read(place, subset))
        total, skips = _scan(everything, utterances, wish, advance)
        (out / _STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
        log = SkipLog(out / "skipped.jsonl")
        log.add(skips)
        same = Same(wish.split, licence, wish.max_s)
        if wish.shards:
            frame = write_shards(utterances(), out, total, wish.per_shard, wish.jobs, same, log, advance)
        else:
            frame = list_files(utterances(), total, same, log, advance)
        write_manifest(frame, out / MANIFEST)
    return Prepared(
        out / MANIFEST,
        frame.height,
        float(frame["duration_s"].sum()) / 3600,
        frame["speaker"].drop_nulls().n_unique(),
        subsets,
        [name for name in corpus.subsets(root) if name not in subsets and held_out(name)],
        log.by_reason(),
    )


def _is_there(utterance: Utterance) -> bool:
    return Path(utterance.audio.partition("::")[0]).is_file()


def _scan(
    everything: Iterator[Utterance],
    usable: Callable[[], Iterator[Utterance]],
    wish: Wish,
    advance: Advance,
) -> tuple[int, list[tuple[str, str]]]:
    """Count the usable utterances, list the others, and find what is wrong before hours of decoding.

    Raises:
        CorpusError: an id is there twice, audio is missing, or nothing can be used.
    """
    hashes = array("q")
    skips: list[tuple[str, str]] = []
    missing: list[Utterance] = []
    n_missing, reached = 0, 0
    for utterance in everything:
        advance("reading the lists", 1, None)
        if utterance.skip is not None:
            skips.append((utterance.id, utterance.skip))
            continue
        if not _is_there(utterance):
            n_missing += 1
            if wish.skip_missing:
                skips.append((utterance.id, "missing audio"))
                continue
            missing = [*missing, utterance][:_NAMED]
        if utterance.span is not None and not wish.shards:
            raise CorpusError(
                f"{utterance.where}: {utterance.id!r} is a part of {utterance.audio}; only shards can "
                "hold it: leave --no-shards out"
            )
        hashes.append(_hash(utterance.id))
        reached += 1
        if reached == wish.limit:
            break
    if missing:
        named = "; ".join(f"{u.where}: {u.id} wants {u.audio}" for u in missing)
        raise CorpusError(
            f"{n_missing} transcripts without audio: {named}; fetch them, or leave them out by --skip-missing"
        )
    values, counts = np.unique(np.frombuffer(hashes, dtype=np.int64), return_counts=True)
    if len(values) < len(hashes):
        _name_twins(usable(), set(values[counts > 1].tolist()))
    if not hashes:
        first = (
            f"{len(skips)} left out, the first, {skips[0][0]}: {skips[0][1]}"
            if skips
            else "the lists are empty"
        )
        raise CorpusError(f"nothing to prepare: no utterance can be used ({first}); name other subsets")
    return len(hashes), skips


def _hash(key: str) -> int:
    """Eight bytes for an id, so that millions of them fit into memory."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _name_twins(utterances: Iterator[Utterance], suspects: set[int]) -> None:
    first: dict[str, str] = {}
    for utterance in utterances:
        if _hash(utterance.id) not in suspects:
            continue
        if utterance.id in first:
            raise CorpusError(
                f"{utterance.where}: id {utterance.id!r} is also in {first[utterance.id]}; ids are unique: "
                "remove one, or name fewer subsets"
            )
        first[utterance.id] = utterance.where


def _check_stamp(out: Path, now: dict[str, Any]) -> None:
    """Whether `out` is new, or was begun with the same wish; then its shards can be gone on with."""
    path = out / _STAMP
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = {}
        now = json.loads(json.dumps(now))
        changed = [
            f"{key} {before.get(key)!r}, now {now[key]!r}" for key in now if before.get(key) != now[key]
        ]
        if changed:
            raise CorpusError(f"{out}: was begun with {'; '.join(changed)}; give another --out, or remove it")
        return
    if any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise CorpusError(f"{out}: holds something else; name a new or empty folder")


@contextmanager
def _exclusive(out: Path) -> Iterator[None]:
    """Holds the folder's lock: two runs in one folder would overwrite each other."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorpusError(f"{out}: another run is writing here; wait, or give another --out") from None
        yield
