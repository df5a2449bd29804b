"""Texts to synthesize: commands, sentences, other languages.

>>> draw_sentence(np.random.default_rng(0))
'My flute of the bolt answered Dorothy'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from asr_pretrain.synthesis.confusable import holds_phrase, near_misses
from asr_pretrain.synthesis.foreign import FOREIGN_SENTENCES
from asr_pretrain.synthesis.words import ADJECTIVES, ADVERBS, NAMES, NOUNS, PLACES, STREETS, VERBS_PAST

__all__ = [
    "COMMANDS",
    "FILLERS",
    "PROSE",
    "WAKE_PHRASES",
    "draw_command",
    "draw_foreign",
    "draw_prose",
    "draw_sentence",
    "fill",
    "near_misses",
    "pick",
]

WAKE_PHRASES: tuple[str, ...] = ("smart mirror", "alexa", "computer", "jarvis", "snowboy")
"""The wake words of the development recordings."""


def pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """One of the options, each as likely."""
    return options[int(rng.integers(len(options)))]


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"


def _number(rng: np.random.Generator) -> str:
    top = int(rng.choice([10, 20, 100, 1000, 10000]))
    return str(int(rng.integers(1, top)))


def _clock(rng: np.random.Generator) -> str:
    hour, minute = int(rng.integers(1, 13)), int(rng.integers(0, 12)) * 5
    options = (
        f"{hour} o'clock",
        f"{hour} {minute or 'sharp'}",
        f"half past {hour}",
        f"{hour} {minute or ''} p m",
    )
    return " ".join(pick(rng, options).split())


def _address(rng: np.random.Generator) -> str:
    kind = pick(rng, ("Street", "Avenue", "Road", "Drive", "Lane", "Court", "Boulevard", "Way"))
    return f"{int(rng.integers(1, 2000))} {pick(rng, STREETS)} {kind}"


_DETERMINERS = ("the", "a", "my", "your", "his", "her", "our", "their", "this", "that", "every")
_PRONOUNS = ("I", "you", "he", "she", "we", "they")
_PREPOSITIONS = ("in", "on", "near", "behind", "under", "above", "between", "without", "beside")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "October", "December")

FILLERS: dict[str, Callable[[np.random.Generator], str]] = {
    "number": _number,
    "clock": _clock,
    "address": _address,
    "digits": lambda rng: " ".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(3, 11)))),
    "name": lambda rng: pick(rng, NAMES),
    "place": lambda rng: pick(rng, PLACES),
    "street": lambda rng: f"{pick(rng, STREETS)} {pick(rng, ('Street', 'Avenue', 'Road'))}",
    "noun": lambda rng: pick(rng, NOUNS),
    "nouns": lambda rng: _plural(pick(rng, NOUNS)),
    "adjective": lambda rng: pick(rng, ADJECTIVES),
    "verb": lambda rng: pick(rng, VERBS_PAST),
    "adverb": lambda rng: pick(rng, ADVERBS),
    "the": lambda rng: pick(rng, _DETERMINERS),
    "who": lambda rng: pick(rng, (*_PRONOUNS, *NAMES)),
    "where": lambda rng: pick(rng, _PREPOSITIONS),
    "day": lambda rng: pick(rng, _DAYS),
    "month": lambda rng: pick(rng, _MONTHS),
}

COMMANDS = tuple(
    """
Take me to {address} in {place}|Navigate to {street}|Turn left in {number} meters|Turn right onto {street}
How far is it to {place}?|Find a {noun} shop near {place}|Avoid the toll road to {place}
Show me the way home|Play {adjective} {noun} by {name}|Play the next song|Turn the volume up to {number}
Turn the music down|Skip this track|Call {name}|Call {name} at work|Dial {digits}
Send a message to {name}, I will be there at {clock}|Read my last message|What time is it in {place}?
Wake me at {clock}|Set a timer for {number} minutes|Remind me on {day} at {clock}
What is the weather in {place} on {day}?|Is there traffic on {street}?
Set the temperature to {number} degrees|Open the {noun} window|Close the sunroof|Turn on the {noun} light
Switch off the air conditioning|Warm up my seat|Where is the nearest {noun}?
How much is {number} plus {number}?|My phone number is {digits}|Flight {digits} at {clock}
The meeting is on {month} {number}|Order {number} {nouns} from {place}|Park the car {where} the {noun}
Dim the display|Stop|Cancel|Yes please|No thank you|Good morning {name}|Are we there yet?|Slow down a bit
Mind the {noun}|{number}|It costs {number} dollars and {number} cents
Chapter {number}, the {adjective} {noun}|{name} lives at {address}
""".strip()
    .replace("\n", "|")
    .split("|")
)

PROSE = tuple(
    """
{the} {adjective} {noun} {verb} {the} {noun}|{who} {adverb} {verb} {the} {adjective} {noun}
{who} {verb} {the} {noun} {where} {the} {adjective} {noun}
{the} {noun} was {adjective} and {adverb} {adjective}
When {who} {verb} {the} {noun}, {the} {noun} was {adjective}
There was {the} {adjective} {noun} {where} {the} {noun}
{adverb} {who} {verb} {the} {noun}, but {who} {verb} {the} {adjective} {noun}
{noun} {noun} {adjective} {verb} {noun}|If {who} had {verb} {the} {noun}, {who} would have been {adjective}
{the} {noun} of {the} {noun} {verb} {name}|Has {who} {verb} {the} {adjective} {noun}?
Why was {the} {noun} {where} {the} {noun}?|{adjective} {noun}|{noun}
"{adverb}", said {name}, "{the} {noun} is {adjective}"|{name} of {place} {verb} {number} {nouns}
{verb} and {verb}|{who} knew neither {the} {noun} nor {the} {noun} {where} {place}
Neither {adjective} nor {adjective}, {the} {noun} {verb}
""".strip()
    .replace("\n", "|")
    .split("|")
)


Fillers = Mapping[str, Callable[[np.random.Generator], str]]
"""What a template's slots are filled with."""


def fill(template: str, rng: np.random.Generator, fillers: Fillers = FILLERS) -> str:
    """The template with each `{slot}` filled, its first letter a capital."""
    text = ""
    for piece in template.split("{"):
        slot, closed, rest = piece.partition("}")
        text += fillers[slot](rng) + rest if closed else piece
    return text[:1].upper() + text[1:]


def draw_command(rng: np.random.Generator) -> str:
    """A thing one says to a car: places, music, calls, numbers, times."""
    return fill(pick(rng, COMMANDS), rng)


def draw_prose(rng: np.random.Generator) -> str:
    """A sentence of a small grammar, sense not guaranteed: many phone pairs in few words."""
    return fill(pick(rng, PROSE), rng)


def draw_sentence(rng: np.random.Generator, without: tuple[str, ...] = WAKE_PHRASES) -> str:
    """A command (four of ten) or prose that holds none of the phrases `without`."""
    while True:
        text = draw_command(rng) if rng.random() < 0.4 else draw_prose(rng)
        if not any(holds_phrase(text, phrase) for phrase in without):
            return text


def draw_foreign(rng: np.random.Generator, language: str | None = None) -> tuple[str, str]:
    """A sentence of another language, and its espeak-ng code; three of ten are Mandarin."""
    if language is None:
        others = tuple(code for code in FOREIGN_SENTENCES if code != "cmn")
        language = "cmn" if rng.random() < 0.3 else pick(rng, others)
    return pick(rng, FOREIGN_SENTENCES[language]), language
