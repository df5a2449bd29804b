"""The rules between a score and an event, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from mirror_device.service.decision import (
    Decision,
    Fired,
    Rules,
    Surround,
    WordRule,
    just_played,
    on_curve,
    smoothed,
    still_speaking,
    threshold_of,
    voice_is_heard,
    within,
)

WORD = WordRule(0.8, 1.5)


def run(scores: list[float], rules: Rules | None = None, **around: Any) -> list[Fired]:
    """Scores of one word, one a step; ``around`` holds a value, or a list with one a step."""
    decision, events = Decision(rules or Rules(), {"w": WORD}), []
    for step, score in enumerate(scores, start=1):
        now = {key: value[step - 1] if isinstance(value, list) else value for key, value in around.items()}
        events += decision.step(step, {"w": score}, Surround(**now))
    return events


def steps(events: list[Fired]) -> list[int]:
    return [event.step for event in events]


def test_smoothing() -> None:
    assert smoothed([0.3, 0.9], 1) == 0.9
    assert smoothed([0.3, 0.9], 2) == pytest.approx(0.6)
    assert smoothed([0.9], 3) == pytest.approx(0.3)
    assert steps(run([0, 0.9, 0.9, 0], Rules(smoothing_steps=2))) == [3]


def test_a_curve() -> None:
    curve = [(-60.0, 0.1), (-40.0, 0.0), (-20.0, -0.2)]
    assert [on_curve(curve, x) for x in (-90, -60, -50, -30, 0)] == pytest.approx(
        [0.1, 0.1, 0.05, -0.1, -0.2]
    )
    assert on_curve(curve, None) == on_curve([], 3.0) == 0.0


def test_threshold_by_noise_and_speed() -> None:
    rules = Rules(by_noise_dbfs=[(-60, 0.0), (-30, -0.3)], by_speed_kmh=[(0, 0.0), (100, 0.4)])
    assert threshold_of(WORD, rules, Surround(), False) == 0.8
    assert threshold_of(WORD, rules, Surround(noise_dbfs=-30), False) == pytest.approx(0.5)
    assert threshold_of(WORD, rules, Surround(speed_kmh=100), False) == 1.0  # no more than that
    assert steps(run([0.6] * 3, rules, noise_dbfs=[-60.0, -30.0, -30.0])) == [2]


def test_refractory_is_counted_in_steps() -> None:
    assert not within(None, 5, 1.0) and within(5, 6, 0.16) and not within(5, 7, 0.16)
    assert steps(run([0.9] * 40, Rules(double_trigger_s=0))) == [1, 20, 39]


def test_two_words_at_once_are_one_event() -> None:
    decision = Decision(Rules(double_trigger_s=1.0), {"a": WORD, "b": WordRule(0.5)})
    assert [e.word for e in decision.step(1, {"a": 0.9, "b": 0.9}, Surround())] == ["b"]
    assert decision.step(5, {"a": 0.99, "b": 0}, Surround()) == []
    assert [e.word for e in decision.step(14, {"a": 0.99, "b": 0}, Surround())] == ["a"]


def test_nothing_survives_a_mute() -> None:
    loud, muted = [0.0, 0.9, 0.9, 0.0, 0.9], [False, True, True, False, False]
    assert steps(run(loud, muted=muted)) == [5]
    averaged = Rules(smoothing_steps=3)  # the scores of the muted steps do not count after
    assert steps(run([0.9] * 5, averaged, muted=[True, True, True, False, False])) == []


def test_its_own_voice() -> None:
    assert still_speaking(True, None, 1, 0) and still_speaking(False, 3, 5, 0.5)
    assert not still_speaking(False, 3, 10, 0.5)
    speaking = [True, True, False, False, False]
    assert steps(run([0.9] * 5, Rules(speaking_tail_s=0.2), speaking=speaking)) == [5]
    assert steps(run([0.9] * 5, Rules(while_speaking=0.05), speaking=True)) == [1]
    assert steps(run([0.9] * 5, Rules(while_speaking=0.15), speaking=True)) == []
    mine, other = frozenset({"w"}), frozenset({"x"})
    assert steps(run([0.9] * 3, played_back=[mine, mine, other])) == [3]


def test_a_word_counts_as_played_for_its_window() -> None:
    played = {"a": 100, "b": 90}
    assert just_played(played, 101, 0.8) == {"a"}
    assert just_played(played, 101, 0.9) == {"a", "b"}
    assert just_played(played, 110, 0.8) == just_played({}, 5, 2.0) == frozenset()


def test_a_voice_gate() -> None:
    rules = Rules(voice_gate_db=6.0)
    assert voice_is_heard(rules, Surround(voice_db=6.0)) and not voice_is_heard(rules, Surround(voice_db=5.0))
    assert voice_is_heard(rules, Surround()) and voice_is_heard(Rules(), Surround(voice_db=0.0))
    assert steps(run([0.9, 0.9], rules, voice_db=[1.0, 10.0])) == [2]


def test_a_near_miss_is_the_top_of_its_rise() -> None:
    events = run([0.1, 0.5, 0.7, 0.6, 0.1, 0.5, 0.9, 0.5, 0.1], Rules(near_miss=0.4))
    assert [(e.step, e.near_miss) for e in events] == [(3, True), (7, False)]


def test_time_is_the_end_of_the_step() -> None:
    assert run([0.0, 0.9])[0].time_s == pytest.approx(0.16)
