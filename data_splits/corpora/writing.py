"""The two ways to a manifest: shards of decoded utterances, or the corpus' own files."""

from __future__ import annotations

import multiprocessing
import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_splits.audio import SAMPLE_RATE_HZ
from data_splits.corpora.corpus import CorpusError, Utterance
from data_splits.corpora.skips import SkipLog
from data_splits.corpora.sound import Unusable, decode, measure
from data_splits.recordings import WAKE_WORDS
from data_splits.shards import ShardError, is_whole, write_shard

_NO_LETTERS = re.compile(r"[^a-z']+")
_CHUNK = 1000

Skips = list[tuple[str, str]]
Advance = Callable[[str, int, int | None], None]
"""Called with what is being done, how much more of it is done, and its total where it is known."""


@dataclass(frozen=True)
class Same:
    """What is the same for all rows."""

    split: str
    licence: str | None
    max_s: float


def write_shards(
    utterances: Iterator[Utterance],
    out: Path,
    total: int,
    per_shard: int,
    jobs: int,
    same: Same,
    log: SkipLog,
    advance: Advance,
) -> pl.DataFrame:
    """`speech-00000.tar` … in `out`, those that are whole left as they are; the rows of all of them.

    Raises:
        CorpusError: a shard holds other utterances than the corpus has now, or nothing could be decoded.
        ShardError: a shard cannot be written.
    """
    paths: list[Path] = []
    pending: deque[tuple[int, Future[Skips]]] = deque()

    def done(number: int, skips: Skips) -> None:
        log.add(skips)
        advance("writing shards", number, total)

    # Spawned, not forked: polars' threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context) if jobs > 1 else None
    try:
        while chunk := list(islice(utterances, per_shard)):
            path = out / f"speech-{len(paths):05d}.tar"
            paths.append(path)
            if _is_done(path, chunk):
                advance("writing shards", len(chunk), total)
            elif pool is None:
                done(len(chunk), _write_shard(path, chunk, same))
            else:
                pending.append((len(chunk), pool.submit(_write_shard, path, chunk, same)))
                while len(pending) > jobs:
                    number, future = pending.popleft()
                    done(number, future.result())
        while pending:
            number, future = pending.popleft()
            done(number, future.result())
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    tables = [path.with_suffix(".parquet") for path in paths if path.with_suffix(".parquet").is_file()]
    return _joined([pl.read_parquet(table, glob=False) for table in tables], log)


def list_files(
    utterances: Iterator[Utterance], total: int, same: Same, log: SkipLog, advance: Advance
) -> pl.DataFrame:
    """Rows that point at the corpus' own files; only headers are read. Raises as `write_shards`."""
    frames = []
    while chunk := list(islice(utterances, _CHUNK)):
        rows, skips = [], []
        for utterance in chunk:
            try:
                duration_s, rate_hz = measure(utterance, same.max_s)
            except Unusable as error:
                skips.append((utterance.id, str(error)))
                continue
            row = _row(utterance, same)
            rows.append(
                {**row, "audio": utterance.audio, "duration_s": duration_s, "sample_rate_hz": rate_hz}
            )
        log.add(skips)
        if rows:
            frames.append(pl.DataFrame(rows, infer_schema_length=None))
        advance("reading headers", len(chunk), total)
    return _joined(frames, log)


def _joined(frames: list[pl.DataFrame], log: SkipLog) -> pl.DataFrame:
    if not frames:
        key, reason = next(iter(log.reasons.items()), ("", "no reason is known"))
        raise CorpusError(f"nothing could be used; the first, {key}: {reason}")
    return pl.concat(frames, how="diagonal_relaxed")


def _is_done(path: Path, chunk: list[Utterance]) -> bool:
    """Whether a shard needs no writing; one that was damaged since is written again."""
    try:
        if not is_whole(path):
            return False
        held = set(pl.read_parquet(path.with_suffix(".parquet"), columns=["id"], glob=False)["id"])
    except (ShardError, pl.exceptions.PolarsError):
        return False
    foreign = held - {utterance.id for utterance in chunk}
    if foreign:
        raise CorpusError(
            f"{path}: holds {min(foreign)!r}, which the corpus no longer has at this place; it has changed "
            "since: give another --out"
        )
    return True


def _write_shard(path: Path, chunk: list[Utterance], same: Same) -> Skips:
    """One shard; what could not be used. No shard is written when that is all."""
    skips: Skips = []

    def items() -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        for utterance in chunk:
            try:
                samples = decode(utterance, same.max_s)
            except Unusable as error:
                skips.append((utterance.id, str(error)))
                continue
            yield {**_row(utterance, same), "sample_rate_hz": SAMPLE_RATE_HZ}, samples

    decoded = items()
    # A column may be empty in one shard and text in the next.
    schema = dict.fromkeys(("licence", *chunk[0].further), pl.String)
    for first in decoded:
        write_shard(path, chain([first], decoded), schema=schema)
    return skips


def _row(utterance: Utterance, same: Same) -> dict[str, Any]:
    """The manifest row of an utterance, but for its audio, duration and rate."""
    words = f" {_NO_LETTERS.sub(' ', utterance.text.lower())} "
    return {
        "id": utterance.id,
        "text": utterance.text,
        "domain": "general",
        "source": utterance.source,
        "speaker": utterance.speaker,
        "session": utterance.session,
        # A text says surely which wake phrases were spoken and which were not.
        "labels": {phrase: int(f" {phrase} " in words) for phrase in WAKE_WORDS},
        "split": same.split,
        "licence": same.licence,
        **utterance.further,
    }
