"""What a training run is about to learn from, said before it starts; and what will not do."""

from __future__ import annotations

from collections.abc import Iterator

from asr_pretrain.augment.noise import NoiseBank

MOST_REPEATS = 1000
"""Times that the same second of noise may be heard before it is learnt by heart (docs/experiments.md)."""
FEWEST_NOISES = 10


def noise_outlook(noise: NoiseBank, heard_s: float) -> Iterator[str]:
    """How often each second of unique noise is heard in ``heard_s`` of cuts; a warning where too often."""
    recorded = int(noise.recorded.sum())
    repeats = heard_s / max(noise.seconds, 1e-9)
    yield (
        f"noise: {noise.seconds / 60:.0f} min, {recorded} recorded and {len(noise) - recorded} made; "
        f"{heard_s / 3600:.0f} h of cuts hear each second of it {repeats:.0f} times"
    )
    if repeats > MOST_REPEATS or len(noise) < FEWEST_NOISES:
        yield (
            f"warning: {len(noise)} noises, each second heard {repeats:.0f} times: learnt by heart; "
            "add recordings, or raise surroundings.procedural_noises"
        )
