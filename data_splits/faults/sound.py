"""Faults that only the audio shows: recordings are changed on disk, and the manifest says nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import soundfile
from scipy.signal import firwin, lfilter

from data_splits.audio import SAMPLE_RATE_HZ, pcm_sha256, read_audio, to_int16
from data_splits.audit.sound.copies import COPIES, make_copy
from data_splits.codecs import encode_flac
from data_splits.faults.fault import put

TASK = "dealt"
"""The label of the corpus: dealt by turns, so that nothing in a recording tells it."""
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SoundFault:
    """One way of breaking one rule, and the rows that are changed for it."""

    rule: str
    name: str
    changed: pl.DataFrame
    """Rows that take the place of those of the same ids."""
    guilty: frozenset[str]


def single_faults(frame: pl.DataFrame, folder: Path) -> Iterator[SoundFault]:
    """Faults of single recordings, which are all to be named; no two concern the same recordings.

    Args:
        frame: at least 32 rows of train, 12 of test and 6 of dev, by FLAC files.
        folder: theirs; the faulty recordings are written beside them.
    """
    train, test, dev = (frame.filter(pl.col("split") == name) for name in ("train", "test", "dev"))
    sources, copies = iter(train["id"]), iter(test["id"])
    for number, kind in enumerate(COPIES):
        source, row = next(sources), next(copies)
        copy = make_copy(kind, _read(frame, source, folder), seed=number)
        yield SoundFault(
            "near-duplicate", kind, _rewritten(frame, row, copy, folder), frozenset({source, row})
        )
    for number, (suffix, name) in enumerate(
        ((".flac", "another file"), (".wav", "another container"), (".opus.flac", "an odd name"))
    ):
        source, row = next(sources), next(copies)
        same = _rewritten(frame, row, _read(frame, source, folder), folder, f"exact{number}{suffix}")
        yield SoundFault("exact-duplicate", name, same, frozenset({source, row}))
    for name, change in _SPOILT.items():
        row = next(sources)
        spoilt = _rewritten(frame, row, change(_read(frame, row, folder)), folder)
        yield SoundFault("sound-quality", name, spoilt, frozenset({row}))
    for name, row in zip(("missing", "cut off", "half as long", "other samples"), dev["id"], strict=False):
        yield SoundFault("integrity", name, _broken(name, frame, row, folder), frozenset({row}))


def split_faults(frame: pl.DataFrame, folder: Path) -> Iterator[SoundFault]:
    """A whole split, or its positives, recorded otherwise: whoever is named is one of those compared."""
    train, test = pl.col("split") == "train", pl.col("split") == "test"
    for name, change in _OTHERWISE.items():
        for rule, where, compared, who in (
            ("drift", test, test | (pl.col("split") == "dev"), "test"),
            ("spurious-cue", train & (pl.col("labels").struct.field(TASK) == 1), train, "positives of train"),
        ):
            rows = frame.filter(where)["id"]
            changed = [_rewritten(frame, row, change(_read(frame, row, folder)), folder) for row in rows]
            guilty = frozenset(frame.filter(compared)["id"])
            yield SoundFault(rule, f"{who}: {name}", pl.concat(changed), guilty)


def _broken(name: str, frame: pl.DataFrame, row: str, folder: Path) -> pl.DataFrame:
    """A file that is not what its row says."""
    samples = _read(frame, row, folder)
    kept = samples[: len(samples) // 2] if name == "half as long" else samples
    rows = _rewritten(frame, row, kept, folder, f"broken-{row}.flac")
    path = folder / rows["audio"][0]
    if name == "missing":
        path.unlink()
    if name == "cut off":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    claimed = "0" * 64 if name == "other samples" else None
    rows = put(rows, [row], pcm_sha256=claimed)
    return put(rows, [row], duration_s=len(samples) / SAMPLE_RATE_HZ)


def _rewritten(
    frame: pl.DataFrame, row: str, samples: np.ndarray, folder: Path, name: str | None = None
) -> pl.DataFrame:
    """The row of a recording that was replaced by other samples, in a file of its own."""
    path = folder / (name or f"{row}-{pcm_sha256(samples)[:16]}.flac")
    if path.suffix == ".flac":
        path.write_bytes(encode_flac(samples))
    else:
        soundfile.write(path, samples, SAMPLE_RATE_HZ)
    rows = frame.filter(pl.col("id") == row)
    return put(rows, [row], audio=path.name, duration_s=len(samples) / SAMPLE_RATE_HZ)


def _read(frame: pl.DataFrame, row: str, folder: Path) -> np.ndarray:
    return read_audio(frame.filter(pl.col("id") == row)["audio"][0], folder)


def _loudest(samples: np.ndarray) -> np.ndarray:
    return samples / max(1.0, float(np.abs(samples.astype(np.float64)).max()))


def _below(frequency_hz: float) -> Change:
    taps = firwin(301, frequency_hz, fs=SAMPLE_RATE_HZ)
    return lambda samples: to_int16(lfilter(taps, 1, samples / 32768.0))


def _hiss(samples: np.ndarray) -> np.ndarray:
    return to_int16(samples / 32768.0 + np.random.default_rng(len(samples)).normal(0, 3e-3, len(samples)))


_SPOILT: dict[str, Change] = {
    "clipped": lambda samples: to_int16(4 * _loudest(samples)),
    "clipped, then turned down": lambda samples: to_int16(0.3 * np.clip(4 * _loudest(samples), -1, 1)),
    "a DC offset of 5 %": lambda samples: to_int16(0.8 * samples / 32768.0 + 0.05),
    "digital silence": np.zeros_like,
    "silent but for its end": lambda samples: np.where(
        np.arange(len(samples)) < 0.95 * len(samples), 0, samples
    ).astype(np.int16),
    "at -60 dBFS": lambda samples: to_int16(1e-3 * _loudest(samples)),
    "nothing above 2 kHz": _below(2000),
}
_OTHERWISE: dict[str, Change] = {
    "12 dB quieter": lambda samples: to_int16(0.25 * samples / 32768.0),
    "over hiss": _hiss,
    "by a line of 2.5 kHz": _below(2500),
}
