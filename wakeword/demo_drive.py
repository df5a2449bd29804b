"""One minute in the car for `wakeword demo`: takes of the wake word, other speech between."""

from __future__ import annotations

import csv
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wakeword.streams import SAMPLE_RATE_HZ, Renderer, StreamError, faint_noise, label_of, seeded

if TYPE_CHECKING:
    import polars as pl

N_WORDS = 10
START_S, SLOT_S = 1.0, 5.9
"""The car alone, then slots that each hold one word and somebody saying something else."""
SNR_DB = 10.0
LEVEL_DBFS = -26.0
"""Active-speech level of everybody before the car, so that the SNR holds for each word."""
BEFORE_WORD_S, AFTER_WORD_S, AFTER_SPEECH_S = 0.4, 1.3, 0.3
"""Silences of a slot; the one after the word is as long as the scoring rule waits for an answer."""


@dataclass(frozen=True)
class Utterance:
    """Who said what, from when to when in the drive, in seconds."""

    start_s: float
    end_s: float
    text: str
    speaker: str
    is_word: bool


def build_drive(
    frame: pl.DataFrame, root: Path, phrase: str, car: Renderer, folder: Path, seed: int = 0
) -> list[Utterance]:
    """Write `drive.wav` and `drive.csv` (start_s, end_s, text) to `folder`, from the test rows of `frame`.

    Raises:
        StreamError: the manifest has no take of the phrase, or no other speech, in its test part.
    """
    rng = seeded(seed, "drive")
    takes, others = _choose(frame, phrase, rng)
    clean = faint_noise(int((START_S + N_WORDS * SLOT_S) * SAMPLE_RATE_HZ), rng)
    said: list[Utterance] = []
    for slot, (take, other) in enumerate(zip(takes, others, strict=True)):
        begin_s = START_S + slot * SLOT_S
        at = begin_s + BEFORE_WORD_S
        for row, after_s in ((take, AFTER_WORD_S), (other, AFTER_SPEECH_S)):
            room_s = begin_s + SLOT_S - AFTER_SPEECH_S - at
            samples, start_s, end_s = _speech(row, root, room_s)
            begin = int(at * SAMPLE_RATE_HZ)
            clean[begin : begin + samples.size] += samples
            text = phrase if row is take else row["text"] or "(other speech)"
            speaker = row["speaker"] or row["source"] or "unknown"
            said.append(Utterance(at + start_s, at + end_s, text, speaker, row is take))
            at += samples.size / SAMPLE_RATE_HZ + after_s
    _write(folder, car.render(clean, rng, SNR_DB), said)
    return said


def _choose(
    frame: pl.DataFrame, phrase: str, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Takes in turn from every voice, and as many rows of other speech that fit beside them."""
    import polars as pl

    label = label_of(frame, phrase)
    rows = frame.filter((pl.col("split") == "test") & (pl.col("domain") == "general"))
    shuffled = rows[rng.permutation(rows.height)]
    turn = pl.int_range(pl.len()).over(pl.coalesce("speaker", "id"))
    takes = shuffled.filter(label == 1).with_columns(turn.alias("_turn")).sort("_turn", maintain_order=True)
    others = shuffled.filter(
        (label == 0) & pl.col("noise_kind").is_null() & pl.col("duration_s").is_between(0.8, 3.0)
    )
    if not takes.height or not others.height:
        raise StreamError(
            f"the test part has {takes.height} takes of {phrase!r} and {others.height} other utterances"
        )
    return [[rows.row(i % rows.height, named=True) for i in range(N_WORDS)] for rows in (takes, others)]  # type: ignore[return-value]


def _speech(row: dict[str, Any], root: Path, room_s: float) -> tuple[np.ndarray, float, float]:
    """A recording without its silence, at the drive's level, and the span of its speech in seconds."""
    import torch

    from asr_pretrain.augment.level import active_speech_level_db, word_span
    from data_splits.audio import read_audio
    from wakeword.spans import tight_span

    samples = read_audio(row["audio"], root)
    start_s, end_s = tight_span(samples)
    start, end = (int(max(0.0, t) * SAMPLE_RATE_HZ) for t in (start_s - 0.15, end_s + 0.15))
    cut = samples[start:end].astype(np.float32)[: int(room_s * SAMPLE_RATE_HZ)] / 32768
    level_db = float(active_speech_level_db(torch.from_numpy(cut)))
    return cut * np.float32(10 ** ((LEVEL_DBFS - level_db) / 20)), *word_span(cut)


def _write(folder: Path, heard: np.ndarray, said: list[Utterance]) -> None:
    from data_splits.audio import to_int16

    folder.mkdir(parents=True, exist_ok=True)
    with wave.open(str(folder / "drive.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(to_int16(heard).astype("<i2").tobytes())
    with (folder / "drive.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("start_s", "end_s", "text"))
        rows.writerows((f"{u.start_s:.3f}", f"{u.end_s:.3f}", u.text) for u in said)
