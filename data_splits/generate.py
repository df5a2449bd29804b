"""A made-up manifest of any size that breaks no rule: the audit is timed on it, and faults are put into it.

Nothing stands behind its rows: no audio is written. Names, times, texts and parents are drawn from a seed:
general recordings in train, and drives of disjoint speakers, cars, days and noise.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from data_splits.manifest import normalise

PHRASE: Final = "smart mirror"
_SPLITS: Final = ("train", "dev", "test")
_SHARES: Final = (0.5, 0.25, 0.25)
_KINDS: Final = ("road", "wind", "blower", "rain", "music", "engine")
_SPEEDS: Final = ("town", "land", "motorway")
_TRAIN_DEV: Final = 0.04
_POSITIVES: Final = 1 / 3
_BLOCK: Final = 500_000
_WORDS: Final = 3_000
_MIRROR_S, _GENERAL_S = 8.0, 5.0


def generate(n_general: int, n_mirror: int, seed: int = 1) -> pl.DataFrame:
    """The manifest, with `split` set and no `part`, so that it can be planned again.

    Raises:
        ValueError: fewer than 200 rows of a kind, which cannot fill four splits.
    """
    if min(n_general, n_mirror) < 200:
        raise ValueError(f"{n_general} general and {n_mirror} mirror rows: at least 200 of each")
    rng = np.random.default_rng(seed)
    words = _vocabulary(rng)
    blocks = []
    for start in range(0, n_general, _BLOCK):
        blocks.append(_general(np.arange(start, min(start + _BLOCK, n_general)), n_general, words, rng))
    sizes = np.diff(np.round(np.cumsum([0, *_SHARES]) * n_mirror)).astype(int)
    for split, size in zip(_SPLITS, sizes, strict=True):
        for start in range(0, size, _BLOCK):
            blocks.append(_drives(split, np.arange(start, min(start + _BLOCK, size)), size, words, rng))
    return normalise(pl.concat(blocks, how="diagonal"), "generated")


def _general(rows: np.ndarray, n_total: int, words: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    n = len(rows)
    speaker = rng.integers(max(20, n_total // 100), size=n)
    return pl.DataFrame({"row": rows, "number": speaker}).select(
        _name("general", "row").alias("id"),
        pl.concat_str(pl.lit("general/"), _name("shard", pl.col("row") // 1000), pl.lit(".tar::"),
                      pl.col("row").cast(pl.String), pl.lit(".flac")).alias("audio"),
        pl.Series("duration_s", _durations(n, _GENERAL_S, rng)),
        pl.lit(16_000).alias("sample_rate_hz"),
        _sentences(n, words, rng).alias("text"),
        pl.lit("general").alias("domain"),
        pl.lit("readers").alias("source"),
        _name("reader", "number").alias("speaker"),
        pl.when(pl.col("number") % round(1 / _TRAIN_DEV) == 0)
        .then(pl.lit("train_dev"))
        .otherwise(pl.lit("train"))
        .alias("split"),
        _hashes(n, rng).alias("pcm_sha256"),
        pl.struct(pl.lit(0, dtype=pl.Int8).alias(PHRASE)).alias("labels"),
    )  # fmt: skip


def _drives(
    split: str, rows: np.ndarray, n_total: int, words: pl.Series, rng: np.random.Generator
) -> pl.DataFrame:
    n = len(rows)
    n_speakers, n_vehicles = max(10, n_total // 40), max(4, n_total // 400)
    speaker = rng.integers(n_speakers, size=n)
    # A speaker drives one car, on a day of the split's own: a session.
    vehicle, day = speaker % n_vehicles, 3 * (speaker % 100) + _SPLITS.index(split)
    kind = rng.integers(len(_KINDS), size=n)
    # Ten minutes each, drawn evenly.
    noise = kind + len(_KINDS) * rng.integers(max(4, n_total // 120), size=n)
    duration_s = _durations(n, _MIRROR_S, rng)
    is_positive = rng.random(n) < _POSITIVES
    start_s = np.round(rng.uniform(0, duration_s - 1), 3)
    told = pl.Series(is_positive)
    phrase = pl.lit(PHRASE)
    drawn = pl.DataFrame(
        {"row": rows, "speaker": speaker, "vehicle": vehicle, "day": day, "noise": noise, "told": told}
    )
    own = f"{split}-"
    said = _sentences(n, words, rng)
    carried = pl.Series(rng.random(n) < 0.5)
    return drawn.select(
        _name(f"{own}drive", "row").alias("id"),
        pl.concat_str(pl.lit(f"drives/{own}"), pl.col("row").cast(pl.String), pl.lit(".flac")).alias("audio"),
        pl.Series("duration_s", duration_s),
        pl.lit(16_000).alias("sample_rate_hz"),
        pl.when(told & carried)
        .then(pl.concat_str(phrase, pl.lit(" "), said))
        .when(told)
        .then(phrase)
        .otherwise(said)
        .alias("text"),
        pl.lit("mirror").alias("domain"),
        pl.lit("drives").alias("source"),
        _name(f"{own}driver", "speaker").alias("speaker"),
        _name(f"{own}session", "speaker").alias("session"),
        _name(f"{own}car", "vehicle").alias("vehicle"),
        _name(f"{own}unit", "vehicle").alias("device"),
        _name(f"{own}capsule", "vehicle").alias("microphone"),
        (pl.datetime(2025, 1, 1, 8) + pl.duration(days="day", seconds=pl.col("row") % 20_000)).alias(
            "recorded_at"
        ),
        pl.struct(told.cast(pl.Int8).alias(PHRASE)).alias("labels"),
        pl.when(told).then(pl.Series(start_s)).alias("word_start_s"),
        pl.when(told).then(pl.Series(start_s + 0.8)).alias("word_end_s"),
        _name(f"{own}take", "row").alias("clean_parent"),
        pl.concat_list(_name(f"{own}noise", "noise")).alias("noise_parent"),
        pl.Series("noise_kind", [_KINDS[code] for code in kind]),
        pl.Series("noise_offset_s", np.round(rng.uniform(0, 600 - duration_s), 3)),
        _name(f"{own}cabin", "vehicle").alias("rir_parent"),
        pl.Series("snr_db", np.round(rng.normal(8, 6, n), 2)),
        pl.Series("speed_band", [_SPEEDS[code] for code in rng.integers(len(_SPEEDS), size=n)]),
        pl.when((split == "train") & (pl.col("speaker") % round(1 / _TRAIN_DEV) == 0))
        .then(pl.lit("train_dev"))
        .otherwise(pl.lit(split))
        .alias("split"),
        _hashes(n, rng).alias("pcm_sha256"),
    )


def _name(prefix: str, number: str | pl.Expr) -> pl.Expr:
    column = pl.col(number) if isinstance(number, str) else number
    return pl.concat_str(pl.lit(f"{prefix}-"), column.cast(pl.String).str.zfill(6))


def _durations(n: int, mean_s: float, rng: np.random.Generator) -> np.ndarray:
    return np.round(np.clip(rng.lognormal(np.log(mean_s), 0.3, n), 1.5, 30), 3)


def _vocabulary(rng: np.random.Generator) -> pl.Series:
    """Words of two or three syllables, none of them in a wake phrase."""
    syllables = np.array([a + b for a in "bdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "or")])
    parts = rng.choice(syllables, (_WORDS, 3))
    parts[: _WORDS // 3, 2] = ""
    return pl.Series(["".join(part) for part in parts])


def _sentences(n: int, words: pl.Series, rng: np.random.Generator) -> pl.Series:
    """Five to nine words each."""
    drawn = rng.integers(len(words), size=(n, 9))
    length = rng.integers(5, 10, size=n)
    columns = [
        pl.when(pl.Series(length > i)).then(words.gather(pl.Series(drawn[:, i]))).alias(str(i))
        for i in range(9)
    ]
    return pl.select(pl.concat_str(columns, separator=" ", ignore_nulls=True)).to_series()


def _hashes(n: int, rng: np.random.Generator) -> pl.Series:
    drawn = rng.bytes(32 * n)
    return pl.Series([drawn[at : at + 32] for at in range(0, 32 * n, 32)], dtype=pl.Binary).bin.encode("hex")
