"""Labels that the sound contradicts are doubted, and no others."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from data_splits.audit import RULES, Audited, Finding
from data_splits.audit.sound.copies import babble_word
from data_splits.audit.sound.fingerprint import make_sketch
from data_splits.audit.sound.heard import SCHEMA
from data_splits.audit.sound.spectrum import spectra

VOICES = 14
RULE = "suspicious-labels"


@pytest.fixture(scope="module")
def sketches() -> list[bytes]:
    """Four words by fourteen voices; the first word is the wake word."""
    said = [(word, voice) for voice in range(VOICES) for word in range(4)]
    return [make_sketch(spectra(babble_word(word, take=0, voice=voice))[0]) for word, voice in said]


def find(make: Callable[..., pl.DataFrame], sketches: list[bytes], wrong: set[int]) -> list[Finding]:
    rows = [
        {
            "split": "train",
            "domain": "mirror",
            "speaker": f"s{i // 4}",
            "labels": {"smart mirror": int((i % 4 == 0) != (i in wrong))},
        }
        for i in range(len(sketches))
    ]
    frame = make(*rows)
    measured = frame.select("id").with_columns(
        pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items()
    )
    measured = measured.with_columns(pl.Series("sketch", sketches), pl.lit(1.5).alias("decoded_s"))
    return list(RULES[RULE](Audited(frame, measured), RULE))


def test_right_labels_are_believed(make: Callable[..., pl.DataFrame], sketches: list[bytes]) -> None:
    assert find(make, sketches, set()) == []


@pytest.mark.parametrize("wrong", [{8}, {9}, {4, 21, 32}], ids=["a positive", "a negative", "three"])
def test_a_wrong_label_is_doubted(
    make: Callable[..., pl.DataFrame], sketches: list[bytes], wrong: set[int]
) -> None:
    (finding,) = find(make, sketches, wrong)
    assert finding.severity == "warning"
    assert set(finding.ids) == {f"r{i}" for i in wrong}


def test_a_classifier_that_tells_nothing_doubts_nothing(
    make: Callable[..., pl.DataFrame], sketches: list[bytes]
) -> None:
    assert find(make, sketches, set(range(0, len(sketches), 3))) == []


def test_too_few_speakers_are_no_evidence(make: Callable[..., pl.DataFrame], sketches: list[bytes]) -> None:
    assert find(make, sketches[:16], {8}) == []
