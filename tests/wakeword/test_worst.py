"""The page of the worst: what was missed by hand is on it, with its score."""

from __future__ import annotations

from tests.wakeword.test_score_cli import run
from wakeword import worst
from wakeword.evaluate import open_models
from wakeword.streams import Playlist


def test_the_faint_take_and_the_burst_are_on_the_page(corpus, loud_model, quiet_car, tmp_path, capsys):
    out = tmp_path / "worst.html"
    words = ("--split", "dev", "--model", loud_model(), "--conditions", "quiet", "--out", out)
    assert run(worst, corpus, *words) == 0
    text = out.read_text(encoding="utf-8")
    assert "1 in all" in text and "dev/burst" in text and "polyline" in text
    assert text.count("<audio") == 2 and "http" not in text


def test_cases_are_sorted_and_hold_their_sound(corpus, loud_model, quiet_car):
    from data_splits.manifest import read_manifest

    listeners, phrase = open_models([str(loud_model(offset=40.0))], None)  # hears nothing
    playlist = Playlist(read_manifest(corpus), corpus.parent, "dev", phrase)
    missed, _ = worst.cases(listeners[0], playlist.positives("quiet", 1, None))
    assert len(missed) == len(playlist.takes)
    assert [case.score for case in missed] == sorted(case.score for case in missed)
    assert all(len(case.samples) > 16000 and len(case.steps) > 12 for case in missed)
