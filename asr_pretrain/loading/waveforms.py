"""The recordings of a training set: loose files packed once, those in shards decoded on demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from asr_pretrain.loading.pack import SAMPLE_RATE_HZ, Pack, pack
from asr_pretrain.loading.ragged import Ragged
from data_splits.audio import AudioError, read_audio
from data_splits.members import open_shard

TOLERANCE_S = 0.1
"""A recording may differ from its manifest by this, as `data-splits audit` allows."""
LOOSE = -1


class Waveforms:
    """Recordings of a manifest's rows, in row order: ``waveforms[i]`` is int16 (samples,)."""

    def __init__(
        self,
        n_samples: np.ndarray,
        shard: np.ndarray,
        shards: list[Path],
        members: Ragged,
        packed: Pack | None,
    ):
        """Of n rows.

        Args:
            n_samples: planned length of each (n,): what the manifest says, for loose files what they hold.
            shard: number in ``shards`` of each (n,), -1 for a loose file.
            shards: the tars.
            members: of a row in a shard its member's name, of a loose one nothing.
            packed: the loose files, in row order.
        """
        self.n_samples, self.shard, self.shards, self.members = n_samples, shard, shards, members
        self.packed = packed
        self._place = np.cumsum(shard == LOOSE, dtype=np.int32) - 1

    @classmethod
    def of(cls, frame: pl.DataFrame, label: str = "decoding") -> Waveforms:
        """Of rows with absolute ``audio``; packs the loose ones and opens every shard once.

        Raises:
            AudioError: naming the row, where a loose file cannot be read or is not as long as stated.
            ShardError: naming the shard that is missing, truncated or no tar.
        """
        parts = frame["audio"].str.split_exact("::", 1).struct.unnest()
        tar, member = parts["field_0"], parts["field_1"]
        is_loose = member.is_null()
        names = tar.filter(~is_loose).unique().sort().to_list()
        numbers = pl.Series("number", range(len(names)), dtype=pl.Int32)
        number = tar.replace_strict(pl.Series(names, dtype=pl.String), numbers, default=LOOSE)
        shard = pl.select(pl.when(is_loose).then(LOOSE).otherwise(number)).to_series().to_numpy()
        n_samples = np.rint(frame["duration_s"].to_numpy() * SAMPLE_RATE_HZ).astype(np.int64)
        for name in names:
            open_shard(name)
        packed = None
        loose = np.flatnonzero(shard == LOOSE)
        if len(loose):
            packed = pack(frame[loose], Path("/"), label=label)
            off = np.abs(packed.n_samples - n_samples[loose]) > TOLERANCE_S * SAMPLE_RATE_HZ
            if off.any():
                worst = int(np.flatnonzero(off)[0])
                row = frame.row(int(loose[worst]), named=True)
                raise AudioError(_other_length(row["id"], packed.duration_s(worst), row["duration_s"]))
            n_samples[loose] = packed.n_samples
        keys = Ragged.of((name or "").encode() for name in member.to_list())
        return cls(n_samples, shard.astype(np.int32), [Path(name) for name in names], keys, packed)

    def __len__(self) -> int:
        return len(self.n_samples)

    def __getitem__(self, index: int) -> np.ndarray:
        """Raises AudioError, of a shard ShardError."""
        if self.packed is not None and self.shard[index] == LOOSE:
            return self.packed[int(self._place[index])]
        name = f"{self.shards[self.shard[index]]}::{bytes(self.members[index]).decode()}"
        stated_s = self.duration_s(index)
        samples = read_audio(name, "/", max_s=stated_s + TOLERANCE_S)
        if len(samples) < (stated_s - TOLERANCE_S) * SAMPLE_RATE_HZ:
            raise AudioError(_other_length(name, len(samples) / SAMPLE_RATE_HZ, stated_s))
        return samples

    def duration_s(self, index: int) -> float:
        return int(self.n_samples[index]) / SAMPLE_RATE_HZ

    @property
    def hours(self) -> float:
        return int(self.n_samples.sum()) / SAMPLE_RATE_HZ / 3600

    @property
    def ends(self) -> np.ndarray:
        """Where each recording would end if all were joined, in samples (n,)."""
        return np.cumsum(self.n_samples)


def _other_length(name: str, holds_s: float, stated_s: float) -> str:
    return (
        f"{name!r}: {holds_s:.2f} s long where its manifest says {stated_s:.2f} s; "
        "`data-splits audit --audio` finds all such rows"
    )
