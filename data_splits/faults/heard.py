"""A clean corpus of recordings, and what the rules that listen find in it with faults and without."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from data_splits.audio import SAMPLE_RATE_HZ, read_audio
from data_splits.audit import RULES, Audited
from data_splits.audit.finding import INFO
from data_splits.audit.measure import measure_audio
from data_splits.audit.sound.copies import babble_word
from data_splits.audit.sound.listen import listen
from data_splits.codecs import encode_flac
from data_splits.faults.sound import TASK, SoundFault, single_faults, split_faults
from data_splits.manifest import normalise

SPEAKERS, TAKES = 40, 5
_SPLITS: Final = ("train", "dev", "test", "train_dev", "train")
_SECONDS: Final = (0.7, 6.0)
_EARS: Final = ("integrity", "exact-duplicate", "near-duplicate", "drift", "spurious-cue", "sound-quality")

Takes = Iterable[tuple[str, np.ndarray]]
"""Speaker and int16 samples at 16 kHz."""


def made_takes() -> Takes:
    """Five made-up words by each of 40 made-up voices."""
    for voice in range(SPEAKERS):
        for word in range(TAKES):
            yield f"voice{voice}", babble_word(word, take=voice, voice=voice)


def recorded_takes(frame: pl.DataFrame, root: Path, seed: int) -> Takes:
    """Five recordings of each of 40 speakers of one source, so that nothing but chance tells them apart.

    Raises:
        ValueError: no source has so many.
    """
    usable = frame.filter(pl.col("duration_s").is_between(*_SECONDS) & pl.col("speaker").is_not_null())
    usable = usable.sample(fraction=1.0, shuffle=True, seed=seed)
    usable = usable.filter(pl.int_range(pl.len()).over("source", "speaker") < TAKES)
    usable = usable.filter(pl.len().over("source", "speaker") == TAKES)
    usable = usable.filter(pl.col("speaker").n_unique().over("source") >= SPEAKERS)
    if usable.is_empty():
        raise ValueError(
            f"no source has {SPEAKERS} named speakers with {TAKES} recordings of {_SECONDS[0]} to "
            f"{_SECONDS[1]} s each; give another MANIFEST, or none for made-up sounds"
        )
    usable = usable.filter(pl.col("source") == usable["source"].mode().sort()[0])
    kept = usable["speaker"].unique(maintain_order=True).head(SPEAKERS)
    for speaker, audio in (
        usable.filter(pl.col("speaker").is_in(kept.implode())).select("speaker", "audio").iter_rows()
    ):
        yield speaker, read_audio(audio, root)


def corpus(takes: Takes, folder: Path) -> pl.DataFrame:
    """Write recordings and a manifest of them: splits dealt by speaker, labels by turns."""
    rows: list[dict[str, Any]] = []
    names: list[str] = []
    for number, (speaker, samples) in enumerate(takes):
        names += [] if speaker in names else [speaker]
        said = sum(row["speaker"] == speaker for row in rows)
        (folder / f"take{number}.flac").write_bytes(encode_flac(samples))
        rows.append(
            {
                "id": f"take{number}",
                "audio": f"take{number}.flac",
                "duration_s": len(samples) / SAMPLE_RATE_HZ,
                "sample_rate_hz": SAMPLE_RATE_HZ,
                "domain": "mirror",
                "speaker": speaker,
                "split": _SPLITS[names.index(speaker) % len(_SPLITS)],
                "labels": {TASK: (said + names.index(speaker) // len(_SPLITS)) % 2},
            }
        )
    return normalise(pl.DataFrame(rows), "made-up corpus")


def heard_faults(takes: Takes) -> tuple[pl.DataFrame, list[str]]:
    """Put every fault into a corpus, and listen to it with and without them.

    Returns:
        Columns `rule, faults, caught, recall, false alarms`, the last the errors and warnings about the clean
        corpus; and one line for each fault that was missed and each false alarm.
    """
    with tempfile.TemporaryDirectory(prefix="data-splits-") as name:
        folder = Path(name)
        cache = folder / "cache"
        clean = corpus(takes, folder)
        single = list(single_faults(clean, folder))
        broken = _with(clean, single)
        together = Audited(broken, listen(broken, folder, cache=cache))
        caught = [(fault, fault.guilty <= _named(together, fault.rule)) for fault in single]
        for fault in split_faults(clean, folder):
            rows = _with(clean, [fault])
            named = _named(Audited(rows, measure_audio(rows, folder, cache=cache)), fault.rule)
            caught.append((fault, bool(named) and named <= fault.guilty))
        heard = Audited(clean, listen(clean, folder, cache=cache))
    alarms = {
        rule: [finding.message for finding in RULES[rule](heard, rule) if finding.severity != INFO]
        for rule in _EARS
    }
    lines = []
    for rule in _EARS:
        seen = [was for fault, was in caught if fault.rule == rule]
        lines.append((rule, len(seen), sum(seen), sum(seen) / len(seen), len(alarms[rule])))
    wrong = [f"missed: {fault.rule}: {fault.name}" for fault, was in caught if not was]
    wrong += [f"false alarm: {rule}: {message}" for rule in _EARS for message in alarms[rule]]
    names = ["rule", "faults", "caught", "recall", "false alarms"]
    return pl.DataFrame(lines, schema=names, orient="row"), wrong


def _with(clean: pl.DataFrame, faults: list[SoundFault]) -> pl.DataFrame:
    changed = pl.concat([fault.changed for fault in faults])
    return pl.concat([clean.join(changed, on="id", how="anti"), changed])


def _named(audited: Audited, rule: str) -> set[str]:
    return {row for finding in RULES[rule](audited, rule) if finding.severity != INFO for row in finding.ids}
