import math

import numpy as np
import pytest

from wakeword import scoring as sc

RULE = sc.Rule(step_s=0.1, refractory_s=1.5)


def scores(n, **at):
    """(n,) float32 zeros with values at the steps named `s<step>`."""
    out = np.zeros(n, np.float32)
    for name, value in at.items():
        out[int(name[1:])] = value
    return out


def span(*pairs):
    return np.array(pairs, dtype=float).reshape(-1, 2)


def test_event_is_the_end_of_the_step_that_fired():
    assert sc.events(scores(10, s3=0.9), 0.5, 1.5, 0.1) == pytest.approx([0.4])


def test_threshold_is_inclusive():
    assert len(sc.events(scores(10, s3=0.75), 0.75, 1.5, 0.1)) == 1
    assert len(sc.events(scores(10, s3=0.75), np.nextafter(0.75, 1), 1.5, 0.1)) == 0
    # float32(0.7) < 0.7, and the device compares as float64
    assert len(sc.events(scores(10, s3=0.7), 0.7, 1.5, 0.1)) == 0


def test_refractory_counts_from_the_event_and_a_long_plateau_fires_again():
    plateau = np.ones(40, np.float32)
    assert sc.events(plateau, 0.5, 1.5, 0.1) == pytest.approx([0.1, 1.6, 3.1])
    # not a multiple of the step: 1.5 s / 0.08 s = 18.75, so the 19th step after the event
    assert sc.event_steps(plateau, 0.5, sc.Rule(0.08, 1.5)).tolist() == [0, 19, 38]
    # a score inside the refractory time does not prolong it
    assert sc.event_steps(scores(40, s0=1, s10=1, s15=1), 0.5, RULE).tolist() == [0, 15]


@pytest.mark.parametrize(
    "time, hit", [(0.9, False), (1.0, True), (1.6, True), (2.6, True), (2.7, False), (0.0, False)]
)
def test_hit_window_is_start_to_one_second_after_the_end(time, hit):
    hits, strays = sc.match(np.array([time]), span((1.0, 1.6)))
    assert bool(~np.isnan(hits[0])) is hit
    assert len(strays) == (0 if hit else 1)


def test_second_event_in_one_window_is_a_stray():
    hits, strays = sc.match(np.array([1.0, 2.6]), span((1.0, 1.6)))
    assert hits.tolist() == [1.0]
    assert strays.tolist() == [2.6]


def test_overlapping_windows_serve_the_earliest_open_word():
    hits, strays = sc.match(np.array([1.7, 2.2]), span((1.0, 1.5), (1.6, 2.1)))
    assert hits.tolist() == [1.7, 2.2]
    assert strays.size == 0


def test_outcomes_latency_and_strays():
    track = sc.Track(scores(100, s11=0.9, s50=0.9, s80=0.4), span((0.5, 1.0), (7.0, 7.9)))
    result = sc.outcomes([track], 0.5, RULE)
    assert result.hit.tolist() == [True, False]
    assert result.frr == 0.5
    assert result.strays == 1
    assert result.stray_times[0] == pytest.approx([5.1])
    assert result.latency_s[0] == pytest.approx(0.2)
    assert sc.latency_percentiles(result.latency_s) == pytest.approx([0.2, 0.2])
    assert sc.latency_percentiles(np.array([np.nan])) == [None, None]


def test_no_maximum_over_the_clip():
    """The clip's maximum is past the threshold, but after the word's window: a miss and a stray, no hit."""
    track = sc.Track(scores(100, s90=0.99), span((1.0, 1.5)))
    result = sc.outcomes([track], 0.5, RULE)
    assert track.scores.max() > 0.5
    assert result.misses == 1 and result.strays == 1


def test_fa_per_hour_is_divided_by_the_negatives_own_hours():
    """Ten hours of positives must not dilute two accepts in half an hour of negatives."""
    positives = [sc.Track(np.zeros(360_000, np.float32), span((1.0, 1.5)))]
    negative = scores(18_000, s100=0.9, s200=0.9)
    curve = sc.det_curves({"quiet": positives}, [sc.Track(negative)], 0.5, RULE)["quiet"]
    assert curve.fa_per_hour.tolist() == [2400.0, 4.0, 0.0]  # at 0, just above 0, just above 0.9
    assert curve.hours == 0.5


def test_strays_on_positive_streams_are_no_false_accepts():
    positives = [sc.Track(scores(100, s11=0.9, s60=0.9), span((0.5, 1.0)))]
    negatives = [sc.Track(scores(36_000, s5=0.3))]
    curve = sc.det_curves({"quiet": positives}, negatives, 1.0, RULE)["quiet"]
    assert curve.false_accepts[curve.thresholds > 0.3].tolist() == [0] * int((curve.thresholds > 0.3).sum())


def test_one_utterance_cannot_make_two_false_accepts_within_the_refractory_time():
    assert sc.count_events([sc.Track(scores(100, s10=0.9, s14=0.9))], 0.5, RULE) == 1


def test_streams_do_not_share_a_refractory_time():
    late, early = sc.Track(scores(20, s19=0.9)), sc.Track(scores(20, s0=0.9))
    assert sc.count_events([late, early], 0.5, RULE) == 2


def test_frr_at_reads_the_known_point():
    # four words with best scores 0.9 0.8 0.6 0.2; three false peaks 0.7 0.5 0.3 in one hour
    tracks = [sc.Track(scores(40, s12=s), span((1.0, 1.2))) for s in (0.9, 0.8, 0.6, 0.2)]
    negatives = [sc.Track(scores(36_000, s100=0.7, s200=0.5, s300=0.3))]
    curve = sc.det_curves({"quiet": tracks}, negatives, 1.0, RULE, fa_targets=(0.5, 1, 2))["quiet"]
    for target, accepts, frr in ((0.5, 0, 0.5), (1, 1, 0.25), (2, 2, 0.25), (1000, 3, 0.0)):
        point = sc.frr_at(curve, target)
        assert (point.false_accepts, point.frr) == (accepts, frr), target
    assert sc.frr_at(curve, 0.5).threshold == pytest.approx(0.7, abs=1e-6)
    assert sc.frr_at(curve, 0.5).threshold > np.float32(0.7)


def test_frr_at_half_an_hour_allows_what_fits():
    negatives = [sc.Track(scores(18_000, s100=0.7))]
    tracks = [sc.Track(scores(40, s12=0.6), span((1.0, 1.2)))]
    curve = sc.det_curves({"quiet": tracks}, negatives, 0.5, RULE)["quiet"]
    assert sc.frr_at(curve, 1.0).frr == 1.0  # one accept in half an hour is 2 FA/h
    assert sc.frr_at(curve, 2.0).frr == 0.0


def test_a_model_that_always_fires_cannot_reach_a_rate():
    negatives = [sc.Track(np.ones(36_000, np.float32))]
    tracks = [sc.Track(np.ones(40, np.float32), span((0.0, 0.2)))]
    point = sc.frr_at(sc.det_curves({"quiet": tracks}, negatives, 1.0, RULE)["quiet"], 0.5)
    assert point.frr == 1.0 and point.threshold > 1.0


def test_no_negatives_is_an_error():
    with pytest.raises(ValueError, match="negatives"):
        sc.det_curves({"quiet": []}, [], 0.0, RULE)


def test_grid_is_bounded_and_curve_monotone_enough():
    rng = np.random.default_rng(0)
    tracks = [sc.Track(rng.random(4000).astype(np.float32), span(*[(i, i + 0.5) for i in range(0, 390, 5)]))]
    negatives = [sc.Track(rng.random(30_000).astype(np.float32) ** 2)]
    curve = sc.det_curves({"quiet": tracks}, negatives, 0.83, RULE)["quiet"]
    assert curve.thresholds.size <= 203
    assert np.all(np.diff(curve.thresholds) > 0)
    assert curve.frr[-1] > curve.frr[0]
    assert sc.frr_at(curve, 0.5).false_accepts == 0


def test_nothing_heard_at_all():
    assert math.isnan(sc.outcomes([], 0.5, RULE).frr)
    assert sc.events(np.zeros(0, np.float32), 0.5, 1.5, 0.1).size == 0
