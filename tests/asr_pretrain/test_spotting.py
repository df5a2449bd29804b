"""A phrase is found where it is said, and dear where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from asr_pretrain.spotting import spot, track


def said(frames: list[int], classes: int = 5, sure: float = 0.99) -> np.ndarray:
    """Log-probabilities that favour these classes."""
    p = np.full((len(frames), classes), (1 - sure) / (classes - 1))
    p[np.arange(len(frames)), frames] = sure
    return np.log(p)


def test_it_is_found_with_blanks_and_repeats():
    heard = said([0, 4, 4, 0, 1, 1, 0, 0, 2, 3, 3, 0, 4])
    found = spot(heard, [1, 2, 3])
    assert found.cost < 0.05 and (found.first_frame, found.last_frame) == (5, 9)
    assert spot(heard, [4]).cost < 0.05


def test_a_doubled_phone_needs_a_blank_between():
    assert spot(said([1, 0, 1]), [1, 1]).cost < 0.05
    assert spot(said([1, 1, 1]), [1, 1]).cost > 1


def test_what_is_not_said_costs():
    absent = spot(said([0, 2, 2, 0, 3, 0]), [1, 4])
    half = spot(said([0, 1, 1, 0, 3, 0]), [1, 4])
    assert absent.cost > half.cost > 1


def test_a_stream_is_followed_as_it_comes():
    heard = said([0, 1, 0, 2, 3, 0, 0, 1, 2, 3])
    costs, begun = track(heard, [1, 2, 3])
    assert np.isinf(costs[:2]).all() and costs[4] < 0.05 and costs[9] < 0.05
    assert (begun[4], begun[9]) == (1, 7) and costs[6] > costs[4] + 0.3
    assert np.array_equal(track(heard[:5], [1, 2, 3])[0], costs[:5])


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="3 units cannot be said in 2 frames"):
        spot(said([1, 2]), [1, 2, 3])
    with pytest.raises(ValueError, match="0 units"):
        spot(said([1, 2]), [])
