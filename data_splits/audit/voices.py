"""The same voice on both sides, whatever name it goes by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import polars as pl

from data_splits.audit.finding import INFO, WARNING, Audited, Finding, sort_ids
from data_splits.audit.sound.embed import voice_name

_MIN_KNOWN: Final = 10
# One false pair in twenty audits, as if the likeness of strangers were normally distributed.
_FALSE_PAIRS: Final = 0.05
# Recordings of a voice that are compared, the most first; as many again say how like herself a speaker is.
_COMPARED: Final = (4, 2, 1)
_QUANTILE: Final = 0.999
_MOST_KNOWN: Final = 2_000
_SURE: Final = 0.9999


@dataclass(frozen=True)
class _Voices:
    """Everybody on one side."""

    names: list[str]
    vectors: list[np.ndarray]
    """(recordings, dims) of each, unit length, centred."""

    def means(self, most: int, skip: int = 0) -> np.ndarray:
        """The direction of each voice over some of its recordings, (voices, dims)."""
        return np.stack([_unit(each[skip : skip + most].mean(axis=0)) for each in self.vectors])

    def at_least(self, n: int) -> _Voices:
        """Those with so many recordings."""
        kept = [place for place, each in enumerate(self.vectors) if len(each) >= n][:_MOST_KNOWN]
        return _Voices([self.names[place] for place in kept], [self.vectors[place] for place in kept])


def probable_speaker_overlap(audited: Audited, rule: str) -> Iterator[Finding]:
    """No voice of dev or test sounds like one of another side more than strangers do.

    How alike strangers are, and one speaker to herself, is measured on the speakers that have a name, within
    each side, with as many recordings a voice as are compared.
    """
    if audited.measured is None or "voice" not in audited.measured.columns:
        return
    heard = audited.heard.drop_nulls("voice").with_columns(voice_name().alias("_name"))
    if heard.is_empty():
        return
    heard = heard.with_columns(pl.Series("_voice", _centred(heard["voice"])))
    sides = {side: _gather(heard.filter(pl.col("side") == side)) for side in ("train", "dev", "test")}
    known = [
        _gather(heard.filter((pl.col("side") == side) & pl.col("speaker").is_not_null())) for side in sides
    ]
    enough = [n for n in _COMPARED if sum(len(side.at_least(2 * n).names) for side in known) >= _MIN_KNOWN]
    if not enough:
        yield Finding(
            rule,
            INFO,
            heard.height,
            (),
            f"voices cannot be compared: fewer than {_MIN_KNOWN} named speakers with two recordings say how "
            "alike strangers are",
            "name the speakers of more rows",
        )
        return
    pairs = {(one, other) for one in ("dev", "test") for other in ("train", "dev") if one != other}
    n_pairs = sum(len(sides[one].names) * len(sides[other].names) for one, other in pairs)
    if n_pairs == 0:
        return
    limits = {n: _limit(known, n, n_pairs) for n in (enough[0], 1)}
    for one, other in sorted(pairs):
        yield from _overlap(heard, sides, one, other, limits, rule)


def _overlap(
    heard: pl.DataFrame,
    sides: dict[str, _Voices],
    one: str,
    other: str,
    limits: dict[int, tuple[float, float]],
    rule: str,
) -> Iterator[Finding]:
    ours, theirs = sides[one], sides[other]
    if not ours.names or not theirs.names:
        return
    found: dict[tuple[int, int], tuple[float, float, float]] = {}
    fewest = np.minimum.outer(*([len(each) for each in side.vectors] for side in (ours, theirs)))
    most = max(limits)
    for n, (limit, recall) in limits.items():
        alike = ours.means(n) @ theirs.means(n).T
        asked = (fewest >= n) & ((n == most) | (fewest < most))
        for place in zip(*np.nonzero((alike >= limit) & asked), strict=True):
            if ours.names[place[0]] != theirs.names[place[1]]:
                found[int(place[0]), int(place[1])] = (float(alike[place]), limit, recall)
    if not found:
        return
    (first, second), (likeness, limit, recall) = max(found.items(), key=lambda item: item[1][0])
    names = {one: {ours.names[pair[0]] for pair in found}, other: {theirs.names[pair[1]] for pair in found}}
    rows = pl.concat(
        [
            heard.filter((pl.col("side") == side) & pl.col("_name").is_in(list(who)))
            for side, who in names.items()
        ]
    )
    yield Finding(
        rule,
        WARNING,
        rows.filter(pl.col("side") == one).height,
        sort_ids(rows),
        f"{len(found)} pairs of voices in {one} and {other} are probably one speaker: "
        f"{ours.names[first]!r} and {theirs.names[second]!r} are alike by "
        f"{likeness:.2f}, where strangers stay below {limit:.2f} and "
        f"{recall:.0%} of the named speakers are found again",
        "listen to both; give one speaker one name, and plan again",
    )


def _limit(known: list[_Voices], n: int, n_pairs: int) -> tuple[float, float]:
    """How alike strangers may be by n recordings each, and the share of the named who are more like
    themselves."""
    strangers, selves = [], []
    for side in known:
        enough = side.at_least(2 * n)
        if enough.names:
            alike = enough.means(n) @ enough.means(n, skip=n).T
            selves.append(np.diagonal(alike))
            strangers.append(alike[~np.eye(len(alike), dtype=bool)])
    # Fisher's transformation makes a correlation about normal. Median and quantile, because one speaker
    # under two names is a stranger to herself here.
    others = np.arctanh(np.clip(np.concatenate(strangers), -_SURE, _SURE))
    middle = float(np.median(others))
    spread = float(np.quantile(others, NormalDist().cdf(1))) - middle
    limit = middle + NormalDist().inv_cdf(1 - _FALSE_PAIRS / n_pairs) * spread
    limit = float(np.tanh(max(limit, float(np.quantile(others, _QUANTILE)))))
    return limit, float((np.concatenate(selves) >= limit).mean())


def _centred(voices: pl.Series) -> np.ndarray:
    """Unit vectors around their common mean, (rows, dims): what all recordings share tells nobody apart."""
    vectors = np.stack([np.asarray(voice, dtype=np.float32) for voice in voices])
    vectors = np.stack([_unit(vector) for vector in vectors])
    return np.stack([_unit(vector) for vector in vectors - vectors.mean(axis=0)])


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _gather(rows: pl.DataFrame) -> _Voices:
    grouped = rows.group_by("_name", maintain_order=True).agg("_voice")
    vectors = [np.stack([np.asarray(voice) for voice in each]) for each in grouped["_voice"]]
    return _Voices(grouped["_name"].to_list(), vectors)
