import math

import numpy as np
import pytest

from wakeword import statistics as st


def test_wilson_known_values():
    interval = st.wilson(3, 38)
    assert interval.low == pytest.approx(0.0273, abs=5e-4)  # R: prop.test(3, 38, correct = FALSE)
    assert interval.high == pytest.approx(0.2080, abs=5e-4)
    assert st.wilson(0, 10).low == 0.0
    assert st.wilson(10, 10).high == 1.0


@pytest.mark.parametrize("count, n", [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(count, n):
    with pytest.raises(ValueError, match=str(n)):
        st.wilson(count, n)


def test_zero_false_accepts_prove_three_over_t():
    assert st.fa_per_hour_interval(0, 2.0).high == pytest.approx(-math.log(0.05) / 2)
    assert "proves only FA/h < 1.50 (3/T) at 95 %" in st.fa_statement(0, 2.0)


def test_poisson_interval_is_exact():
    interval = st.fa_per_hour_interval(5, 1.0)
    assert interval.low == pytest.approx(1.6235, abs=1e-3)
    assert interval.high == pytest.approx(11.6683, abs=1e-3)
    assert "2.50 FA/h" in st.fa_statement(5, 2.0)


def test_fa_interval_needs_hours():
    with pytest.raises(ValueError, match="hours > 0"):
        st.fa_per_hour_interval(0, 0.0)


def test_misses_exceed_is_a_binomial_tail():
    # P(X >= 6 | 38, 0.08) = 0.080, P(X >= 7) = 0.030
    assert not st.misses_exceed(6, 38, 0.08)
    assert st.misses_exceed(7, 38, 0.08)
    assert not st.misses_exceed(0, 38, 0.0)
    assert st.misses_exceed(1, 38, 0.0)


def test_bootstrap_is_seeded_and_respects_groups():
    misses = np.array([1] * 10 + [0] * 30)
    by_take = [f"take-{i}" for i in range(40)]
    by_voice = [f"voice-{i // 10}" for i in range(40)]
    take, voice = st.bootstrap_rate(misses, by_take, seed=3), st.bootstrap_rate(misses, by_voice, seed=3)
    assert take == st.bootstrap_rate(misses, by_take, seed=3)
    assert take.holds(0.25)
    # one voice of four misses all: resampling voices must be far wider than resampling takes
    assert voice.high - voice.low > 2 * (take.high - take.low)


def test_one_take_in_many_cars_is_one_take():
    misses = np.repeat([1, 0, 0, 0], 10)
    grouped = st.bootstrap_rate(misses, [str(i // 10) for i in range(40)])
    loose = st.bootstrap_rate(misses, [str(i) for i in range(40)])
    assert grouped.high - grouped.low > 2 * (loose.high - loose.low)


def test_paired_difference():
    a = np.array([1, 1, 1, 1, 0, 0, 0, 0] * 5)
    takes = [str(i) for i in range(40)]
    assert st.paired_difference(a, a, takes) == st.Interval(0.0, 0.0)
    assert st.paired_difference(a, np.zeros(40), takes).high < 0  # b misses fewer
    with pytest.raises(ValueError, match="same"):
        st.paired_difference(a, a[:3], takes)


def test_gap_interval():
    voices = [str(i % 8) for i in range(80)]
    good, bad = np.zeros(80), np.tile([0, 1], 40)
    gap = st.gap_interval(good, voices, bad, voices)
    assert gap is not None and gap.low > 0 and gap.holds(0.5)
    # two sides without a miss still leave room for a gap
    clean = st.gap_interval(good, voices, good, voices)
    assert clean is not None and clean.low < 0 < clean.high
    # many cars around few takes do not narrow it
    few = st.gap_interval(good, voices, bad, voices, takes_a=8, takes_b=8)
    assert few is not None and few.low < gap.low
    assert st.gap_interval(good, ["one"] * 80, bad, voices) is None


def test_newcombe_known_value():
    interval = st.newcombe(48, 80, 56, 70)  # Newcombe 1998, table II (a), 56/70 - 48/80
    assert interval.low == pytest.approx(0.0524, abs=1e-3)
    assert interval.high == pytest.approx(0.3339, abs=1e-3)
