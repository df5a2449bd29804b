"""Who else is heard in the car: other passengers, and speech or music from the car's own loudspeakers.

Their sounds are recordings of the part, cut and levelled as noises are (`noise.py`), heard through the same
cabin from another place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch

from asr_pretrain.augment.cabin import RirBank
from asr_pretrain.augment.level import SAMPLE_RATE_HZ
from asr_pretrain.augment.noise import NoiseBank, NoiseChoice

CompanyKind = Literal["talker", "radio", "music"]
MOST_TALKERS = 600
"""Recordings of speech that are held in memory."""
_SHORTEST_S = 1.5


@dataclass(frozen=True)
class Company:
    """What else is heard in one cut."""

    kind: CompanyKind
    sound: NoiseChoice
    rir_index: int
    """Of the cabin whose other seat or door it is heard from."""
    below_db: float
    """How far its active level lies below that of the speaker."""
    band_hz: tuple[float, float]
    """What a loudspeaker passes; unused for a talker."""


def company_bank(
    frame: pl.DataFrame, root: Path, part: str, phrases: list[str], seed: int = 0, cache: Path | None = None
) -> NoiseBank | None:
    """Speech without any of ``phrases`` and music of ``part``; None where it holds neither.

    ``frame`` is a manifest whose audio is relative to ``root``.
    """
    rows = frame.filter((pl.col("split") == part) & (pl.col("domain") == "general"))
    fields = rows.schema["labels"]
    known = {f.name for f in fields.fields} if isinstance(fields, pl.Struct) else set()
    said = [pl.col("labels").struct.field(phrase).eq_missing(1) for phrase in phrases if phrase in known]
    speech = rows.filter(
        pl.col("noise_kind").is_null()
        & (pl.col("duration_s") >= _SHORTEST_S)
        & ~pl.any_horizontal(False, *said)
    ).sort("id")
    speech = speech.sample(min(len(speech), MOST_TALKERS), seed=seed, shuffle=True)
    music = rows.filter(pl.col("noise_kind") == "music")
    chosen = pl.concat([speech.with_columns(pl.lit("talker").alias("noise_kind")), music])
    if chosen.is_empty():
        return None
    return NoiseBank.build(chosen, root, part=part, procedural=0, cache=cache)


def draw_company(
    rng: np.random.Generator,
    shares: dict[CompanyKind, float],
    below_db: tuple[float, float],
    bank: NoiseBank,
    rir_index: int,
    n_samples: int,
) -> Company | None:
    """One of the kinds, or nobody; a kind of which the bank holds no recording is nobody."""
    u, level, low, high = rng.random(4).tolist()
    choice: CompanyKind | None = None
    for kind, share in shares.items():
        if u < share:
            choice = kind
            break
        u -= share
    wanted = "music" if choice == "music" else "talker"
    if choice is None or wanted not in bank.kinds:
        return None
    sound = bank.choose(rng, n_samples, frozenset([wanted]), 1.0, 0.0)
    return Company(
        kind=choice,
        sound=sound,
        rir_index=rir_index,
        below_db=below_db[0] + (below_db[1] - below_db[0]) * level,
        band_hz=(80 * 2**low, 4500 * 2 ** (0.8 * high)),
    )


def company_response(company: Company, rirs: RirBank) -> torch.Tensor:
    """Impulse response ``(samples,)`` from its place to the mirror."""
    bank = rirs.talkers if company.kind == "talker" else rirs.loudspeakers
    if bank is None:  # measured responses: somebody else's place is another of them
        return rirs.responses[(company.rir_index + 1) % len(rirs.ids)]
    return bank[company.rir_index]


def loudspeaker_gain(company: Company, n_bins: int) -> torch.Tensor:
    """Gains ``(bins,)`` of what it is played through; ones for a talker."""
    if company.kind == "talker":
        return torch.ones(n_bins)
    f = torch.linspace(0, SAMPLE_RATE_HZ / 2, n_bins)
    low, high = company.band_hz
    return (f / low) ** 2 / torch.sqrt(1 + (f / low) ** 4) / torch.sqrt(1 + (f / high) ** 8)
