"""Text → 39 phones: CMUdict's own transcriptions, other languages, and texts that cannot be read."""

from __future__ import annotations

import pytest

from asr_pretrain.phonemes import PHONES, PhonemeError, ipa_to_phones, phone_ids, to_phones
from asr_pretrain.synthesis.confusable import holds_phrase, near_misses, phone_distance
from asr_pretrain.synthesis.espeak import MAX_TEXT_CHARS, EspeakError

# Transcriptions of CMUdict 0.7b, stress left out.
CMUDICT = {
    "smart mirror": "S M AA R T M IH R ER",
    "alexa": "AH L EH K S AH",
    "jarvis": "JH AA R V IH S",
    "water": "W AO T ER",
    "button": "B AH T AH N",
    "little": "L IH T AH L",
    "hurry": "HH ER IY",
    "measure": "M EH ZH ER",
    "church": "CH ER CH",
    "thing": "TH IH NG",
    "this": "DH IH S",
    "boy": "B OY",
    "near": "N IH R",
    "hair": "HH EH R",
    "tour": "T UH R",
    "door": "D AO R",
    "fire": "F AY ER",
    "power": "P AW ER",
    "science": "S AY AH N S",
    "finger": "F IH NG G ER",
    "singer": "S IH NG ER",
    "question": "K W EH S CH AH N",
    "orange": "AO R IH N JH",
    "usually": "Y UW ZH AH W AH L IY",
    "42": "F AO R T IY T UW",
}
# espeak-ng says "usually" with one syllable more slurred; all else agrees.
SAID_OTHERWISE = {"usually": "Y UW ZH UW AH L IY"}


@pytest.mark.parametrize("text", CMUDICT)
def test_english_is_transcribed_as_in_cmudict(text: str) -> None:
    assert " ".join(to_phones(text)) == SAID_OTHERWISE.get(text, CMUDICT[text])


def test_there_are_39_phones_and_class_0_is_the_blank() -> None:
    assert len(PHONES) == len(set(PHONES)) == 39
    ids = phone_ids("smart mirror")
    assert [PHONES[i - 1] for i in ids] == to_phones("smart mirror")
    assert min(phone_ids("aardvark")) == 1


def test_the_words_of_the_house_need_every_phone() -> None:
    from asr_pretrain.synthesis.words import NAMES, NOUNS

    heard = {phone for word in (*NOUNS, *NAMES) for phone in to_phones(word)}
    assert heard == set(PHONES)


@pytest.mark.parametrize(
    ("language", "text", "phones"),
    [
        ("de", "Köln", "K ER L N"),
        ("fr", "bon vin", "B AO N V AE N"),
        ("es", "calle", "K AA L Y EH"),
        ("cmn", "你好", "N IY HH AW"),
        ("ru", "море", "M OW R IY"),
        ("en-gb", "cat", "K AE T"),
    ],
)
def test_other_languages_get_the_nearest_phones(language: str, text: str, phones: str) -> None:
    assert " ".join(to_phones(text, language)) == phones


def test_numbers_are_read_out() -> None:
    assert to_phones("3.5 miles") == to_phones("three point five miles")


def test_an_unknown_symbol_is_dropped() -> None:
    assert ipa_to_phones("ˈʘɑ⁵ː") == ["AA"]
    assert ipa_to_phones("tʃ") == ["CH"]
    assert ipa_to_phones("a") == ["AE"]
    assert ipa_to_phones("a", "de") == ["AA"]


@pytest.mark.parametrize("text", ["", "   ", "\n", "...", "\x00\x07"])
def test_a_text_without_phones_is_refused(text: str) -> None:
    with pytest.raises(EspeakError, match="empty|no phones"):
        to_phones(text)


def test_long_text_is_refused_and_the_longest_is_read() -> None:
    with pytest.raises(EspeakError, match="10,000 characters"):
        to_phones("mirror " * 1428 + "abcd")
    assert len(to_phones("mirror " * (MAX_TEXT_CHARS // 7))) == 4 * (MAX_TEXT_CHARS // 7)


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(EspeakError, match="'klingon'"):
        to_phones("hello", "klingon")


def test_brackets_and_nul_do_not_cut_the_text() -> None:
    assert to_phones("smart\0 [[mirror]]") == to_phones("smart mirror")
    assert to_phones("one. two! three?") == to_phones("one two three")


def test_phoneme_error_is_a_value_error() -> None:
    assert issubclass(PhonemeError, ValueError)


def test_near_misses_sound_like_the_phrase_and_are_not_it() -> None:
    target = to_phones("smart mirror")
    found = near_misses("smart mirror", limit=150)
    assert len(found) == len(set(found)) == 150
    assert {"smart meter", "small mirror", "smart", "mirror", "mirror smart"} <= set(found)
    assert all(phone_distance(target, to_phones(text)) >= 0.9 for text in found)
    assert not any(holds_phrase(text, "smart mirror") for text in found)


def test_near_misses_of_any_phrase_are_found_by_sound() -> None:
    found = near_misses("hey computer", limit=40)
    assert "day computer" in found and "computer" in found and "hey computer" not in found
    assert phone_distance(list("ABC"), list("ABC")) == 0


def test_a_text_in_capitals_is_not_spelled_out() -> None:
    assert to_phones("GIVE IT TO US") == to_phones("give it to us")
    assert to_phones("the US") != to_phones("the us")
