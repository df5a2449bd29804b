"""Lines of a shard: texts that cannot be said are replaced, labels follow the phones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from asr_pretrain.phonemes import to_phones
from asr_pretrain.synthesis.espeak import EspeakError
from asr_pretrain.synthesis.mixture import KINDS, Texts
from asr_pretrain.synthesis.recipe import SynthesisRecipe
from asr_pretrain.synthesis.shard import Script, utterances, wake_labels


def texts_of(tiny: SynthesisRecipe, said: list[str], **values: Any) -> Texts:
    """A corpus that says nothing but these texts, over and over."""
    recipe = SynthesisRecipe.model_validate(tiny.model_dump() | values)
    shares = tuple(float(kind == "books") for kind in KINDS)
    return Texts(recipe, {"books": tuple(said)}, {"good": (("G", "UH", "D"),)}, (), shares)


def test_a_text_without_phonemes_is_replaced_and_counted(tiny: SynthesisRecipe) -> None:
    dropped: Counter[str] = Counter()
    texts = texts_of(tiny, ["...", "good", "morning", "'", "there"], utterances_per_shard=3)
    rows = [row for row, _ in utterances(texts, {"espeak": 1.0}, 0, dropped)]
    assert {row["text"] for row in rows} == {"good", "morning", "there"}
    assert dropped["no phonemes"] >= 2


def test_a_corpus_without_anything_to_say_is_refused(tiny: SynthesisRecipe) -> None:
    script = Script(texts_of(tiny, ["...", "?"]), 0, Counter())
    with pytest.raises(EspeakError, match="texts.books: 500 texts in a row cannot be said"):
        script.next(False, set())


def test_a_text_too_long_for_the_recipe_is_replaced(tiny: SynthesisRecipe) -> None:
    dropped: Counter[str] = Counter()
    long = "a very long walk along the river bank with all of our friends"
    texts = texts_of(tiny, [long, "good"], utterances_per_shard=2, duration_s=(0.3, 1.2))
    rows = [row for row, _ in utterances(texts, {"espeak": 1.0}, 0, dropped)]
    assert {row["text"] for row in rows} == {"good"} and dropped["too long"]


def test_a_synthesizer_with_its_own_reading_gets_only_texts_that_it_reads_alike(
    tiny: SynthesisRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> Iterator[str]:
        yield from ("unknownword", "good")

    script = Script(texts_of(tiny, ["unknownword", "good"]), 0, Counter())
    assert script.next(True, set()).text == "good"
    assert script.next(False, set()).text == "unknownword"


@pytest.mark.parametrize(
    ("text", "mirror", "computer"),
    [
        ("Smart mirror!", 1, 0),
        ("the smart, mirror", 1, 0),
        ("smart mirrors", None, 0),
        ("two computers", 0, None),
        ("a mirror for a smart computer", 0, 1),
        ("good morning", 0, 0),
    ],
)
def test_labels(text: str, mirror: int | None, computer: int | None) -> None:
    labels = wake_labels(text, tuple(to_phones(text)))
    assert (labels["smart mirror"], labels["computer"]) == (mirror, computer)
