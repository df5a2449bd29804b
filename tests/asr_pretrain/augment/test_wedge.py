"""Wedges: the same interface as boxes, and nothing else in common."""

from __future__ import annotations

import numpy as np
import pytest

from asr_pretrain.augment.cabin import DIRECT_INDEX, RESPONSE_SAMPLES, cabin_bank, decay_time_s
from asr_pretrain.augment.wedge import draw_wedge, impulse_response


@pytest.fixture(scope="module")
def responses() -> np.ndarray:
    return cabin_bank("dev", 40, kind="wedge").responses.numpy()


def test_the_direct_path_stands_at_its_index_and_nothing_before_it(responses: np.ndarray):
    assert responses.shape == (40, RESPONSE_SAMPLES)
    assert np.abs(responses[:, DIRECT_INDEX]).min() > 0.7
    assert (np.abs(responses[:, : DIRECT_INDEX - 21]) < 1e-6).all()


def test_cabins_are_damped_as_cabins_are(responses: np.ndarray):
    decays = [decay_time_s(row.astype(np.float64)) for row in responses]
    assert min(decays) > 0.02 and max(decays) < 0.25


def test_mouth_and_microphone_are_inside_and_the_seat_shows():
    drawn = [draw_wedge(np.random.default_rng(i)) for i in range(100)]
    for p in drawn:
        for point in (p.mouth_m, p.microphone_m):
            assert (np.array(p.normals) @ np.array(point) + np.array(p.offsets_m)).min() > 0

    def distance_m(seat: str) -> float:
        found = [np.subtract(p.mouth_m, p.microphone_m) for p in drawn if p.seat == seat]
        return float(np.mean([np.linalg.norm(path) for path in found]))

    assert distance_m("driver") < distance_m("rear left")


def test_the_same_parameters_give_the_same_response_and_other_parts_other_ones():
    p = draw_wedge(np.random.default_rng(3))
    one, two = (impulse_response(p, 2000, 30) for _ in range(2))
    assert np.array_equal(one, two)
    dev, test = (cabin_bank(part, 3, kind="wedge") for part in ("dev", "test"))
    assert dev.ids == ("wedge-dev-0000", "wedge-dev-0001", "wedge-dev-0002")
    assert not np.array_equal(dev.responses, test.responses)
    with pytest.raises(ValueError, match="direct_index 5"):
        impulse_response(p, 2000, 5)
