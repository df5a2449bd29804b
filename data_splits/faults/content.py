"""Faults of labels, texts and times, and of whole sets: too few, too alike, or drawn otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from data_splits.faults.fault import Fault, Faulty, in_split, labelled, put, rows_of, value_of

_PHRASE = "smart mirror"


def faults() -> Iterator[Fault]:
    """At least three a rule, from plain to subtle."""
    end = pl.col("duration_s")
    for name, start_s, end_s in (
        ("a word ends before it starts", pl.lit(1.2), pl.lit(1.0)),
        ("a word ends 20 ms after its audio", pl.lit(0.5), end + 0.02),
        ("a word starts before its audio", pl.lit(-0.1), pl.lit(0.5)),
    ):
        yield Fault(
            "integrity", name, _put(in_split("train", "test"), 3, word_start_s=start_s, word_end_s=end_s)
        )
    yield Fault("label-conflict", "two renderings of one take", _conflict("clean_parent"))
    yield Fault("label-conflict", "one file twice", _conflict("audio"))
    yield Fault("label-conflict", "the same samples", _conflict("pcm_sha256"))
    for text in ("so, SMART-MIRROR!", "call smartmirror now", "ｓｍａｒｔ　ｍｉｒｒｏｒ"):
        yield Fault("keyword-in-negative", text, _put(in_split("test") & labelled(0), 2, text=text))
    for text in ("smart", "mirror smart", "smart mirrors"):
        yield Fault("keyword-missing", text, _put(in_split("train") & labelled(1), 2, text=text))
    for n, change in ((1, str), (3, str.upper), (30, lambda text: text.replace(" ", ", ") + ".")):
        yield Fault("transcript-overlap", f"{n} test rows say what train says", _said(n, change))
        yield Fault("contamination", f"{n} rows of test are public", _public("test", n))
        yield Fault("missing-labels", f"{n} rows of dev are unlabelled", _unlabelled(n))
    yield Fault("contamination", "twenty rows of train are public", _public("train", 20))
    for name in ("train", "dev", "test"):
        yield Fault("split-missing", f"no {name}", _without(pl.col("split") == name))
        yield Fault("train-dev-missing", f"train_dev is {name}", _moved(name))
    train = in_split("train")
    yield Fault("noise-budget", "one recording behind all of train", _noise(train))
    yield Fault("noise-budget", "one recording behind the rain of train", _noise(train & _kind("rain")))
    yield Fault("noise-budget", "one recording behind a hundred kinds", _many_kinds)
    yield Fault("noise-budget", "one recording behind most of test", _noise(in_split("test"), every=10))
    yield Fault("class-balance", "no negative in test", _without(in_split("test") & labelled(0)))
    yield Fault("class-balance", "nine positives in dev", _thinned("dev", 9))
    yield Fault("class-balance", "a fifth of the positives of test", _thinned("test", 260))
    yield Fault("slice-coverage", "no rain in test", _without(in_split("test") & _kind("rain")))
    no_motorway = in_split("dev") & (pl.col("speed_band") == "motorway")
    yield Fault("slice-coverage", "no motorway in dev", _without(no_motorway))
    yield Fault("slice-coverage", "wipers in train alone", _put(train, 25, noise_kind="wipers"))
    test, both = in_split("test"), in_split("dev", "test")
    yield Fault("drift", "test is a fifth longer", _shift(test, both, duration_s=end * 1.2))
    yield Fault("drift", "test is 4 dB noisier", _shift(test, both, snr_db=pl.col("snr_db") - 4))
    calm = in_split("dev") & pl.col("noise_kind").is_in(["wind", "rain"])
    yield Fault("drift", "a third of dev is on the road instead", _shift(calm, both, noise_kind="road"))
    reader = (pl.col("split") == "train_dev") & (pl.col("domain") == "general")
    seen = pl.col("split").is_in(["train", "train_dev"])
    yield Fault("drift", "train_dev is read by others", _shift(reader, seen, source="elsewhere"))
    longer = _shift(labelled(0), pl.col("domain") == "mirror", duration_s=2 * end)
    yield Fault("spurious-cue", "negatives are twice as long", longer)
    shorter = _shift(both & labelled(1), both, duration_s=0.8 * end)
    yield Fault("spurious-cue", "positives of dev and test are shorter", shorter)
    cleaner = _shift(train & labelled(1), train, snr_db=pl.col("snr_db") + 8)
    yield Fault("spurious-cue", "positives of train are 8 dB cleaner", cleaner)
    yield Fault("power", "half the negatives of test", _without(test & labelled(0) & _every(2)))
    yield Fault("power", "one dev row in twenty", _without(in_split("dev") & ~_every(20)))
    one_take = pl.when(labelled(1)).then(pl.lit("one take")).otherwise("clean_parent")
    one = _shift(test, test & labelled(1), clean_parent=one_take)
    yield Fault("power", "all positives of test render one take", one)


def _kind(name: str) -> pl.Expr:
    return pl.col("noise_kind") == name


def _every(n: int) -> pl.Expr:
    return pl.int_range(pl.len()) % n == 0


def _put(where: pl.Expr, n: int, **values: Any) -> Callable[[pl.DataFrame], Faulty]:
    """Change n rows, which are to be named."""

    def inject(frame: pl.DataFrame) -> Faulty:
        ids = rows_of(frame, where, n)
        return Faulty(put(frame, ids, **values), ids)

    return inject


def _shift(where: pl.Expr, compared: pl.Expr, **values: Any) -> Callable[[pl.DataFrame], Faulty]:
    """Change all rows of one kind; any of those that it is compared with may be named as evidence."""

    def inject(frame: pl.DataFrame) -> Faulty:
        changed = put(frame, frame.filter(where)["id"].to_list(), **values)
        return Faulty(changed, frame.filter(compared)["id"].to_list())

    return inject


def _without(where: pl.Expr) -> Callable[[pl.DataFrame], Faulty]:
    return lambda frame: Faulty(frame.filter(~where))


def _moved(split: str) -> Callable[[pl.DataFrame], Faulty]:
    return lambda frame: Faulty(frame.with_columns(pl.col("split").replace("train_dev", split)))


def _conflict(column: str) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        one = rows_of(frame, in_split("train") & labelled(1))[0]
        ids = rows_of(frame, in_split("train") & labelled(0))
        copied = {name: value_of(frame, one, name) for name in {column, "text"}}
        return Faulty(put(frame, ids, **copied), [one, *ids])

    return inject


def _said(n: int, change: Callable[[str], str]) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        train = (pl.col("split") == "train") & (pl.col("domain") == "general")
        text = change(str(value_of(frame, rows_of(frame, train, skip=9)[0], "text")))
        ids = rows_of(frame, in_split("test") & labelled(0), n)
        return Faulty(put(frame, ids, text=text), ids)

    return inject


def _public(split: str, n: int) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        ids = rows_of(frame, in_split(split), n)
        rows = frame.filter(pl.col("id").is_in(ids))
        return Faulty(
            frame, ids, rows.select(pl.col("pcm_sha256").alias("value"), pl.lit("set").alias("name"))
        )

    return inject


def _unlabelled(n: int) -> Callable[[pl.DataFrame], Faulty]:
    unknown = pl.struct(pl.lit(None, dtype=pl.Int8).alias(_PHRASE))
    return _put(in_split("dev"), n, labels=unknown)


def _noise(where: pl.Expr, every: int | None = None) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        ids = frame.filter(where)["id"].to_list()
        kept = set(ids[::every]) if every else set()
        ids = [row_id for row_id in ids if row_id not in kept]
        return Faulty(put(frame, ids, noise_parent=["the one hour"]), ids)

    return inject


def _many_kinds(frame: pl.DataFrame) -> Faulty:
    kind = pl.concat_str(pl.lit("kind"), pl.int_range(pl.len()) % 100)
    return _shift(in_split("dev"), in_split("dev"), noise_parent=["the one hour"], noise_kind=kind)(frame)


def _thinned(split: str, n: int) -> Callable[[pl.DataFrame], Faulty]:
    def inject(frame: pl.DataFrame) -> Faulty:
        positives = in_split(split) & labelled(1)
        kept = rows_of(frame, positives, n)
        return Faulty(frame.filter(~positives | pl.col("id").is_in(kept)))

    return inject
