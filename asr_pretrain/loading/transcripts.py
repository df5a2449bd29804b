"""The transcribed utterances of a training set: recordings, phones, weights, row for row."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from asr_pretrain.encoder import SUBSAMPLING
from asr_pretrain.loading.pack import Pack
from asr_pretrain.loading.ragged import Ragged
from asr_pretrain.loading.waveforms import LOOSE, Waveforms
from asr_pretrain.phonemes import PHONES, PhonemeError, to_phones
from asr_pretrain.training.recipe import RecipeError
from data_splits.manifest import read_manifest

_log = logging.getLogger(__name__)

MIN_DURATION_S = 0.2
_COLUMNS = ("id", "audio", "duration_s", "text", "source", "phones")
_EXAMPLES = 3


@dataclass(frozen=True)
class Transcribed:
    """Utterances with their phone ids, row for row."""

    waveforms: Waveforms | Pack
    phones: Ragged
    """CTC classes of each text, 1 to 39."""
    weights: np.ndarray
    """Times each utterance is seen per epoch, on average."""

    @property
    def hours(self) -> float:
        return self.waveforms.hours

    @property
    def shard(self) -> np.ndarray:
        """Number of each utterance's shard (n,), -1 for a loose file."""
        if isinstance(self.waveforms, Waveforms):
            return self.waveforms.shard
        return np.full(len(self.waveforms), LOOSE, dtype=np.int32)


def read_rows(manifests: list[Path], keep: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """Rows of several manifests that ``keep`` lets through, their audio made absolute."""
    frames = []
    for path in manifests:
        frame = keep(read_manifest(path))
        audio = pl.col("audio")
        absolute = pl.when(audio.str.starts_with("/")).then(audio)
        frames.append(frame.with_columns(absolute.otherwise(pl.lit(f"{path.resolve().parent}/") + audio)))
    return pl.concat(frames, how="diagonal_relaxed")


def transcribed(
    manifests: list[Path], split: str, max_duration_s: float, source_weights: dict[str, float]
) -> Transcribed:
    """Speech rows of ``split`` with a text.

    Rows that cannot be learnt from are left out with a warning that names some of them: shorter than 0.2 s or
    longer than ``max_duration_s``, a text without phones, more phones than the audio can hold.

    Args:
        manifests: planned manifests; their ``phones`` column, where there is one, saves reading the texts.
        split: mostly ``train``.
        max_duration_s: of an utterance.
        source_weights: times a source is seen per epoch, 1 where not named.

    Raises:
        RecipeError: there are no such rows, or a ``phones`` column holds something else.
        AudioError: a recording cannot be read; ShardError, a shard cannot.
    """
    columns = pl.selectors.by_name(*_COLUMNS, require_all=False)
    frame = read_rows(
        manifests,
        lambda f: f.filter(
            (pl.col("split") == split) & pl.col("text").is_not_null() & pl.col("noise_parent").is_null()
        ).select(columns),
    )
    where = f"{', '.join(map(str, manifests))}: {split}"
    duration = pl.col("duration_s")
    frame = _without(frame, duration < MIN_DURATION_S, where, f"shorter than {MIN_DURATION_S} s")
    frame = _without(frame, duration > max_duration_s, where, f"longer than {max_duration_s:g} s")
    phones = _phone_ids(frame, where)
    frame = frame.with_columns(pl.Series("_phones", phones.lengths))
    silent, spoken = pl.col("_phones") == 0, pl.col("_phones")
    # CTC needs an encoder frame for every phone; a text longer than its audio is a wrong text.
    dense = spoken >= duration * 100 / SUBSAMPLING
    kept = np.flatnonzero(frame.select(~(silent | dense)).to_series().to_numpy())
    frame = _without(frame, silent, where, "with a text that has no phones")
    frame = _without(frame, dense, where, "with more phones than their audio can hold")
    if not len(frame):
        raise RecipeError(f"{where}: no row with a text; run `data-splits plan`")
    source = frame["source"].fill_null("")
    weights = np.array([source_weights.get(name, 1.0) for name in source.to_list()])
    return Transcribed(
        Waveforms.of(frame, label=f"decoding {split} speech"),
        phones.take(kept),
        weights,
    )


def _without(frame: pl.DataFrame, wrong: pl.Expr, where: str, why: str) -> pl.DataFrame:
    """The other rows, and a warning."""
    found = frame.filter(wrong)
    if found.height:
        shown = ", ".join(map(repr, found["id"].head(_EXAMPLES).to_list()))
        more = f" and {found.height - _EXAMPLES} more" if found.height > _EXAMPLES else ""
        _log.warning("%s rows left out, %s: %s%s", where, why, shown, more)
    return frame.filter(~wrong)


def _phone_ids(frame: pl.DataFrame, where: str) -> Ragged:
    """CTC classes of every row, from its ``phones`` or else from its text; none where it has no phones."""
    if "phones" not in frame.columns or frame.schema["phones"] == pl.Null:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias("phones"))
    if frame.schema["phones"] != pl.String:
        raise RecipeError(
            f"{where}: column phones holds {frame.schema['phones']}; give text, as in 'S M AA R T'"
        )
    unread = frame["phones"].is_null()
    if unread.any():
        read = {text: _read(text) for text in frame.filter(unread)["text"].unique().to_list()}
        texts = frame["text"].to_list()
        filled = [read[text] if missing else None for text, missing in zip(texts, unread, strict=True)]
        frame = frame.with_columns(pl.col("phones").fill_null(pl.Series(filled, dtype=pl.String)))
    symbols = frame["phones"].str.extract_all(r"\S+")
    classes = (
        symbols.explode()
        .drop_nulls()
        .replace_strict(pl.Series(PHONES), pl.Series(range(1, len(PHONES) + 1), dtype=pl.UInt8), default=0)
    )
    if (classes == 0).any():
        rows = frame.filter(symbols.list.eval(~pl.element().is_in(PHONES)).list.any())
        raise RecipeError(
            f"{where}: id {rows['id'][0]!r} has phones {rows['phones'][0][:60]!r}, which are not all of "
            "CMUdict's 39; write the column as `asr-pretrain synthesize` does, or leave it out"
        )
    return Ragged(classes.to_numpy(), symbols.list.len().to_numpy())


def _read(text: str) -> str:
    try:
        return " ".join(to_phones(text))
    except PhonemeError:
        return ""
