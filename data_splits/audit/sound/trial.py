"""How well near duplicates are found, and how fast: the figures of `data-splits hearing-test`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from scipy.signal import lfilter

from data_splits.audio import read_audio
from data_splits.audit.sound.copies import COPIES, make_copy
from data_splits.audit.sound.fingerprint import FRAME_BYTES
from data_splits.audit.sound.heard import hear
from data_splits.audit.sound.search import candidates, gather
from data_splits.audit.sound.spectrum import BANDS
from data_splits.audit.sound.twins import find_twins, fitting
from data_splits.codecs import encode_flac

_MAX_S: Final = 20.0
_SHORTEST_S: Final = 0.3


def trial(frame: pl.DataFrame, root: Path, n_copied: int, n_beside: int, seed: int) -> dict[str, Any]:
    """Copy recordings in every way, hide the copies among all, and look for them.

    Args:
        frame: recordings, as `read_manifest` gives them.
        root: their manifest's folder.
        n_copied: recordings that are copied, each in every way; drawn alike from each source.
        n_beside: further recordings, drawn by speaker and text first: other takes of the same words.
        seed: of the drawing.

    Returns:
        `recall` by kind of copy, `precision`, and `pairs` that were taken for one and are not.
    """
    usable = frame.filter(pl.col("duration_s").is_between(_SHORTEST_S, _MAX_S))
    usable = usable.sample(fraction=1.0, shuffle=True, seed=seed)
    turn = pl.int_range(pl.len()).over("source")
    copied = usable.sort(turn, maintain_order=True).head(n_copied)
    said = copied.select("speaker", "text").drop_nulls().unique()
    rest = usable.join(copied, on="id", how="anti")
    beside = pl.concat([rest.join(said, on=["speaker", "text"], how="semi"), rest])
    originals = pl.concat([copied, beside.unique("id", keep="first", maintain_order=True).head(n_beside)])
    with tempfile.TemporaryDirectory(prefix="data-splits-") as folder:
        audio = [str((root / name).absolute()) for name in originals["audio"]]
        made = list(_copies(copied, root, Path(folder), seed))
        audio += [path for _, path in made]
        sources = [*originals["id"], *copied["id"].gather([source for source, _ in made])]
        kinds = ["original"] * originals.height + [kind for _ in range(copied.height) for kind in COPIES]
        sounds = [hear(path, Path("/")) for path in audio]
        sketches, marks = ([sound[key] for sound in sounds] for key in ("sketch", "marks"))
        found = find_twins(audio, sketches, marks, Path("/"))
    return _count(found, sources, kinds, copied["id"].to_list())


def _copies(copied: pl.DataFrame, root: Path, folder: Path, seed: int) -> Any:
    for place, reference in enumerate(copied["audio"]):
        samples = read_audio(reference, root)
        for number, kind in enumerate(COPIES):
            path = folder / f"{place}-{number}.flac"
            path.write_bytes(encode_flac(make_copy(kind, samples, seed=seed + 1000 * place + number)))
            yield place, str(path)


def _count(found: pl.DataFrame, sources: list[str], kinds: list[str], copied: list[str]) -> dict[str, Any]:
    pairs = found.select(
        pl.Series("one", sources).gather(found["first"]),
        pl.Series("other", sources).gather(found["second"]),
        pl.Series("kind_one", kinds).gather(found["first"]),
        pl.Series("kind_other", kinds).gather(found["second"]),
        "coherence",
        "overlap_s",
    )
    true = pl.col("one") == pl.col("other")
    hits = pairs.filter(true & (pl.col("kind_one") == "original"))
    recall = dict(hits.group_by("kind_other").agg(pl.col("one").n_unique() / len(copied)).iter_rows())
    wrong = pairs.filter(~true)
    return {
        "recall": {kind: recall.get(kind, 0.0) for kind in COPIES},
        "copied": len(copied),
        "recordings": len(sources),
        "pairs": pairs.height,
        "precision": 1 - wrong.height / max(pairs.height, 1),
        "wrong": wrong.sort("coherence", descending=True).rows(named=True),
    }


def decoding_rate(frame: pl.DataFrame, root: Path, n_decoded: int, seed: int) -> dict[str, float]:
    """How fast one core decodes and measures recordings, as `audit --audio` does.

    Args:
        frame: rows, as `read_manifest` gives them.
        root: their manifest's folder.
        n_decoded: rows that are decoded, drawn anew.
        seed: of the drawing.

    Returns:
        `recordings` that could be read, `audio_h`, `core_s` (processor seconds) and `audio_h_per_core_h`.
    """
    drawn = frame.sample(min(n_decoded, frame.height), shuffle=True, seed=seed)
    start_s = time.process_time()
    durations_s = [hear(reference, root)["decoded_s"] for reference in drawn["audio"]]
    core_s = time.process_time() - start_s
    known_s = [duration_s for duration_s in durations_s if duration_s is not None]
    return {
        "recordings": len(known_s),
        "audio_h": sum(known_s) / 3600,
        "core_s": core_s,
        "audio_h_per_core_h": sum(known_s) / max(core_s, 1e-9),
    }


def made_sketch(rng: np.random.Generator) -> bytes:
    """A sketch of 2 s as speech might have: syllables of formants that glide, between pauses."""
    frames = 125
    levels = np.full((frames, BANDS), -4.0)
    at = int(rng.integers(0, 12))
    while at < frames - 6:
        length = int(rng.integers(6, 24))
        span = np.arange(min(length, frames - at))
        envelope = np.sin(np.pi * (span + 0.5) / length)
        for _ in range(int(rng.integers(2, 5))):
            centre = rng.uniform(0, BANDS) + rng.normal(0, 0.15) * span
            # No two takes of a sound are alike in detail: harmonics, breath, the room.
            detail = lfilter([0.5], [1, -0.85], rng.normal(0, 1.0, (len(span), BANDS)), axis=0)
            shape = np.exp(-(((np.arange(BANDS) - centre[:, None]) / rng.uniform(0.7, 2.5)) ** 2))
            part = levels[at : at + len(span)]
            np.maximum(
                part, -4.0 + rng.uniform(2, 4) * envelope[:, None] * shape * (1 + 0.7 * detail), out=part
            )
        at += length + int(rng.integers(0, 10))
    codes = np.clip(np.rint((levels / 4 + 1 + rng.normal(0, 0.03, levels.shape)) * 15), 0, 15).astype(
        np.uint8
    )
    return (codes[:, ::2] << 4 | codes[:, 1::2]).tobytes()


def search_curve(sizes: list[int], seed: int) -> list[dict[str, float]]:
    """Processor seconds of the search among made-up sketches of 2 s, one in a hundred a copy in noise.

    Args:
        sizes: recordings of each corpus.
        seed: of the generator.

    Returns:
        For each size `clips, anchors`, `index_s` (anchors and signatures), `search_s` (candidates),
        `align_s`, `cpu_s` (all), `candidates, pairs, copies` and `found`, the copies among the pairs.
    """
    rows = []
    for size in sizes:
        rng = np.random.default_rng(seed)
        copies = size // 100
        sketches = [made_sketch(rng) for _ in range(size - copies)]
        sketches += [_noisier(sketches[place], rng) for place in range(copies)]
        marks = [time.process_time()]
        found = gather(sketches)
        marks.append(time.process_time())
        near = candidates(found)
        marks.append(time.process_time())
        pairs = fitting(near, sketches)
        marks.append(time.process_time())
        truth = {(place, size - copies + place) for place in range(copies)}
        index_s, search_s, align_s = np.diff(marks).tolist()
        rows.append(
            {
                "clips": size,
                "anchors": len(found.clip),
                "index_s": index_s,
                "search_s": search_s,
                "align_s": align_s,
                "cpu_s": marks[-1] - marks[0],
                "candidates": len(near),
                "pairs": len(pairs),
                "copies": copies,
                "found": len(truth & {(pair.first, pair.second) for pair in pairs}),
            }
        )
    return rows


def _noisier(sketch: bytes, rng: np.random.Generator) -> bytes:
    """Each code a step or two higher or lower, and some frames cut off in front."""
    packed = np.frombuffer(sketch, dtype=np.uint8).reshape(-1, FRAME_BYTES)[int(rng.integers(1, 30)) :]
    codes = np.stack([packed >> 4, packed & 15], axis=-1).astype(int)
    codes = np.clip(np.rint(codes + rng.normal(0, 1.0, codes.shape)), 0, 15).astype(np.uint8)
    return (codes[..., 0] << 4 | codes[..., 1]).tobytes()
