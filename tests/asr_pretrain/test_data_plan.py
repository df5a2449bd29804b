"""Which utterance is in which batch: nothing lost, nothing shared, the same for any processes."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import numpy as np
import pytest

from asr_pretrain.augment.listening import change_speed
from asr_pretrain.loading.buckets import Buckets
from asr_pretrain.loading.plan import Group, Plan, Utterances
from asr_pretrain.loading.variations import Variations
from asr_pretrain.training.recipe import Perturbation, RecipeError


def utterances(n: int, shards: int, seed: int = 0, weights: np.ndarray | None = None) -> Utterances:
    """The first third loose where there are shards, the others in shards of about one size."""
    rng = np.random.default_rng(seed)
    shard = np.full(n, -1, dtype=np.int32)
    if shards:
        shard[n // 3 :] = np.sort(rng.integers(0, shards, n - n // 3))
        shard[-shards:] = np.arange(shards)
    n_samples = (rng.uniform(0.3, 6, n) * 16000).astype(np.int64)
    return Utterances(n_samples, shard, np.ones(n) if weights is None else weights)


def plan(data: Utterances, batches: int = 1, chapter_shards: int = 2, batch_seconds: float = 20) -> Plan:
    return Plan(data, Variations(Perturbation()), batch_seconds, batches, chapter_shards, seed=7)


def same(one: Group, other: Group) -> bool:
    drawn = zip(vars(one.drawn).values(), vars(other.drawn).values(), strict=True)
    return (
        one.frames == other.frames
        and np.array_equal(one.rows, other.rows)
        and all(np.array_equal(a, b) for a, b in drawn)
    )


@pytest.mark.parametrize("seed", range(40))
def test_buckets_pad_least_and_groups_are_full(seed: int) -> None:
    rng = np.random.default_rng(seed)
    needs = rng.integers(1, 91, rng.integers(1, 25)).tolist()
    longest, count, batches = int(rng.integers(90, 101)), int(rng.integers(1, 5)), int(rng.integers(1, 7))
    frames = np.array(needs)
    buckets = Buckets.fit(frames, np.ones(len(frames)), longest, 200, count)
    bounds = range(8, -(-longest // 8) * 8 + 1, 8)
    least = min(
        sum(min(bound for bound in (*chosen, bounds[-1]) if bound >= need) for need in needs)
        for chosen in itertools.combinations(bounds[:-1], min(count, len(bounds)) - 1)
    )
    assert len(buckets.frames) <= count and buckets.frames[-1] == bounds[-1]
    bucket = buckets.of(frames)
    assert buckets.frames[bucket].sum() == least
    assert (buckets.sizes * buckets.frames <= 200).all()
    order, group_buckets, ends = buckets.fill(bucket, batches, np.random.default_rng(0))
    assert set(order.tolist()) == set(range(len(frames)))
    assert len(order) - len(frames) < batches * buckets.sizes[0] + 1
    for number, (start, end) in zip(group_buckets, itertools.pairwise(ends), strict=True):
        assert end - start == batches * buckets.sizes[number]
        assert (bucket[order[start:end]] <= number).all() and (bucket[order[start:end]] == number).any()


@pytest.mark.parametrize("shards", [0, 1, 5])
@pytest.mark.parametrize(("world", "accumulate"), [(1, 1), (2, 1), (3, 1), (2, 2)])
def test_an_epoch_hears_everything_and_no_two_processes_the_same(
    shards: int, world: int, accumulate: int
) -> None:
    data = utterances(300, shards)
    planned = plan(data, world * accumulate)
    first, second = planned.steps_in(1), planned.steps_in(2)
    for steps in (range(first), range(first, second)):
        heard: Counter[int] = Counter()
        for step in steps:
            group = planned.group(step)
            parts = [group.batch(number, world * accumulate) for number in range(world * accumulate)]
            assert len({len(part.rows) for part in parts}) == 1
            assert sum(len(part.rows) for part in parts) == len(group.rows)
            heard.update(row for part in parts for row in part.rows.tolist())
        assert set(heard) == set(range(300))
        # Repeats fill the last group of each chapter and nothing else.
        extra = sum(heard.values()) - 300
        assert extra < planned.n_chapters * world * accumulate * planned.buckets.sizes[0]


def test_large_epochs_hardly_repeat_and_hardly_pad() -> None:
    planned = plan(utterances(20_000, 20), batches=2, chapter_shards=5, batch_seconds=100)
    groups = [planned.group(step) for step in range(planned.steps_in(1))]
    heard = sum(len(group.rows) for group in groups)
    assert heard < 20_000 * 1.03
    held = sum(group.drawn.frames.sum() for group in groups)
    padded = sum(group.frames * len(group.rows) for group in groups)
    assert padded < 1.12 * held
    assert len({group.frames for group in groups}) <= 12
    assert max(group.frames * len(group.rows) for group in groups) <= 2 * 100 * 100


def test_what_is_drawn_fits_its_batch() -> None:
    planned = plan(utterances(200, 3))
    variations, data = planned.variations, planned.utterances
    for step in range(planned.steps_in(1)):
        group = planned.group(step)
        drawn = group.drawn
        assert (drawn.content <= group.frames * 160).all()
        assert (drawn.content <= group.frames * drawn.hop.astype(int)).all()
        assert group.frames % 8 == 0
    for row, ratio, spoken in list(zip(group.rows, drawn.ratio, drawn.spoken, strict=True))[:10]:
        sound = np.zeros(data.n_samples[row], dtype=np.int16)
        assert len(change_speed(sound, variations.speed(int(ratio)))) == spoken


def test_draws_cover_the_recipes_ranges_evenly() -> None:
    variations = Variations(Perturbation())
    drawn = variations.draw(np.random.default_rng(0), np.full(50_000, 32_000))
    speed = 32_000 / drawn.spoken
    assert 0.86 < speed.min() < 0.89 and 1.13 < speed.max() < 1.16
    assert np.mean(np.log(speed)) == pytest.approx((np.log(0.88) + np.log(1.14)) / 2, abs=0.002)
    assert (drawn.hop.min(), drawn.hop.max()) == (136, 189)
    assert (drawn.lead >= 0).all() and (drawn.lead < 8000).all()
    assert drawn.frames.max() <= variations.most_frames(32_000)
    still = Variations(Perturbation(speed=(1, 1), tempo=(1, 1)))
    plain = still.draw(np.random.default_rng(0), np.array([16_000, 5]))
    assert plain.spoken.tolist() == [16_000, 5] and plain.hop.tolist() == [160, 160]
    assert still.speed(int(plain.ratio[0])) == 1.0


def test_weights_are_kept_on_average_and_whole_ones_exactly() -> None:
    weights = np.repeat([0.0, 0.25, 1.0, 2.5, 3.0], 100)
    planned = plan(utterances(500, 0, weights=weights), batch_seconds=15)
    heard = np.zeros(500)
    for step in range(planned.steps_in(20)):
        heard += np.bincount(planned.group(step).rows, minlength=500)
    mean = heard.reshape(5, 100).mean(1) / 20
    assert mean[0] == 0
    assert mean == pytest.approx([0, 0.25, 1, 2.5, 3], rel=0.15, abs=0.02)
    assert heard[200:300].min() >= 20 and heard[400:].min() >= 60
    with pytest.raises(RecipeError, match="source_weights"):
        plan(utterances(5, 0, weights=np.zeros(5)))


def test_a_chapter_reads_its_own_shards_alone() -> None:
    data = utterances(600, 7)
    planned = plan(data, chapter_shards=3)
    assert planned.n_chapters == 3
    seen = []
    for chapter in range(2 * planned.n_chapters):
        planned.steps_in(chapter // planned.n_chapters + 1)
        steps = range(planned._ends[chapter - 1] if chapter else 0, planned._ends[chapter])
        rows = np.concatenate([planned.group(step).rows for step in steps])
        shards = set(data.shard[rows].tolist()) - {-1}
        assert len(shards) <= 3
        loose = (data.shard[np.unique(rows)] == -1).sum()
        assert 200 // 3 <= loose <= 200 // 3 + 1
        seen.append(shards)
    assert sorted(itertools.chain(*seen[:3])) == list(range(7)) == sorted(itertools.chain(*seen[3:]))
    assert seen[:3] != seen[3:]


def test_a_step_is_the_same_whenever_it_is_asked_for() -> None:
    data = utterances(400, 6)
    whole = plan(data, 2)
    groups = [whole.group(step) for step in range(60)]
    for step in (59, 0, 31, 58, 1, 30):
        assert same(plan(data, 2).group(step), groups[step])
        assert same(whole.group(step), groups[step])
    assert not same(Plan(data, Variations(Perturbation()), 20, 2, 2, seed=8).group(0), groups[0])


def test_epochs_can_be_counted_in_parts() -> None:
    planned = plan(utterances(300, 5), 2)
    one, two = planned.steps_in(1), planned.steps_in(2)
    assert 0 == planned.steps_in(0) < planned.steps_in(0.5) < one < planned.steps_in(1.5) < two
    assert planned.steps_in(0.5) == -(-one // 2)


def test_half_a_million_utterances_are_planned_in_seconds() -> None:
    rng = np.random.default_rng(0)
    n_samples = (rng.lognormal(1, 0.4, 500_000).clip(0.3, 10) * 16000).astype(np.int64)
    data = Utterances(n_samples, np.full(500_000, -1, dtype=np.int32), np.full(500_000, 1.5))
    started = time.process_time()
    planned = plan(data, 2, batch_seconds=200)
    planned.group(planned.steps_in(5) - 1)
    assert time.process_time() - started < 5
