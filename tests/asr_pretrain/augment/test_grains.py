"""Grains: noise that repeats from its parameters, is named for its generator and differs from training's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asr_pretrain.augment.grains import KINDS, GrainParameters, draw_grains, synthesize_grains
from asr_pretrain.augment.noise import NoiseBank


def test_every_kind_sounds_and_repeats():
    seen = set()
    for seed in range(60):
        p = draw_grains(np.random.default_rng(seed))
        seen.add(p.kind)
        x = synthesize_grains(p, 8000)
        assert x.shape == (8000,) and np.isfinite(x).all() and np.abs(x).max() == pytest.approx(0.5)
        if seed < 5:
            assert np.array_equal(x, synthesize_grains(p, 8000))
    assert seen == set(KINDS)


def test_a_source_that_is_left_out_changes_no_other():
    both = GrainParameters(3, "drive", 80.0, road_db=60, blower_db=60)
    road = synthesize_grains(replace(both, blower_db=None), 16000)
    blower = synthesize_grains(replace(both, road_db=None), 16000)
    sound = synthesize_grains(both, 16000)
    weights = np.linalg.lstsq(np.stack([road, blower], 1), sound, rcond=None)[0]
    assert np.allclose(np.stack([road, blower], 1) @ weights, sound, atol=1e-4)


def test_silence_and_scraps_are_refused():
    with pytest.raises(ValueError, match="switch every source off"):
        synthesize_grains(GrainParameters(0, "drive", 0.0), 8000)
    with pytest.raises(ValueError, match="at least 400"):
        synthesize_grains(GrainParameters(0, "drive", 0.0, air_db=50), 100)


def test_a_bank_of_grains_says_so():
    bank = NoiseBank.build(None, None, "dev", procedural=4, kind="grains")
    assert bank.ids[0] == "grains-dev-0000" and set(bank.kinds) <= set(KINDS)
    assert NoiseBank.build(None, None, "dev", procedural=1).ids == ("procedural-dev-0000",)
