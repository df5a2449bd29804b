"""What people say to a mirror, written as it is spoken: addresses, names, numbers, times, places, music.

>>> draw_spoken(np.random.default_rng(1))
'Is it dry outside?'

Numbers are in words, because synthesizers read digits differently: 1250 is twelve fifty to one and one
thousand two hundred fifty to another, and the phones of a text must be those that are heard.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asr_pretrain.synthesis.numbers import ONES, house_number, number_words, ordinal_words
from asr_pretrain.synthesis.phrases import (
    FEATURES,
    GENRES,
    SENTENCES,
    SHOPS,
    SHORT,
    SHORT_TEMPLATES,
    STREET_KINDS,
    SURNAMES,
    WEATHER,
)
from asr_pretrain.synthesis.texts import COMMANDS, FILLERS, PROSE, fill, pick
from asr_pretrain.synthesis.words import ADJECTIVES, NAMES, NOUNS, STREETS


def _number(rng: np.random.Generator) -> str:
    top = int(rng.choice([10, 20, 100, 100, 1000, 10_000, 100_000]))
    number = int(rng.integers(1, top))
    return house_number(number) if rng.random() < 0.3 else number_words(number)


def _clock(rng: np.random.Generator) -> str:
    hour, minute = ONES[int(rng.integers(1, 13))], int(rng.integers(0, 60))
    if rng.random() < 0.4:
        minute = minute // 5 * 5
    past = f"{'oh ' if 0 < minute < 10 else ''}{number_words(minute)}" if minute else "o'clock"
    return pick(
        rng,
        (
            f"{hour} {past}",
            f"{hour} {past} in the {pick(rng, ('morning', 'evening', 'afternoon'))}",
            f"half past {hour}",
            f"a quarter to {hour}",
            f"{number_words(1 + minute % 29)} minutes past {hour}",
            f"{hour} {past}",
        ),
    )


def _digits(rng: np.random.Generator) -> str:
    names = ("oh", *ONES[1:10]) if rng.random() < 0.3 else tuple(ONES[:10])
    return " ".join(names[digit] for digit in rng.integers(0, 10, int(rng.integers(3, 11))))


def _year(rng: np.random.Generator) -> str:
    year = int(rng.integers(1700, 2030))
    return number_words(year) if 2000 <= year < 2010 else house_number(year)


def _person(rng: np.random.Generator) -> str:
    return f"{pick(rng, NAMES)} {pick(rng, SURNAMES)}"


def _street(rng: np.random.Generator) -> str:
    draw = rng.random()
    if draw < 0.15:
        name = ordinal_words(int(rng.integers(1, 130))).title()
    elif draw < 0.35:
        name = pick(rng, SURNAMES)
    elif draw < 0.5:
        name = pick(rng, NOUNS).title() + " " + pick(rng, ("Hill", "Creek", "Ridge", "Park", "Grove"))
    else:
        name = pick(rng, STREETS)
    side = f"{pick(rng, ('North', 'South', 'East', 'West'))} " if rng.random() < 0.15 else ""
    return f"{side}{name} {pick(rng, STREET_KINDS)}"


def _address(rng: np.random.Generator) -> str:
    return f"{house_number(int(rng.integers(1, rng.choice([100, 1000, 10_000]))))} {_street(rng)}"


_SPOKEN_FILLERS: dict[str, Callable[[np.random.Generator], str]] = {
    **FILLERS,
    "number": _number,
    "clock": _clock,
    "address": _address,
    "digits": _digits,
    "street": _street,
    "person": _person,
    "surname": lambda rng: pick(rng, SURNAMES),
    "year": _year,
    "small": lambda rng: number_words(int(rng.integers(2, 60))),
    "ordinal": lambda rng: ordinal_words(int(rng.integers(1, 32))),
    "shop": lambda rng: pick(rng, SHOPS),
    "genre": lambda rng: pick(rng, GENRES),
    "weather": lambda rng: pick(rng, WEATHER),
    "feature": lambda rng: pick(rng, FEATURES),
    "zip": lambda rng: " ".join(ONES[digit] for digit in rng.integers(0, 10, 5)),
    "Adjective": lambda rng: pick(rng, ADJECTIVES).title(),
    "Noun": lambda rng: pick(rng, NOUNS).title(),
}


def draw_spoken(rng: np.random.Generator) -> str:
    """A command, an address, a number, a name: seven of ten from `phrases.py`, else from `texts.py`."""
    draw = rng.random()
    return fill(pick(rng, SENTENCES if draw < 0.7 else COMMANDS), rng, _SPOKEN_FILLERS)


def draw_grammar(rng: np.random.Generator) -> str:
    """A sentence of the small grammar of `texts.py`, numbers in words."""
    return fill(pick(rng, PROSE), rng, _SPOKEN_FILLERS)


def draw_short(rng: np.random.Generator) -> str:
    """One to three words, hardly ever more."""
    if rng.random() < 0.08:
        return pick(rng, SHORT)
    return fill(pick(rng, SHORT_TEMPLATES), rng, _SPOKEN_FILLERS)
