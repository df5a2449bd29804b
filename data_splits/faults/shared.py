"""Faults of groups, parents and copies: something of train is heard in dev or test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import polars as pl

from data_splits.faults.fault import Fault, Faulty, in_split, put, rows_of, value_of

_COLUMNS: Final = {
    "speaker-overlap": "speaker",
    "session-overlap": "session",
    "day-overlap": "recorded_at",
    "vehicle-overlap": "vehicle",
    "device-overlap": "device",
    "microphone-overlap": "microphone",
    "rir-parent-leak": "rir_parent",
    "noise-parent-leak": "noise_parent",
    "clean-parent-leak": "clean_parent",
}
_GENERAL: Final = (pl.col("split") == "train") & (pl.col("domain") == "general")


def faults() -> Iterator[Fault]:
    """At least three a rule, from one row to many."""
    for rule, column in _COLUMNS.items():
        yield Fault(rule, "one test row has a value of train", _copied(column, "test", "train", 1))
        yield Fault(rule, "one dev row has a value of train_dev", _copied(column, "dev", "train_dev", 1))
        yield Fault(rule, "forty test rows have values of train", _copied(column, "test", "train", 40))
    yield Fault("noise-parent-leak", "as the second of two noises, at another offset", _second_noise)
    yield Fault("noise-parent-leak", "a row of train is the noise of a dev row", _parent_row("noise_parent"))
    yield Fault("clean-parent-leak", "a row of train is the parent of a dev row", _parent_row("clean_parent"))
    yield Fault("clean-parent-leak", "a dev row is the parent of a train row", _trained_child)
    yield Fault(
        "clean-parent-leak", "dev and test render one recording", _copied("clean_parent", "test", "dev", 1)
    )
    yield Fault("interferer-parent-leak", "a row of train speaks in dev", _parent_row("interferer_parent"))
    yield Fault("interferer-parent-leak", "a dev row speaks in train", _interfering_eval)
    yield Fault("interferer-parent-leak", "one radio plays in train and test", _radio)
    yield Fault("exact-duplicate", "the hash of a train row, in capitals", _hash("test", "train"))
    yield Fault("exact-duplicate", "the hash of a dev row", _hash("test", "dev"))
    yield Fault("exact-duplicate", "the file of a train row by another path", _same_file)
    yield Fault("train-dev-leak", "train renders a row of train_dev", _train_dev_parent)
    yield Fault("train-dev-leak", "train has a hash of train_dev", _hash("train", "train_dev"))
    yield Fault(
        "train-dev-leak", "train has a parent of train_dev", _copied("clean_parent", "train", "train_dev", 1)
    )
    for n in (1, 10, 40):
        inject = _copied("speaker", "train", "train_dev", n)
        yield Fault("train-dev-speaker", f"{n} train rows of a train_dev speaker", inject)
        yield Fault("non-mirror-eval", f"{n} test rows are general", _general(n))
        yield Fault("unproven-speaker", f"{n} dev rows name nobody", _unnamed(n))


def _copied(column: str, to: str, source: str, n: int) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        theirs = value_of(frame, rows_of(frame, in_split(source), skip=5)[0], column)
        ids = rows_of(frame, in_split(to), n, skip=3)
        if column == "recorded_at":
            # Later on the same day.
            theirs = theirs.replace(hour=22, minute=1)
        value: Any = theirs.to_list() if isinstance(theirs, pl.Series) else theirs
        return Faulty(put(frame, ids, **{column: value}), ids)

    return inject


def _second_noise(frame: pl.DataFrame) -> Faulty:
    theirs = value_of(frame, rows_of(frame, in_split("train"))[0], "noise_parent")[0]
    ids = rows_of(frame, in_split("test"), 2)
    both = pl.concat_list("noise_parent", pl.lit(theirs))
    return Faulty(put(frame, ids, noise_parent=both, noise_offset_s=123.4), ids)


def _parent_row(column: str) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        parent, ids = rows_of(frame, _GENERAL, skip=7)[0], rows_of(frame, in_split("dev"))
        value = parent if column == "clean_parent" else [parent]
        return Faulty(put(frame, ids, **{column: value}), [*ids, parent])

    return inject


def _trained_child(frame: pl.DataFrame) -> Faulty:
    parent, ids = rows_of(frame, in_split("dev"))[0], rows_of(frame, in_split("train"))
    return Faulty(put(frame, ids, clean_parent=parent), [*ids, parent])


def _interfering_eval(frame: pl.DataFrame) -> Faulty:
    talker, ids = rows_of(frame, in_split("dev"))[0], rows_of(frame, in_split("train"), 3)
    return Faulty(put(frame, ids, interferer_parent=["nobody", talker]), [*ids, talker])


def _radio(frame: pl.DataFrame) -> Faulty:
    ids = [*rows_of(frame, in_split("train"), 5), *rows_of(frame, in_split("test"), 5)]
    return Faulty(put(frame, ids, interferer_parent=["radio-1"]), ids)


def _hash(to: str, source: str) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        theirs, ids = rows_of(frame, in_split(source), skip=2)[0], rows_of(frame, in_split(to))
        copied = put(frame, ids, pcm_sha256=value_of(frame, theirs, "pcm_sha256").upper())
        return Faulty(copied, [*ids, theirs])

    return inject


def _same_file(frame: pl.DataFrame) -> Faulty:
    theirs, ids = rows_of(frame, in_split("train"))[0], rows_of(frame, in_split("dev"))
    path = "./" + str(value_of(frame, theirs, "audio")).replace("/", "//./")
    return Faulty(put(frame, ids, audio=path), [*ids, theirs])


def _train_dev_parent(frame: pl.DataFrame) -> Faulty:
    parent, ids = rows_of(frame, in_split("train_dev"))[0], rows_of(frame, in_split("train"))
    return Faulty(put(frame, ids, clean_parent=parent), [*ids, parent])


def _general(n: int) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        ids = rows_of(frame, in_split("test"), n)
        return Faulty(put(frame, ids, domain="general"), ids)

    return inject


def _unnamed(n: int) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        ids = rows_of(frame, in_split("dev"), n)
        return Faulty(put(frame, ids, speaker=None, session=None), ids)

    return inject
