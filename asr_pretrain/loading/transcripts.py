"""The transcribed utterances of a training set: recordings, targets, weights, row for row."""

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
from asr_pretrain.targets import Kind, Targets
from asr_pretrain.training.recipe import RecipeError
from data_splits.manifest import read_manifest, rooted

_log = logging.getLogger(__name__)

MIN_DURATION_S = 0.2
_COLUMNS = ("id", "audio", "duration_s", "text", "source", "phones")
_EXAMPLES = 3


@dataclass(frozen=True)
class Transcribed:
    """Utterances with what is to be spelled, row for row."""

    waveforms: Waveforms | Pack
    spoken: Ragged
    """CTC classes of each text."""
    weights: np.ndarray
    """Times each utterance is seen per epoch, on average."""
    targets: Targets = Targets()

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
    frames = [rooted(keep(read_manifest(path)), path) for path in manifests]
    return pl.concat(frames, how="diagonal_relaxed")


def transcribed(
    manifests: list[Path],
    split: str,
    max_duration_s: float,
    source_weights: dict[str, float],
    kind: Kind = "phones",
    subwords: int = 200,
    shards: int | None = None,
) -> Transcribed:
    """Speech rows of ``split`` with a text.

    Rows that cannot be learnt from are left out with a warning that names some of them: shorter than 0.2 s or
    longer than ``max_duration_s``, a text without phones, more phones than the audio can hold.

    Args:
        manifests: planned manifests; their ``phones`` column, where there is one, saves reading the texts.
        split: mostly ``train``.
        max_duration_s: of an utterance.
        source_weights: times a source is seen per epoch, 1 where not named.
        kind: what is spelled.
        subwords: how many sub-words there are, where those are.
        shards: only the first ones of each manifest, by name; loose files all stay.

    Raises:
        RecipeError: there are no such rows.
        TargetError: a ``phones`` column holds something else.
        AudioError: a recording cannot be read; ShardError, a shard cannot.
    """
    columns = pl.selectors.by_name(*_COLUMNS, require_all=False)
    frame = read_rows(
        manifests,
        lambda f: first_shards(
            f.filter(
                (pl.col("split") == split) & pl.col("text").is_not_null() & pl.col("noise_parent").is_null()
            ).select(columns),
            shards,
        ),
    )
    where = f"{', '.join(map(str, manifests))}: {split}"
    duration = pl.col("duration_s")
    frame = _without(frame, duration < MIN_DURATION_S, where, f"shorter than {MIN_DURATION_S} s")
    frame = _without(frame, duration > max_duration_s, where, f"longer than {max_duration_s:g} s")
    targets = Targets.fit(kind, frame["text"].to_list(), subwords)
    spelled = targets.classes(frame, where)
    frame = frame.with_columns(pl.Series("_spelled", spelled.lengths))
    silent, spoken = pl.col("_spelled") == 0, pl.col("_spelled")
    # CTC needs an encoder frame for every class; a text longer than its audio is a wrong text.
    dense = spoken >= duration * 100 / SUBSAMPLING
    kept = np.flatnonzero(frame.select(~(silent | dense)).to_series().to_numpy())
    frame = _without(frame, silent, where, f"with a text that has no {kind}")
    frame = _without(frame, dense, where, f"with more {kind} than their audio can hold")
    if not len(frame):
        raise RecipeError(f"{where}: no row with a text; run `data-splits plan`")
    source = frame["source"].fill_null("")
    weights = np.array([source_weights.get(name, 1.0) for name in source.to_list()])
    return Transcribed(
        Waveforms.of(frame, label=f"decoding {split} speech"),
        spelled.take(kept),
        weights,
        targets,
    )


def first_shards(frame: pl.DataFrame, shards: int | None) -> pl.DataFrame:
    """The rows in loose files and in the first ``shards`` shards."""
    if shards is None:
        return frame
    tar = pl.col("audio").str.extract(r"^(.*?)::", 1)
    names = frame.select(tar).to_series().drop_nulls().unique().sort()
    return frame.filter(tar.is_null() | tar.is_in(names.head(shards).implode()))


def _without(frame: pl.DataFrame, wrong: pl.Expr, where: str, why: str) -> pl.DataFrame:
    """The other rows, and a warning."""
    found = frame.filter(wrong)
    if found.height:
        shown = ", ".join(map(repr, found["id"].head(_EXAMPLES).to_list()))
        more = f" and {found.height - _EXAMPLES} more" if found.height > _EXAMPLES else ""
        _log.warning("%s rows left out, %s: %s%s", where, why, shown, more)
    return frame.filter(~wrong)
