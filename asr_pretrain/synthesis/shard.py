"""One shard of a synthetic corpus: who says what, and how it sounds. Recipe and number decide each bit."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr_pretrain.phonemes import to_phones
from asr_pretrain.synthesis.confusable import phone_distance
from asr_pretrain.synthesis.engines import Synthesizer, synthesizer
from asr_pretrain.synthesis.espeak import EspeakError
from asr_pretrain.synthesis.mixture import KINDS, Texts
from asr_pretrain.synthesis.texts import WAKE_PHRASES
from asr_pretrain.synthesis.vocal import SAMPLE_RATE_HZ
from asr_pretrain.synthesis.voices import Voice

_SPARE_TEXTS = 1
_MOST_TEXTS = 500
_MOST_ROUNDS = 50
_TRAIN_DEV = 200
"""One voice in so many is kept out of training, to tell variance from mismatch."""
_CHILDREN = 0.12
_CHILD_TRACT = (1.12, 1.3)
_LETTERS = re.compile(r"[^a-z']+")
# A text goes to a synthesizer that reads by its own rules only where CMUdict, which those follow, agrees
# with the phones that the row will hold: 0.2 a phone is one confusable vowel in two.
_MOST_DISAGREEMENT = 0.2
_PHONES_A_SECOND = 10.0  # of slow speech; what is still too long is found out by speaking it


@dataclass(frozen=True)
class Line:
    """A text to say, with its phones and the labels that follow from them."""

    kind: str
    text: str
    phones: tuple[str, ...]
    labels: dict[str, int | None]


class Script:
    """The lines of one shard, in the order in which they are asked for."""

    def __init__(self, texts: Texts, shard: int, dropped: Counter[str]) -> None:
        self._texts = texts
        self._rows = texts.rows(shard)
        self._dropped = dropped
        self._phrases = texts.recipe.phrases
        self._rng = np.random.default_rng([texts.recipe.seed, 1, shard])
        self._most_phones = texts.recipe.duration_s[1] * _PHONES_A_SECOND

    def next(self, reads_alone: bool, said: set[str]) -> Line:
        """The next line that can be said, of a kind drawn by the recipe's shares, not in `said` if possible.

        Raises:
            EspeakError: none of the next 500 texts of that kind can be said.
        """
        kind = KINDS[int(self._rng.choice(len(KINDS), p=self._texts.shares))]
        repeated = None
        for text in itertools.islice(self._rows[kind], _MOST_TEXTS):
            line = self._line(kind, text, reads_alone)
            if line is not None and line.text not in said:
                return line
            repeated = line or repeated
        if repeated is None:
            raise EspeakError(
                f"texts.{kind}: {_MOST_TEXTS} texts in a row cannot be said; set its share to 0"
            )
        return repeated

    def _line(self, kind: str, text: str, reads_alone: bool) -> Line | None:
        try:
            phones = tuple(to_phones(text))
        except EspeakError:
            self._dropped["no phonemes"] += 1
            return None
        labels = wake_labels(text, phones, self._phrases)
        # The first phrase is what will be learnt: it stands where it was asked for and nowhere else.
        if labels[self._phrases[0]] != (1 if kind in ("wake", "wake_alone") else 0):
            self._dropped["wake phrase"] += 1
            return None
        if len(phones) > self._most_phones:
            self._dropped["too long"] += 1
            return None
        if reads_alone and not self._agree(text, phones):
            self._dropped["read otherwise"] += 1
            return None
        return Line(kind, text, phones, labels)

    def _agree(self, text: str, phones: tuple[str, ...]) -> bool:
        expected: list[str] = []
        for word in _LETTERS.sub(" ", text.lower()).split():
            known = self._texts.pronunciations.get(word)
            if known is None:
                return not self._texts.pronunciations  # without the dictionary nothing is known
            expected += known[0]
        return phone_distance(list(phones), expected) <= _MOST_DISAGREEMENT * len(phones)


@functools.cache
def _sound(phrase: str) -> str:
    return f" {' '.join(to_phones(phrase))} "


def wake_labels(
    text: str, phones: tuple[str, ...], phrases: Sequence[str] = WAKE_PHRASES
) -> dict[str, int | None]:
    """For each wake phrase 1 where its words are said, 0 where its phones are not, None in between."""
    words = f" {' '.join(_LETTERS.sub(' ', text.lower()).split())} "
    sounds = f" {' '.join(phones)} "
    labels: dict[str, int | None] = {}
    for phrase in phrases:
        near = None if _sound(phrase) in sounds else 0
        labels[phrase] = 1 if f" {phrase} " in words else near
    return labels


def utterances(
    texts: Texts, engines: dict[str, float], shard: int, dropped: Counter[str]
) -> Iterator[tuple[dict[str, object], np.ndarray]]:
    """The shard's utterances: manifest rows as `write_shard` takes them, and int16 samples (n,) at 16 kHz.

    Args:
        engines: synthesizers and their shares.
        dropped: counts, by reason, the texts that were replaced by others.
    """
    recipe = texts.recipe
    script = Script(texts, shard, dropped)
    rng = np.random.default_rng([recipe.seed, 2, shard])
    names, shares = list(engines), np.array(list(engines.values()))
    made = voices = 0
    while made < recipe.utterances_per_shard:
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        engine = synthesizer(name)
        voice = _child_or_not(engine.draw_voice(rng), rng)
        count = int(rng.integers(recipe.utterances_per_voice[0], recipe.utterances_per_voice[1] + 1))
        count = min(count, recipe.utterances_per_shard - made)
        speaker = f"synthetic-{name}-{shard:05d}-{voices:03d}"
        voices += 1
        for line, said_by, samples in _performance(
            script, engine, voice, count, recipe.duration_s, rng, dropped
        ):
            yield _row(f"synthetic-{shard:05d}-{made:05d}", name, speaker, said_by, line), samples
            made += 1


def _child_or_not(voice: Voice, rng: np.random.Generator) -> Voice:
    if rng.random() >= _CHILDREN:
        return voice
    tract = float(rng.uniform(*_CHILD_TRACT))
    # The tract speeds speech up as well; children are not that fast.
    slower = int(np.clip(voice.rate_wpm * voice.tract / tract, 80, 260))
    return dataclasses.replace(voice, tract=tract, rate_wpm=slower, pitch=max(voice.pitch, 45))


def _performance(
    script: Script,
    engine: Synthesizer,
    voice: Voice,
    count: int,
    duration_s: tuple[float, float],
    rng: np.random.Generator,
    dropped: Counter[str],
) -> Iterator[tuple[Line, Voice, np.ndarray]]:
    """`count` lines by one voice, each a little different, as people vary.

    The lines of a round are read before the voice starts: reading needs the same library, and would change
    what it remembers between texts.
    """
    said: set[str] = set()
    for _ in range(_MOST_ROUNDS):
        lines = []
        for _ in range(count + _SPARE_TEXTS if count > 2 else count):
            lines.append(script.next(engine.READS_ALONE, said))
            said.add(lines[-1].text)
        engine.start_voice(voice)
        for line in lines:
            varied = _vary(voice, rng)
            try:
                samples = _padded(engine.speak(line.text, varied), duration_s[0], rng)
            except EspeakError:
                dropped["not spoken"] += 1
                continue
            if len(samples) > duration_s[1] * SAMPLE_RATE_HZ:
                dropped["too long"] += 1
                continue
            yield line, varied, samples
            count -= 1
            if count == 0:
                return
    raise EspeakError(
        f"voice {voice.name!r} speaks nothing between {duration_s[0]} and {duration_s[1]} s; widen duration_s"
    )


def _vary(voice: Voice, rng: np.random.Generator) -> Voice:
    return dataclasses.replace(
        voice,
        rate_wpm=int(np.clip(voice.rate_wpm * rng.uniform(0.9, 1.1), 80, 280)),
        pitch=int(np.clip(voice.pitch + rng.integers(-8, 9), 0, 99)),
        pitch_range=int(np.clip(voice.pitch_range + rng.integers(-12, 13), 0, 99)),
        seed=int(rng.integers(2**31)),
    )


def _padded(samples: np.ndarray, least_s: float, rng: np.random.Generator) -> np.ndarray:
    missing = int(np.ceil(least_s * SAMPLE_RATE_HZ)) - len(samples)
    if missing <= 0:
        return samples
    before = int(rng.integers(missing + 1))
    return np.pad(samples, (before, missing - before))


def _row(row_id: str, engine: str, speaker: str, voice: Voice, line: Line) -> dict[str, object]:
    return {
        "id": row_id,
        "text": line.text,
        "phones": " ".join(line.phones),
        "domain": "general",
        "source": f"synthetic-{engine}",
        "speaker": speaker,
        "labels": line.labels,
        "split": "train_dev" if zlib.crc32(speaker.encode()) % _TRAIN_DEV == 0 else "train",
        "part": "train",
        "licence": "CC0-1.0",
        "kind": "speech",
        "text_kind": line.kind,
        "voice": voice.name,
    }
