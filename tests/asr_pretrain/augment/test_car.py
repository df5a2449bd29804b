"""The car: the SNR that was drawn, nothing shifted, nothing broken, fast enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from asr_pretrain.augment.car import Car, CarRecipe
from asr_pretrain.augment.level import active_speech_level_db, noise_level_db
from data_splits.schema import COLUMNS

MakeCar = Callable[[CarRecipe], Car]
PLAIN = CarRecipe(clip_share=0, floor_dbfs=None, quiet_share=0, dry_share=0)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0, 10.0])
def test_snr_at_the_microphone_is_exact(make_car: MakeCar, speech: torch.Tensor, snr_db: float):
    for recipe in (CarRecipe.for_scoring(), PLAIN):
        car = make_car(recipe)
        drives = car.draw(1, len(speech), speech.shape[1], snr_db=snr_db, cabin=True)
        together = car.apply(speech * 0.3, drives)
        image = car.apply(speech * 0.3, [replace(d, noise=None) for d in drives])
        ratio = active_speech_level_db(image) - noise_level_db(together - image)
        assert torch.allclose(ratio, torch.full_like(ratio, snr_db), atol=0.1)


def test_same_seed_same_sound_and_batches_do_not_matter(make_car: MakeCar, speech: torch.Tensor):
    car, again = make_car(CarRecipe()), make_car(CarRecipe())
    drives = car.draw(np.random.default_rng(3), len(speech), speech.shape[1])
    assert drives == again.draw(np.random.default_rng(3), len(speech), speech.shape[1])
    assert drives[4] == car.draw_one(drives[4].seed, speech.shape[1])
    heard = car.apply(speech, drives)
    assert torch.equal(heard, again.apply(speech, drives))
    alone = car.apply(speech[4:5], drives[4:5])
    assert (alone[0] - heard[4]).abs().max() <= 1.01 / 32768  # a rounding apart at most
    assert drives != car.draw(np.random.default_rng(4), len(speech), speech.shape[1])


def test_forcing_the_snr_leaves_the_other_draws(make_car: MakeCar):
    car = make_car(PLAIN)
    low, high = (car.draw_one(9, 32000, snr_db=snr, cabin=True) for snr in (0.0, 20.0))
    assert low == replace(high, snr_db=0.0)


def test_nothing_is_shifted(make_car: MakeCar, speech: torch.Tensor):
    car = make_car(CarRecipe.for_scoring())
    drives = car.draw(0, 8, 32000, snr_db=math.inf, cabin=True)
    drives = [replace(d, rir_index=i, rir_id=car.rirs.ids[i]) for i, d in enumerate(drives)]
    dry = speech[:1].expand(8, -1)
    heard = car.apply(dry, drives)
    spectrum = torch.fft.rfft(heard, 65536) * torch.fft.rfft(dry, 65536).conj()
    lag = torch.fft.irfft(spectrum).argmax(1)
    lag = torch.where(lag > 32768, lag - 65536, lag)
    assert lag.abs().max() <= 16  # 1 ms


def test_quiet_and_dry_leaves_the_recording_alone(make_car: MakeCar, speech: torch.Tensor):
    car = make_car(CarRecipe.for_scoring())
    drives = car.draw(0, len(speech), speech.shape[1], snr_db=math.inf, cabin=False)
    assert (car.apply(speech, drives) - speech).abs().max() <= 0.51 / 32768 + 1e-6
    assert drives[0].parents()["rir_parent"] is None and drives[0].parents()["snr_db"] is None


def test_speech_gets_the_level_drawn(make_car: MakeCar, speech: torch.Tensor):
    car = make_car(PLAIN)
    drives = car.draw(5, len(speech), speech.shape[1], snr_db=math.inf)
    level = active_speech_level_db(car.apply(speech, drives))
    assert torch.allclose(level, torch.tensor([d.level_dbfs for d in drives]), atol=0.2)
    assert all(-42 <= d.level_dbfs <= -18 for d in drives)


@pytest.mark.parametrize("recipe", [CarRecipe(), PLAIN, CarRecipe.for_scoring()])
def test_silence_and_extremes_stay_finite_and_bounded(make_car: MakeCar, recipe: CarRecipe):
    car = make_car(recipe)
    square = torch.ones(4, 16000)
    square[:, ::7] = -1.0
    quiet = torch.full((4, 16000), 1e-6)
    for speech in (torch.zeros(4, 16000), quiet, square):
        heard = car.apply(speech, car.draw(2, 4, 16000, snr_db=-5.0))
        assert torch.isfinite(heard).all()
        assert heard.min() >= -1.0 and heard.max() <= 32767 / 32768
        assert torch.equal(heard * 32768, (heard * 32768).round())
    silent = car.apply(torch.zeros(4, 16000), car.draw(2, 4, 16000, snr_db=0.0))
    level = noise_level_db(silent)
    assert (level > -70).all() and (level < -28).all()  # the absolute level drawn, not an exploded ratio


def test_clipping_cuts_the_peak_and_no_more(make_car: MakeCar, speech: torch.Tensor):
    car = make_car(CarRecipe(clip_share=1, clip_db=(6.0, 6.0)))
    drives = car.draw(1, 6, speech.shape[1])
    clipped = car.apply(speech[:6], drives)
    whole = car.apply(speech[:6], [replace(d, clip_db=None) for d in drives])
    ratio = clipped.abs().amax(1) / whole.abs().amax(1)
    assert torch.allclose(ratio, torch.full_like(ratio, 0.501), atol=0.01)


def test_parents_are_columns_of_the_manifest(make_car: MakeCar):
    car = make_car(PLAIN)
    parents = car.draw(1, 1, 32000, snr_db=5.0)[0].parents()
    assert set(parents) <= set(COLUMNS)
    assert parents["rir_parent"] in car.rirs.ids and set(parents["noise_parent"]) <= set(car.noise.ids)
    assert parents["snr_db"] == 5.0


def test_streams_of_a_minute_have_noise_throughout(make_car: MakeCar):
    car = make_car(CarRecipe.for_scoring())
    n_samples = 60 * 16000
    speech = torch.zeros(1, n_samples)
    speech[0, 320000:336000] = 0.1 * torch.sin(torch.arange(16000) * 0.4)
    drive = car.draw(0, 1, n_samples, snr_db=5.0, cabin=True)
    heard = car.apply(speech, drive)[0].reshape(-1, 16000)
    assert heard.square().mean(1).sqrt().min() > 1e-3
    assert len(drive[0].noise.slices) > 2


def test_wrong_shapes_are_named(make_car: MakeCar, speech: torch.Tensor):
    car = make_car(PLAIN)
    with pytest.raises(ValueError, match="one row a drive"):
        car.apply(speech, car.draw(1, 2, 32000))
    with pytest.raises(ValueError, match="n_samples=32000"):
        car.apply(speech[:2], car.draw(1, 2, 16000))


def test_throughput(make_car: MakeCar, record_property: Callable[[str, object], None]):
    """500 two-second cuts a second on a free core; a loaded machine may be three times slower."""
    car, speech = make_car(CarRecipe()), torch.randn(64, 32000) * 0.05
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        car.apply(speech, car.draw(0, 64, 32000))
        started = time.process_time()
        for seed in range(4):
            car.apply(speech, car.draw(seed, 64, 32000))
        rate = 256 / (time.process_time() - started)
    finally:
        torch.set_num_threads(threads)
    record_property("cuts_per_s", rate)
    print(f"car: {rate:.0f} two-second cuts/s on one core")
    assert rate > 170


def test_a_narrow_capture_ends_steeply_and_moves_no_other_draw(make_car: MakeCar, speech: torch.Tensor):
    narrow = make_car(PLAIN.model_copy(update={"lowpass_share": 1, "lowpass_hz": (3000, 3400)}))
    wide = make_car(PLAIN)
    drives = narrow.draw(7, len(speech), speech.shape[1])
    assert all(3000 <= (d.lowpass_hz or 0) <= 3400 for d in drives)
    assert [replace(d, lowpass_hz=None) for d in drives] == wide.draw(7, len(speech), speech.shape[1])
    power = torch.fft.rfft(narrow.apply(speech, drives)).abs().square().sum(0)
    hz = torch.fft.rfftfreq(speech.shape[1], 1 / 16000)
    assert float(power[hz > 5000].sum() / power[(hz > 300) & (hz < 2800)].sum()) < 1e-3
