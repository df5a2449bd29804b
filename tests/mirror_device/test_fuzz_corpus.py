"""What fuzzing found worth keeping is replayed: every parser takes it, or refuses it with its own error."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = Path(__file__).with_name("fuzz")
NAMES = ("wyoming", "control", "config", "model", "bundle", "wav")


@pytest.mark.parametrize("target", NAMES)
def test_the_kept_corpus(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "ci" / "fuzz"), *sys.path])
    from seeds import seeds
    from targets import TARGETS

    assert set(TARGETS) == set(NAMES)
    contents = [base64.b64decode(text) for text in json.loads((KEPT / f"{target}.json").read_text())]
    assert contents
    for content in [*contents, *seeds()[target]]:
        TARGETS[target](content)
