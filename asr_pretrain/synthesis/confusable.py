"""What sounds like a wake phrase and is not: the negatives a model learns most from.

>>> near_misses("smart mirror")[:3]
['smart meter', 'small mirror', 'start mirror']
"""

from __future__ import annotations

import functools

from asr_pretrain.phonemes import PHONES, to_phones
from asr_pretrain.synthesis.words import ADJECTIVES, ADVERBS, NAMES, NOUNS, VERBS_PAST

# What people say that sounds like the phrase, found by ear; the search by phones adds to them.
_CURATED: dict[str, tuple[str, ...]] = {
    "smart mirror": (
        "smart meter",
        "small mirror",
        "start mirror",
        "smart manner",
        "art mirror",
        "smarter mirror",
        "smart mere",
        "dark mirror",
        "smart murmur",
        "mart mirror",
        "rear view mirror",
        "smart phone",
        "smart matter",
        "smart winter",
        "Mart Miller",
        "smack mirror",
        "smart Miller",
        "Mark Miller",
        "part mirror",
        "cart mirror",
        "smart middle",
        "smart mural",
        "smart merger",
        "smart minor",
        "smart mixer",
        "smart mister",
        "smart hero",
        "heart mirror",
        "hard mirror",
        "smart error",
        "spark mirror",
        "start meter",
        "smarty mirror",
        "smooth mirror",
        "smart near her",
        "smart spirit",
        "smart lyric",
        "small miracle",
        "smart miracle",
        "smart mimic",
        "bathroom mirror",
        "mirror mirror",
        "smart smart",
        "smart speaker",
        "smart home",
        "smart money",
        "smart remark",
        "the mirror",
        "my mirror",
        "a smart",
        "smart",
        "mirror",
        "smother mirror",
        "smear it",
        "some art mirror",
        "is smart, Miriam",
        "smart Mary",
    ),
}

_EXTRA_RHYMES = """
art cart chart dart hart heart mart part start tart smack smash smile smirk smock smooth smug smut
hard mark park dark shark barred miller mirror nearer hearer clearer dearer steerer meter mere miner
minor mirth murmur merger mural myriad miracle millet middle mixer mister mitten hero zero error
terror spirit lyric syrup era
"""

_SOUND_CLASSES: tuple[frozenset[str], ...] = tuple(
    frozenset(group.split())
    for group in (
        "P B",
        "T D",
        "K G",
        "F V TH DH",
        "S Z SH ZH CH JH",
        "M N NG",
        "L R ER",
        "W R",
        "Y IY IH",
        "IY IH EY EH",
        "EH AE",
        "AA AO AH OW",
        "AA AE AH",
        "UW UH OW",
        "ER AH UH",
        "AY OY",
        "AW OW",
    )
)
_VOWELS = frozenset(phone for phone in PHONES if phone[0] in "AEIOU")


def substitution_cost(one: str, other: str) -> float:
    """0 for the same, 0.4 for two that listeners confuse, 1 for others, 1.5 for a vowel and a consonant."""
    if one == other:
        return 0.0
    if any(one in group and other in group for group in _SOUND_CLASSES):
        return 0.4
    return 1.5 if (one in _VOWELS) != (other in _VOWELS) else 1.0


def phone_distance(one: list[str], other: list[str]) -> float:
    """Edit distance of two phone sequences; insertions and deletions cost 1."""
    row = [float(j) for j in range(len(other) + 1)]
    for i, phone in enumerate(one, start=1):
        previous, row = row, [float(i)]
        for j, against in enumerate(other, start=1):
            row.append(
                min(
                    previous[j] + 1.0,
                    row[j - 1] + 1.0,
                    previous[j - 1] + substitution_cost(phone, against),
                )
            )
    return row[-1]


@functools.cache
def _lexicon() -> tuple[tuple[str, tuple[str, ...]], ...]:
    words = sorted({*NOUNS, *VERBS_PAST, *ADJECTIVES, *ADVERBS, *NAMES, *_EXTRA_RHYMES.split()})
    return tuple((word, tuple(to_phones(word))) for word in words)


def similar_words(word: str, count: int = 12) -> list[str]:
    """The words of the lexicon that sound most like a word, nearest first, homophones left out.

    Raises:
        PhonemeError: the word has no phones.
    """
    phones = to_phones(word)
    scored = sorted((phone_distance(phones, list(other)), text) for text, other in _lexicon())
    return [text for distance, text in scored if distance > 0][:count]


def _pieces(words: list[str]) -> list[str]:
    """Every shorter run of a phrase's words, and the phrase backwards."""
    runs = [(start, end) for start in range(len(words)) for end in range(start + 1, len(words) + 1)]
    return [" ".join(words[start:end]) for start, end in runs if end - start < len(words)] + [
        " ".join(reversed(words))
    ]


@functools.lru_cache(maxsize=64)
def _near_misses(phrase: str, limit: int, least_distance: float) -> tuple[str, ...]:
    # A non-rhotic speaker's "smart Mira" is "smart mirror", hence both accents.
    targets = {accent: to_phones(phrase, accent) for accent in ("en-us", "en-gb")}

    def distance(text: str) -> float:
        return min(phone_distance(phones, to_phones(text, accent)) for accent, phones in targets.items())

    words = phrase.split()
    swapped = {
        " ".join([*words[:place], other, *words[place + 1 :]])
        for place, word in enumerate(words)
        for other in similar_words(word, max(8, limit // len(words)))
    }
    by_sound = sorted((distance(text), text) for text in swapped)
    ordered = dict.fromkeys([*_CURATED.get(phrase, ()), *_pieces(words), *(text for _, text in by_sound)])
    return tuple(text for text in ordered if distance(text) >= least_distance)[:limit]


def near_misses(phrase: str, limit: int = 120, least_distance: float = 0.9) -> list[str]:
    """Texts that sound like a wake phrase and are not it: first those found by ear, then by phones.

    Single words and the reversed order of a longer phrase are among them. `least_distance` (of
    `phone_distance`, in American or British English) keeps out what people could not tell apart either.

    Raises:
        PhonemeError: the phrase has no phones.
    """
    return list(_near_misses(" ".join(phrase.lower().split()), limit, least_distance))


def holds_phrase(text: str, phrase: str) -> bool:
    """Whether the phrase's phones are in the text's, so that it must not serve as a negative."""
    inside, whole = " ".join(to_phones(phrase)), " ".join(to_phones(text))
    return f" {inside} " in f" {whole} "
