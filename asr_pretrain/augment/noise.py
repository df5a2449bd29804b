"""The noises of one part, recorded and procedural, held as int16 and cut by drawn parameters.

Every waveform is brought to one level (RMS 1 between 200 and 6000 Hz) and made to loop without a seam, so a
cut of any length is a few slices. Long cuts pass from noise to noise with a crossfade, as a drive does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from asr_pretrain.augment.cabin import part_seed
from asr_pretrain.augment.grains import GRAINS_VERSION, GrainParameters, draw_grains, synthesize_grains
from asr_pretrain.augment.level import SAMPLE_RATE_HZ
from asr_pretrain.augment.loops import prepare
from asr_pretrain.augment.procedural import PROCEDURAL_VERSION, NoiseParameters, draw_noise, synthesize
from asr_pretrain.augment.store import load_arrays, save_arrays

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "NoiseBank",
    "NoiseChoice",
    "NoiseCut",
    "NoiseParameters",
    "NoiseSlice",
    "draw_noise",
    "synthesize",
]

NoiseKind = Literal["procedural", "grains"]
BANK_VERSION = 1
PROCEDURAL_S = 10.0
CHANGE_FADE_SAMPLES = 8000  # 0.5 s from one noise of a drive to the next


@dataclass(frozen=True)
class NoiseSlice:
    """One waveform of the bank, ``index`` looped from ``offset_samples``, in ``[begin, end)`` of a cut."""

    index: int
    offset_samples: int
    gain_db: float
    begin: int
    end: int


@dataclass(frozen=True)
class NoiseChoice:
    """What was drawn for one cut: slices that add up, and what the manifest says of them."""

    slices: tuple[NoiseSlice, ...]
    parents: tuple[str, ...]
    kind: str
    offset_s: float


@dataclass(frozen=True)
class NoiseCut:
    """A cut: float32 ``samples (n,)``, about RMS 1 in the band, with its parents."""

    samples: np.ndarray
    parents: list[str]
    kind: str
    offset_s: float


class NoiseBank:
    """All noises of one part. ``ids``, ``kinds`` and ``recorded`` run over the waveforms."""

    def __init__(
        self,
        ids: Iterable[str],
        kinds: Iterable[str],
        recorded: Iterable[bool],
        waveforms: np.ndarray,
        ends: np.ndarray,
        rms: np.ndarray,
    ) -> None:
        """Take the waveforms end to end, int16 ``(total,)``, where each ends, and its RMS in the band."""
        self.ids, self.kinds = tuple(ids), tuple(kinds)
        self.recorded = np.array(list(recorded), dtype=bool)
        self._waveforms = waveforms
        self._ends = np.asarray(ends, dtype=np.int64)
        self._starts = np.concatenate([[0], self._ends[:-1]])
        self._scale = (1 / np.asarray(rms, dtype=np.float64)).astype(np.float32)
        self._pools_of: dict[frozenset[str] | None, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        if not self.ids:
            raise ValueError("noise bank: no waveform; give recorded noise rows or procedural > 0")

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def build(
        cls,
        frame: pl.DataFrame | None,
        root: Path | None,
        part: str,
        procedural: int,
        seed: int = 0,
        cache: Path | None = None,
        kind: NoiseKind = "procedural",
        unique_s: float | None = None,
    ) -> NoiseBank:
        """Gather the noises of ``part``: its recorded noise rows, and ``procedural`` synthetic ones of 10 s.

        The synthetic ones are those of `asr_pretrain.augment.procedural`, or the grains of
        `asr_pretrain.augment.grains`, which training never hears.

        ``unique_s`` keeps so many seconds of them, drawn by ``seed``, at least one noise; None keeps all.
        ``frame`` is a recordings manifest; rows with ``noise_kind`` and ``split`` (or ``part``) equal to
        ``part`` are taken, their audio relative to ``root``. Raises ValueError when nothing is left.
        """
        ids: list[str] = []
        kinds: list[str] = []
        recorded: list[bool] = []
        stores: list[dict[str, np.ndarray]] = []
        if procedural > 0:
            drawn: list[NoiseParameters | GrainParameters] = [
                (grain_parameters if kind == "grains" else procedural_parameters)(part, seed, index)
                for index in range(procedural)
            ]
            version = GRAINS_VERSION if kind == "grains" else PROCEDURAL_VERSION
            key = f"noise-{kind}-v{version}.{BANK_VERSION}-{part}-{procedural}-{seed}"
            stores.append(_cached(cache, key, (_synthetic(p) for p in drawn)))
            used = stores[-1]["kept"]
            ids += [procedural_id(part, seed, int(i)).replace("procedural", kind, 1) for i in used]
            kinds += [drawn[int(i)].kind for i in used]
            recorded += [False] * len(used)
        rows = _noise_rows(frame, part)
        if rows:
            base = (root or Path()).absolute()
            text = json.dumps([[r["id"], str(base / r["audio"]), r.get("pcm_sha256")] for r in rows])
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            key = f"noise-recorded-v{BANK_VERSION}-{part}-{digest}"
            stores.append(_cached(cache, key, (_recording(r["audio"], root) for r in rows)))
            used = stores[-1]["kept"]
            ids += [rows[int(i)]["id"] for i in used]
            kinds += [rows[int(i)]["noise_kind"] for i in used]
            recorded += [True] * len(used)
        if not ids:
            raise ValueError(f"noise bank: no usable noise for part '{part}'; set procedural above 0")
        bank = cls(
            ids,
            kinds,
            recorded,
            np.concatenate([s["waveforms"] for s in stores]),
            np.cumsum(np.concatenate([s["lengths"] for s in stores])),
            np.concatenate([s["rms"] for s in stores]),
        )
        return bank if unique_s is None else bank.some(unique_s, seed)

    @property
    def seconds(self) -> float:
        """Of unique noise."""
        return float(self._ends[-1]) / SAMPLE_RATE_HZ

    def some(self, unique_s: float, seed: int) -> NoiseBank:
        """Noises drawn by ``seed`` that together last at most ``unique_s``, or the shortest one alone."""
        lengths = self._ends - self._starts
        left, kept = int(unique_s * SAMPLE_RATE_HZ), []
        for index in np.random.default_rng([seed, 77]).permutation(len(self)):
            if lengths[index] <= left:
                kept.append(int(index))
                left -= int(lengths[index])
        kept = sorted(kept) or [int(lengths.argmin())]
        return NoiseBank(
            [self.ids[i] for i in kept],
            [self.kinds[i] for i in kept],
            [bool(self.recorded[i]) for i in kept],
            np.concatenate([self._waveforms[self._starts[i] : self._ends[i]] for i in kept]),
            np.cumsum(lengths[kept]),
            1 / self._scale[kept],
        )

    def choose(
        self,
        rng: np.random.Generator,
        n_samples: int,
        kinds: frozenset[str] | None = None,
        recorded_share: float = 0.4,
        mix_share: float = 0.25,
        segment_s: float = 15.0,
    ) -> NoiseChoice:
        """Draw what a cut of ``n_samples`` is made of; :meth:`cut` then makes it.

        ``kinds`` narrows the choice, ``recorded_share`` is the probability of a recorded noise where both
        are there, ``mix_share`` that of a second noise 3 to 12 dB below, and cuts longer than ``segment_s``
        pass from noise to noise every ``segment_s`` or so.
        """
        pools = self._pools(kinds)
        slices: list[NoiseSlice] = []
        layers = 2 if rng.random() < mix_share else 1
        limit = int(segment_s * SAMPLE_RATE_HZ)
        for layer in range(layers):
            begin = 0
            gain_db = 0.0 if layer == 0 else -float(rng.uniform(3, 12))
            while True:
                length = n_samples if n_samples <= limit else int(limit * rng.uniform(0.6, 1.4))
                end = min(begin + length, n_samples)
                if n_samples - end < 2 * CHANGE_FADE_SAMPLES:
                    end = n_samples
                groups = pools[int(rng.random() < recorded_share)]
                group = groups[int(rng.integers(len(groups)))]
                index = int(group[int(rng.integers(len(group)))])
                offset = int(rng.integers(self._ends[index] - self._starts[index]))
                slices.append(NoiseSlice(index, offset, gain_db, begin, end))
                if end >= n_samples:
                    break
                begin = end - CHANGE_FADE_SAMPLES
        used = list(dict.fromkeys(s.index for s in slices))
        kind = "+".join(dict.fromkeys(self.kinds[i] for i in used))
        parents = tuple(self.ids[i] for i in used)
        return NoiseChoice(tuple(slices), parents, kind, slices[0].offset_samples / SAMPLE_RATE_HZ)

    def cut(self, choice: NoiseChoice, n_samples: int, out: np.ndarray | None = None) -> np.ndarray:
        """Make the chosen noise, float32 ``(n_samples,)``; written into ``out`` when given."""
        out = np.zeros(n_samples, dtype=np.float32) if out is None else out
        out[:] = 0
        for s in choice.slices:
            piece = self._slice(s)
            fade = min(CHANGE_FADE_SAMPLES, piece.size)
            u = np.linspace(0, np.pi / 2, fade, dtype=np.float32)
            if s.begin > 0:
                piece[:fade] *= np.sin(u)
            if s.end < n_samples:
                piece[-fade:] *= np.cos(u)
            out[s.begin : s.end] += piece
        return out

    def draw(self, rng: np.random.Generator, n_samples: int) -> NoiseCut:
        """Draw and make a cut in one step."""
        choice = self.choose(rng, n_samples)
        return NoiseCut(self.cut(choice, n_samples), list(choice.parents), choice.kind, choice.offset_s)

    def _slice(self, s: NoiseSlice) -> np.ndarray:
        start, stop = int(self._starts[s.index]), int(self._ends[s.index])
        scale = self._scale[s.index] * np.float32(10 ** (s.gain_db / 20))
        piece = np.empty(s.end - s.begin, dtype=np.float32)
        done, at = 0, start + s.offset_samples
        while done < piece.size:
            step = min(piece.size - done, stop - at)
            np.multiply(self._waveforms[at : at + step], scale, out=piece[done : done + step])
            done, at = done + step, start
        return piece

    def _pools(self, kinds: frozenset[str] | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Indices of the procedural and of the recorded noises, in groups that are drawn equally often.

        Recorded noises are grouped by kind, lest the kind with the most files drown the rest; each pool
        stands in for the other when that is empty.
        """
        if kinds not in self._pools_of:
            allowed = np.array([kinds is None or kind in kinds for kind in self.kinds])
            all_kinds = np.array(self.kinds)
            procedural = [np.flatnonzero(allowed & ~self.recorded)]
            recorded = [
                np.flatnonzero(allowed & self.recorded & (all_kinds == kind))
                for kind in sorted(set(self.kinds))
            ]
            procedural, recorded = (
                [group for group in pool if group.size] for pool in (procedural, recorded)
            )
            if not procedural and not recorded:
                raise ValueError(
                    f"noise bank: none of {sorted(kinds or ())} here; it has {sorted(set(self.kinds))}"
                )
            self._pools_of[kinds] = (procedural or recorded, recorded or procedural)
        return self._pools_of[kinds]


def procedural_parameters(part: str, seed: int, index: int) -> NoiseParameters:
    """Return the parameters of procedural noise ``index`` of ``part``: what its id stands for."""
    return draw_noise(np.random.default_rng(part_seed(part, seed, index, "noise")))


def grain_parameters(part: str, seed: int, index: int) -> GrainParameters:
    """Return the parameters of grain noise ``index`` of ``part``."""
    return draw_grains(np.random.default_rng(part_seed(part, seed, index, "grains")))


def procedural_id(part: str, seed: int, index: int) -> str:
    """Return e.g. ``procedural-train-0007`` (seed 0) or ``procedural-train-s3-0007``."""
    return f"procedural-{part}-{index:04d}" if seed == 0 else f"procedural-{part}-s{seed}-{index:04d}"


def _synthetic(parameters: NoiseParameters | GrainParameters) -> np.ndarray:
    n_samples = int(PROCEDURAL_S * SAMPLE_RATE_HZ)
    if isinstance(parameters, GrainParameters):
        return synthesize_grains(parameters, n_samples) * 32767
    return synthesize(parameters, n_samples) * 32767


def _recording(audio: str, root: Path | None) -> np.ndarray:
    from data_splits.audio import read_audio

    return read_audio(audio, root if root is not None else Path())


def _noise_rows(frame: pl.DataFrame | None, part: str) -> list[dict]:
    """Rows of ``frame`` that are noise of ``part``, in the order of their ids."""
    if frame is None or frame.is_empty() or "noise_kind" not in frame.columns:
        return []
    import polars as pl

    column = pl.coalesce("part", "split") if "part" in frame.columns else pl.col("split")
    wanted = frame.filter(pl.col("noise_kind").is_not_null() & (column == part))
    if "domain" in wanted.columns:  # a mirror row with a noise kind is speech heard in that noise
        wanted = wanted.filter(pl.col("domain") == "general")
    keep = [c for c in ("id", "audio", "noise_kind", "pcm_sha256") if c in wanted.columns]
    return wanted.select(keep).sort("id").to_dicts()


def _cached(cache: Path | None, key: str, sounds: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Prepare ``sounds`` or read them from the cache; ``kept`` are the indices of the usable ones."""
    names = ("waveforms", "lengths", "rms", "kept")
    stored = load_arrays(cache, key, names)
    if stored is not None and stored["lengths"].sum() == stored["waveforms"].size:
        return stored
    prepared = [(index, prepare(sound)) for index, sound in enumerate(sounds)]
    usable = [(index, *found) for index, found in prepared if found is not None]
    arrays = {
        "waveforms": np.concatenate([w for _, w, _ in usable]) if usable else np.zeros(0, np.int16),
        "lengths": np.array([w.size for _, w, _ in usable], dtype=np.int64),
        "rms": np.array([r for _, _, r in usable], dtype=np.float64),
        "kept": np.array([index for index, _, _ in usable], dtype=np.int64),
    }
    save_arrays(cache, key, arrays)
    return arrays
