"""Score anyone's own drive: one recording and a CSV that says when the word was spoken."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wakeword import scoring, statistics
from wakeword.blocks import SAMPLE_RATE_HZ, StreamError

LONGEST_DRIVE_S = 4 * 3600.0


@dataclass(frozen=True)
class Spoken:
    """One row of the truth, in seconds from the start of the drive."""

    start_s: float
    end_s: float
    text: str = ""


def read_truth(path: Path, duration_s: float = math.inf) -> list[Spoken]:
    """Read `start_s,end_s[,text]`; a header, blank lines, `;`, tabs and `#` comments are tolerated.

    Raises:
        StreamError: naming the file and line of a row that is no span, or lies outside the drive.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StreamError(f"{path}: not readable: {error}; give a CSV with start_s,end_s[,text]") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    numbers = [n for n, line in enumerate(text.splitlines(), 1) if line in lines]
    delimiter = next((mark for mark in ("\t", ";") if lines and mark in lines[0]), ",")
    spoken = []
    for index, (number, row) in enumerate(zip(numbers, csv.reader(lines, delimiter=delimiter), strict=False)):
        if index == 0 and row and not _is_number(row[0]):
            continue
        spoken.append(_spoken(row, f"{path}, line {number}", duration_s))
    return sorted(spoken, key=lambda row: row.start_s)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _spoken(row: list[str], where: str, duration_s: float) -> Spoken:
    if len(row) < 2 or not (_is_number(row[0]) and _is_number(row[1])):
        raise StreamError(f"{where}: {','.join(row)!r} is no start_s,end_s[,text] in seconds")
    start_s, end_s = float(row[0]), float(row[1])
    if not 0 <= start_s < end_s:
        raise StreamError(f"{where}: {start_s:g} to {end_s:g} s: a word starts at 0 or later and ends after")
    if start_s >= duration_s:
        raise StreamError(f"{where}: the word at {start_s:g} s lies behind the drive's {duration_s:.2f} s")
    return Spoken(start_s, end_s, ",".join(row[2:]).strip())


def says(text: str, phrase: str) -> bool:
    """Whether a truth row's text holds the phrase; a row without text is the phrase."""
    words = " ".join(re.findall(r"\w+", text.lower()))
    return not words or f" {phrase} " in f" {words} "


def score_drive(
    scores: np.ndarray, truth: Sequence[Spoken], phrase: str, threshold: float, rule: scoring.Rule
) -> dict[str, Any]:
    """Hits, misses, strays and the FA/h of everything that is not the word.

    Args:
        scores: (steps,) of the whole drive.
        truth: rows whose text is something else are other speech and belong to the rest.
    """
    words = [row for row in truth if says(row.text, phrase)]
    spans = np.array([(row.start_s, row.end_s) for row in words], dtype=np.float64).reshape(-1, 2)
    times = (scoring.event_steps(scores, threshold, rule) + 1) * rule.step_s
    hit_times, strays = scoring.match(times, spans, rule.tail_s)
    duration_s = scores.size * rule.step_s
    rest_hours = (duration_s - _covered_s(spans, rule.tail_s, duration_s)) / 3600
    misses = int(np.isnan(hit_times).sum())
    # An event outside every window is a false accept of the rest; a second one inside a window is not.
    outside = [t for t in strays if not np.any((spans[:, 0] <= t) & (t <= spans[:, 1] + rule.tail_s))]

    def score_at(time: float) -> float:
        return round(float(scores[round(time / rule.step_s) - 1]), 4)

    return {
        "phrase": phrase,
        "threshold": threshold,
        "duration_s": round(duration_s, 2),
        "words": len(words),
        "hits": len(words) - misses,
        "misses": misses,
        "frr": misses / len(words) if words else None,
        "wilson_95": statistics.wilson(misses, len(words)).as_list() if words else None,
        "strays": len(strays),
        "rest_hours": rest_hours,
        "rest_false_accepts": len(outside),
        "rest_fa_per_hour": len(outside) / rest_hours if rest_hours > 0 else None,
        "rest_statement": statistics.fa_statement(len(outside), rest_hours) if rest_hours > 0 else None,
        "events": [
            {
                "start_s": row.start_s,
                "end_s": row.end_s,
                "text": row.text or phrase,
                "heard_s": None if np.isnan(time) else round(float(time), 2),
                "latency_s": None if np.isnan(time) else round(float(time) - row.end_s, 2),
                "score": None if np.isnan(time) else score_at(float(time)),
            }
            for row, time in zip(words, hit_times, strict=True)
        ],
        "stray_events": [{"time_s": round(float(t), 2), "score": score_at(float(t))} for t in strays],
    }


def _covered_s(spans: np.ndarray, tail_s: float, duration_s: float) -> float:
    """Seconds of the drive inside any word's window; overlapping windows count once."""
    covered, reach = 0.0, 0.0
    for start, end in spans:
        stop = min(end + tail_s, duration_s)
        covered += max(0.0, stop - max(start, reach))
        reach = max(reach, stop)
    return covered


def read_drive(path: Path) -> np.ndarray:
    """The drive as (n,) int16 at 16 kHz, up to four hours.

    Raises:
        AudioError: the file is missing, damaged, too long or not audio.
    """
    from data_splits.audio import read_audio

    return read_audio(path.name, path.parent, max_s=LONGEST_DRIVE_S)


def seconds_of(samples: np.ndarray) -> float:
    """Length of (n,) samples in seconds."""
    return samples.size / SAMPLE_RATE_HZ
