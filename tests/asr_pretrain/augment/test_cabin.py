"""Cabins: a direct path that keeps its time, decays as drawn, parts that share nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asr_pretrain.augment.cabin import (
    DIRECT_INDEX,
    RESPONSE_SAMPLES,
    RirBank,
    cabin_bank,
    cabin_parameters,
    decay_time_s,
)


def test_direct_path_stands_at_its_index(rirs: RirBank):
    responses = rirs.responses.numpy()
    assert responses.shape == (8, RESPONSE_SAMPLES) and RESPONSE_SAMPLES <= 4000
    direct = np.abs(responses[:, DIRECT_INDEX - 1 : DIRECT_INDEX + 2]).max(axis=1)
    assert (direct > 0.5).all() and (direct < 1.6).all()
    # Nothing but the ripple of the fractional delay comes before it.
    assert np.abs(responses[:, : DIRECT_INDEX - 8]).max() < 0.12


def test_decay_is_the_one_drawn(rirs: RirBank):
    ratios = [
        decay_time_s(r) / cabin_parameters("train", 0, i).rt60_s for i, r in enumerate(rirs.responses.numpy())
    ]
    assert 0.85 < np.median(ratios) < 1.15
    assert all(0.6 < ratio < 1.6 for ratio in ratios)


def test_parts_share_no_cabin_and_the_same_part_is_the_same():
    drawn = {part: [cabin_parameters(part, 0, i) for i in range(50)] for part in ("train", "dev", "test")}
    assert len({p for cabins in drawn.values() for p in cabins}) == 150
    assert cabin_parameters("dev", 0, 7) == drawn["dev"][7]
    assert cabin_parameters("dev", 1, 7) != drawn["dev"][7]
    for cabin in drawn["train"]:
        for axis in range(3):
            assert 0 < cabin.mouth_m[axis] < cabin.size_m[axis]
            assert 0 < cabin.microphone_m[axis] < cabin.size_m[axis]


def test_cache_gives_the_same_and_survives_damage(tmp_path: Path):
    first = cabin_bank("dev", 2, cache=tmp_path)
    assert first.ids == ("cabin-dev-0000", "cabin-dev-0001")
    assert np.array_equal(cabin_bank("dev", 2, cache=tmp_path).responses, first.responses)
    (stored,) = tmp_path.glob("*.npy")
    stored.write_bytes(stored.read_bytes()[:1000])
    assert np.array_equal(cabin_bank("dev", 2, cache=tmp_path).responses, first.responses)
