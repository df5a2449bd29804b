"""Text → the 39 phones of CMUdict, stress left out: the targets of the recogniser.

    >>> to_phones("smart mirror")
    ['S', 'M', 'AA', 'R', 'T', 'M', 'IH', 'R', 'ER']

espeak-ng reads the text (numbers and abbreviations included) and gives IPA; a table maps IPA to phones, the
longest symbol first. Phone set: http://www.speech.cs.cmu.edu/cgi-bin/cmudict
"""

from __future__ import annotations

import functools
import unicodedata

from asr_pretrain.synthesis.espeak import EspeakError, engine

# fmt: off
PHONES: tuple[str, ...] = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY",
    "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y",
    "Z", "ZH",
)
# fmt: on
"""CTC class of a phone = its index + 1; class 0 is the blank."""

_INDEX = {phone: index + 1 for index, phone in enumerate(PHONES)}

# English, as espeak-ng writes it for its American and British accents.
_ENGLISH = """
ɑː AA|ɑ AA|ɒ AA|æ AE|aa AE|a AE|ʌ AH|ə AH|ɐ AH|ɔː AO|ɔ AO|oː AO|aʊ AW|aɪ AY|ɛ EH|e EH|ɚ ER|ɝ ER|ɜː ER|ɜ ER
eɪ EY|ɪ IH|ᵻ IH|iː IY|i IY|oʊ OW|əʊ OW|o OW|ɔɪ OY|ʊ UH|uː UW|u UW|iə IY AH|əl AH L|l̩ AH L|n̩ AH N|m̩ AH M
aɪɚ AY ER|aɪə AY AH|aʊɚ AW ER|aʊə AW AH|ɔɪɚ OY ER|ɔɪə OY AH|ɑːɹ AA R|ɔːɹ AO R|oːɹ AO R|ɪɹ IH R|ɛɹ EH R|ʊɹ UH R
ɪə IH R|eə EH R|ʊə UH R|ɛː EH R
b B|tʃ CH|d D|ð DH|f F|ɡ G|g G|h HH|dʒ JH|k K|l L|ɫ L|m M|n N|ŋ NG|p P|ɹ R|r R|s S|ʃ SH|t T|ɾ T|ʔ T|θ TH|v V
w W|ʍ W|j Y|z Z|ʒ ZH
"""
# The flap ɾ is T, not D: CMUdict writes "water" W AO T ER, and /d/ between vowels stays d in espeak-ng. The
# glottal stop is T for the same reason ("button" B AH T AH N).

# Other languages: the nearest English phone, by place and manner; front rounded vowels by their height.
_FOREIGN = """
a AA|ɾ R|ʔ
ɨ IH|ɘ AH|ɵ UH|ɤ AH|ɯ UW|ɞ ER|ɶ AE|ʉ UW|y IY|yː UW|ʏ IH|ø ER|øː ER|œ ER|ʋ V|ɥ W|ɰ W|eː EY|iɛ Y EH|yɛ W EH
ai AY|aj AY|ɑɪ AY|ei EY|əɪ EY|ɛɪ EY|au AW|ɑu AW|ou OW|oi OY|ɔø OY|ɔʏ OY|œy OY|ɐ̃ʊ̃ AW N
ɑ̃ AA N|ã AA N|ɐ̃ AH N|ɛ̃ AE N|ẽ EH N|œ̃ AH N|ɔ̃ AO N|õ OW N|ĩ IY N|ɪ̃ IH N|ũ UW N|ʊ̃ UH N|ə̃ AH N|ɹ̩ R
ts T S|dz D Z|tɕ CH|dʑ JH|tʂ CH|dʐ JH|ʈʂ CH|ɖʐ JH|pf P F|ph P|th T|kh K|tsh T S|tɕh CH|tʂh CH|ts.h CH|ts. JH
ç SH|ɕ SH|ʂ SH|ʑ ZH|ʐ ZH|ɧ SH|x HH|χ HH|ħ HH|ɦ HH|ʕ HH|ɣ G|ʁ R|ʀ R|ɻ R|ɽ R|ɺ R|ɬ L|ɭ L|ɮ L|ʎ L Y|ʟ L|ɲ N Y
ɳ N|ɴ NG|ɱ M|c K|ɟ G|q K|ɢ G|ʈ T|ɖ D|ɓ B|ɗ D|ɠ G|β V|ɸ F|ʝ Y|ʙ B
"""
# Dropped without a phone: stress ˈ ˌ, tones (digits), length ː, aspiration ʰ, palatalisation ʲ, labialisation
# ʷ and every other modifier letter or combining mark, espeak-ng's own - ' " . ? and anything unknown.


def _table(source: str) -> dict[str, tuple[str, ...]]:
    rows = (row.split() for row in source.replace("\n", "|").split("|") if row.strip())
    return {unicodedata.normalize("NFD", symbol): tuple(phones) for symbol, *phones in rows}


_ENGLISH_TABLE = _table(_ENGLISH)
_FOREIGN_TABLE = _ENGLISH_TABLE | _table(_FOREIGN)
# English texts hold foreign names, whose symbols English lacks.
_ENGLISH_TABLE = _FOREIGN_TABLE | _ENGLISH_TABLE
_LONGEST = max(len(symbol) for symbol in _FOREIGN_TABLE)
_STRESS = "ˈ"


class PhonemeError(EspeakError):
    """A text has no phones: it is empty, or holds nothing that can be spoken."""


def ipa_to_phones(symbol: str, language: str = "en-us") -> list[str]:
    """Phones of one IPA string, by greedy longest match; what is not in the table is dropped."""
    table = _ENGLISH_TABLE if language.lower().startswith("en") else _FOREIGN_TABLE
    rest = unicodedata.normalize("NFD", symbol).replace(_STRESS, "").replace("ˌ", "")
    phones: list[str] = []
    position = 0
    while position < len(rest):
        for length in range(min(_LONGEST, len(rest) - position), 0, -1):
            found = table.get(rest[position : position + length])
            if found is not None:
                phones.extend(found)
                position += length
                break
        else:
            position += 1
    return phones


@functools.lru_cache(maxsize=50_000)
def stressed_words(text: str, language: str = "en-us") -> tuple[tuple[tuple[str, bool], ...], ...]:
    """Words of a text as (phone, carries the main stress) pairs. Raises as `to_phones`.

    Corpora in capitals mean no abbreviations: espeak-ng would spell IT and US letter by letter.
    """
    words = []
    text = text.lower() if text == text.upper() else text
    for symbols in engine().ipa(text, language):
        word: list[tuple[str, bool]] = []
        for symbol in symbols:
            stressed = _STRESS in symbol
            for phone in ipa_to_phones(symbol, language):
                # CMUdict writes "hurry" HH ER IY where espeak-ng has ɜː and ɹ.
                if phone == "R" and word and word[-1][0] == "ER":
                    continue
                word.append((phone, stressed))
                stressed = False
        if word:
            words.append(tuple(word))
    if not words:
        raise PhonemeError(f"text {text[:60]!r} has no phones in {language!r}: give words of that language")
    return tuple(words)


def to_phones(text: str, language: str = "en-us") -> list[str]:
    """Phones of a text, each one of `PHONES`; for another language, the nearest English ones.

    Args:
        text: at most `espeak.MAX_TEXT_CHARS` characters.
        language: an espeak-ng code: en-us, de, fr, es, cmn, …

    Raises:
        PhonemeError: the text is empty or has no phones.
        EspeakError: the text is too long, or the language unknown.
    """
    if not text.strip():
        raise PhonemeError(f"text {text[:60]!r} is empty: give at least one word")
    return [phone for word in stressed_words(text, language) for phone, _ in word]


def phone_ids(text: str, language: str = "en-us") -> list[int]:
    """CTC classes of a text's phones, 1 to 39 (0 is the blank). Raises as `to_phones`."""
    return [_INDEX[phone] for phone in to_phones(text, language)]
