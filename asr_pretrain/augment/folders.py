"""A car of one's own: folders of measured impulse responses and of recorded noise, as they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

from asr_pretrain.augment.cabin import DIRECT_INDEX, RESPONSE_SAMPLES, RirBank
from data_splits.audio import AudioError, pcm_sha256, read_audio

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
MOST_FILES = 20_000
NOISE_KIND = "car"
_SHORTEST_SAMPLES = 16
"""1 ms: less holds no sound."""
_QUIETEST_PEAK = 33
"""-60 dBFS: below it a response is rounding noise."""


def files(folder: Path) -> list[Path]:
    """Sound files of a folder and its subfolders, sorted. Raises AudioError for none, or too many."""
    if not folder.is_dir():
        raise AudioError(f"{folder}: no such folder; name one that holds {', '.join(SUFFIXES)} files")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not 0 < len(found) <= MOST_FILES:
        raise AudioError(f"{folder}: {len(found)} sound files; between 1 and {MOST_FILES} are needed")
    return found


def response_bank(folder: Path) -> RirBank:
    """Measured impulse responses, their loudest sample taken as the direct path and brought to 1.

    What lies more than 2.5 ms before it is cut off, as is what comes 160 ms later.

    Raises AudioError naming the file: unreadable, shorter than 1 ms, or silent.
    """
    ids, responses = [], []
    for path in files(folder):
        samples = read_audio(path.name, path.parent, max_s=60.0)
        peak = int(np.abs(samples.astype(np.int32)).max())
        if samples.size < _SHORTEST_SAMPLES or peak < _QUIETEST_PEAK:
            raise AudioError(
                f"{path}: {samples.size} samples, peak {peak}: no impulse response; remove the file"
            )
        direct = int(np.abs(samples.astype(np.int32)).argmax())
        out = np.zeros(RESPONSE_SAMPLES, dtype=np.float32)
        begin = max(0, direct - DIRECT_INDEX)
        kept = samples[begin : direct - DIRECT_INDEX + RESPONSE_SAMPLES]
        at = DIRECT_INDEX - (direct - begin)
        out[at : at + kept.size] = kept / float(samples[direct])
        responses.append(out)
        ids.append(f"measured-{path.relative_to(folder).with_suffix('').as_posix()}")
    return RirBank(tuple(ids), torch.from_numpy(np.stack(responses)))


def noise_rows(folder: Path, part: str) -> pl.DataFrame:
    """Rows of a manifest, one a file, all noise of ``part``. Raises AudioError naming the file."""
    return pl.DataFrame(list(_rows(folder, part)))


def _rows(folder: Path, part: str) -> Iterator[dict[str, object]]:
    for path in files(folder):
        samples = read_audio(path.name, path.parent, max_s=7200.0)
        digest = pcm_sha256(samples)
        if not samples.any():
            raise AudioError(f"{path}: digital silence is no car; remove the file")
        yield {
            "id": f"{path.relative_to(folder).as_posix()}-{hashlib.sha256(digest.encode()).hexdigest()[:8]}",
            "audio": str(path.resolve()),
            "duration_s": samples.size / 16000,
            "domain": "general",
            "split": part,
            "source": folder.name,
            "noise_kind": NOISE_KIND,
            "pcm_sha256": digest,
        }
