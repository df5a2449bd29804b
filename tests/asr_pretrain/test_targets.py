import polars as pl
import pytest

from asr_pretrain.phonemes import phone_ids
from asr_pretrain.targets import CHARACTERS, TargetError, Targets, spelled

TEXTS = [
    "Turn left on Main Street",
    "turn right at 21 Main Street",
    "Don't turn",
    "the main road turns left",
] * 5


def test_texts_are_spelled_in_letters_alone() -> None:
    assert spelled("Café No. 21 – DON’T stop/go") == "cafe no twenty one don't stop go"
    assert spelled("1234567 ...") == "one hundred twenty three thousand four hundred fifty six seven"
    assert spelled("?!") == ""


def test_characters_are_the_places_of_the_letters() -> None:
    targets = Targets.fit("characters", TEXTS)
    row = targets.classes(pl.DataFrame({"text": ["Don't!"]}), "here")[0]
    assert "".join(CHARACTERS[number - 1] for number in row) == "don't"


@pytest.mark.parametrize("kind", ["characters", "subwords"])
def test_what_is_spelled_is_scored_in_phones(kind: str) -> None:
    targets = Targets.fit(kind, TEXTS, subwords=40)  # type: ignore[arg-type]
    rows = targets.classes(pl.DataFrame({"text": TEXTS[:3]}), "here")
    read = Targets.of({"kind": "recogniser", **targets.card()})
    for index, text in enumerate(TEXTS[:3]):
        assert read.to_phones(rows[index].tolist()) == phone_ids(spelled(text))
    assert read.to_phones([]) == []


def test_subwords_are_fewer_than_letters_and_the_same_each_time() -> None:
    frame = pl.DataFrame({"text": TEXTS})
    one, two = (Targets.fit("subwords", texts, subwords=40) for texts in (TEXTS, TEXTS[::-1]))
    assert one.units == two.units and len(one.units) == 40
    letters = Targets.fit("characters", TEXTS).classes(frame, "here")
    assert one.classes(frame, "here").lengths.sum() < letters.lengths.sum()


def test_an_alphabet_that_is_none_is_refused() -> None:
    with pytest.raises(TargetError, match="100 sub-words cannot be had"):
        Targets.fit("subwords", ["a b"], subwords=100)
    for sidecar in ({}, {"targets": "runes", "units": ["a"]}, {"units": [1]}, {"units": ["a"] * 256}):
        with pytest.raises(TargetError, match="not a recogniser"):
            Targets.of(sidecar)
