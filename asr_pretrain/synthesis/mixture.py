"""The texts of a corpus: for each shard, an endless row of each kind, the same whoever asks for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_pretrain.synthesis.prose import BOOKS, cmudict_sha256, plain, pronunciations
from asr_pretrain.synthesis.recipe import SynthesisRecipe
from asr_pretrain.synthesis.spoken import draw_grammar, draw_short, draw_spoken
from asr_pretrain.synthesis.texts import WAKE_PHRASES, near_misses, pick
from asr_pretrain.synthesis.words import ADJECTIVES, NOUNS, VERBS_PAST

KINDS = ("transcripts", "books", "words", "spoken", "grammar", "short", "confusable", "wake", "wake_alone")
_POOLED = ("transcripts", "books")
_SPARE = 1.25  # of a pool's window: refused texts are replaced by the next ones
_LONGEST_WORDS = 18
_COMMON = (*NOUNS, *VERBS_PAST, *ADJECTIVES)
_AROUND = (
    "hey {}",
    "okay {}",
    "{} please",
    "{} {}",
    "hello {}, are you there",
    "the {} is on the wall",
    "turn on the {}",
    "I bought a {} yesterday",
    "look at the {}",
    "a {} for the bathroom",
)
_APART = (
    "the mirror is smart",
    "smart people clean the mirror",
    "a mirror for a smart car",
    "she looks smart in the mirror",
    "that was smart, the mirror said",
    "mirror of the smart woman",
    "adjust the left mirror",
    "fold the mirrors",
    "the rear view mirror is dirty",
    "smart parking in front of the mirror shop",
)


def read_transcripts(path: Path | None) -> list[str]:
    """Distinct texts of the train rows of a manifest of recordings, sorted; none without the file.

    Rows of another language (`language` other than en, where the column is there) are left out.
    """
    if path is None or not path.is_file():
        return []
    import polars as pl

    from data_splits.manifest import read_manifest

    rows = read_manifest(path).filter((pl.col("split") == "train") & pl.col("text").is_not_null())
    if "part" in rows.columns:
        rows = rows.filter(pl.col("part").is_null() | (pl.col("part") == "train"))
    # The one corpus of children's voices in other languages.
    rows = rows.filter(~pl.col("id").str.contains("gcompris_other", literal=True))
    if "language" in rows.columns:
        rows = rows.filter(pl.col("language").is_null() | pl.col("language").str.starts_with("en"))
    # Texts that only ASCII spells are English here; the others are sentences of other languages. Digits are
    # read in one way by one synthesizer and in another way by another.
    texts = {plain(text) for text in rows["text"] if text.isascii() and not re.search("[0-9]", text)}
    return sorted({text.lower() if text.isupper() else text for text in texts if text})


def text_inputs(recipe: SynthesisRecipe) -> dict[str, str | None]:
    """Hex SHA-256 of whatever texts come from outside of this package; None for what is absent."""
    transcripts = "\n".join(read_transcripts(recipe.recordings))
    found: dict[str, str | None] = {book: BOOKS[book].sha256() for book in recipe.books}
    found["cmudict"] = cmudict_sha256()
    found["transcripts"] = hashlib.sha256(transcripts.encode()).hexdigest() if transcripts else None
    return found


@dataclass(frozen=True)
class Texts:
    """Everything that can be said, read once a process."""

    recipe: SynthesisRecipe
    pools: dict[str, tuple[str, ...]]
    pronunciations: dict[str, tuple[tuple[str, ...], ...]]
    words: tuple[str, ...]
    shares: tuple[float, ...]
    """Of `KINDS`, adding up to one; kinds without texts have none."""

    @classmethod
    def load(cls, recipe: SynthesisRecipe) -> Texts:
        """Read books, dictionary and transcripts as far as they are there."""
        pools: dict[str, tuple[str, ...]] = {}
        found = {
            "transcripts": read_transcripts(recipe.recordings),
            "books": sorted({clause for book in recipe.books for clause in BOOKS[book].clauses()}),
        }
        for number, kind in enumerate(_POOLED):
            # One order for all shards, so that no text comes twice before each came once.
            order = np.random.default_rng([recipe.seed, 7, number]).permutation(len(found[kind]))
            pools[kind] = tuple(found[kind][place] for place in order)
        spoken = pronunciations()
        wanted = recipe.texts.by_kind()
        for kind in KINDS:
            if (kind in pools and not pools[kind]) or (kind == "words" and not spoken):
                wanted[kind] = 0.0
        whole = sum(wanted.values())
        if whole <= 0:
            raise ValueError("texts: no kind of text has a share and texts to say; give `spoken` a share")
        words = tuple(sorted(word for word in spoken if len(word) > 1))
        return cls(recipe, pools, spoken, words, tuple(wanted[kind] / whole for kind in KINDS))

    def rows(self, shard: int) -> dict[str, Iterator[str]]:
        """An endless iterator a kind, for one shard."""
        rows = {}
        for number, kind in enumerate(KINDS):
            rng = np.random.default_rng([self.recipe.seed, 8, shard, number])
            rows[kind] = self._pooled(kind, shard) if kind in _POOLED else self._drawn(kind, rng)
        return rows

    def _pooled(self, kind: str, shard: int) -> Iterator[str]:
        pool = self.pools[kind]
        window = int(self.recipe.utterances_per_shard * self.shares[KINDS.index(kind)] * _SPARE) + 1
        place = shard * window
        while pool:
            words = pool[place % len(pool)].split()
            yield " ".join(words[:_LONGEST_WORDS])
            place += 1

    def _drawn(self, kind: str, rng: np.random.Generator) -> Iterator[str]:
        phrase = self.recipe.phrases[0]
        misses = tuple(near_misses(phrase, limit=400)) if kind == "confusable" else ()
        while True:
            match kind:
                case "words":
                    yield self._words(rng)
                case "spoken":
                    yield draw_spoken(rng)
                case "grammar":
                    yield draw_grammar(rng)
                case "short":
                    yield draw_short(rng)
                case "confusable":
                    yield pick(rng, misses if rng.random() < 0.6 or phrase != WAKE_PHRASES[0] else _APART)
                case "wake_alone":
                    yield phrase
                case _:
                    around = pick(rng, _AROUND) if rng.random() < 0.6 else "{}"
                    yield around.replace("{}", phrase)

    def _words(self, rng: np.random.Generator) -> str:
        count = 1 + int(rng.choice(8, p=(0.05, 0.06, 0.09, 0.14, 0.18, 0.2, 0.16, 0.12)))
        return " ".join(pick(rng, self.words if rng.random() < 0.7 else _COMMON) for _ in range(count))
