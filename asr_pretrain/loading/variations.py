"""What is drawn for an utterance before any batch is made, because its length depends on it.

Speed, tempo and lead decide how long an utterance becomes; drawn first, it goes into a batch that it fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from asr_pretrain.logmel import HOP_SAMPLES
from asr_pretrain.training.recipe import Perturbation

MAX_DENOMINATOR = 24
"""Of the resampling ratios, as `asr_pretrain.augment.listening.change_speed` rounds them."""
LEAD_SAMPLES = 8000
"""Silence before is drawn up to this, so that the running mean has heard the car."""
TAIL_SAMPLES = 6400
"""Silence after: the peaks of CTC come late."""
N_TEMPOS = 9
_DRAWS = 1 << 15


@dataclass(frozen=True)
class Drawn:
    """One draw for each of n utterances."""

    ratio: np.ndarray
    """Index of `Variations.ratios` (n,)."""
    hop: np.ndarray
    """Log-mel hop in samples (n,)."""
    lead: np.ndarray
    """Samples of silence before (n,)."""
    spoken: np.ndarray
    """Samples at the drawn speed (n,)."""

    @property
    def content(self) -> np.ndarray:
        """Samples from the start of the lead to the end of the tail (n,)."""
        return self.spoken + self.lead + np.int32(TAIL_SAMPLES)

    @property
    def frames(self) -> np.ndarray:
        """Log-mel frames (n,) of a batch that holds both the samples and their frames."""
        return -(-self.content // np.minimum(self.hop, HOP_SAMPLES))


class Variations:
    """Speeds and tempos of a recipe.

    A tempo is a hop of the front end; there are a few of them, evenly spread, so that a batch calls the front
    end a few times and each utterance still has its own.
    """

    def __init__(self, perturbation: Perturbation):
        low, high = sorted(1 / speed for speed in perturbation.speed)
        every = sorted(
            {
                Fraction(up, down)
                for down in range(1, MAX_DENOMINATOR + 1)
                for up in range(int(low * down), int(high * down) + 2)
                if up
            }
        )
        self.ratios = np.array([(r.numerator, r.denominator) for r in every], dtype=np.int64)
        """Length after over length before (m, 2), ascending."""
        values = self.ratios[:, 0] / self.ratios[:, 1]
        # A draw is a place in this table: the nearest ratio of each of many speeds, evenly spread.
        even = np.geomspace(low, high, _DRAWS)
        self._ratio_of = np.searchsorted((values[1:] + values[:-1]) / 2, even).astype(np.uint16)
        tempos = np.geomspace(*perturbation.tempo, N_TEMPOS)
        self.hops = np.unique(np.rint(HOP_SAMPLES * tempos).astype(np.int16))

    def draw(self, rng: np.random.Generator, n_samples: np.ndarray) -> Drawn:
        """For utterances of ``n_samples`` (n,) each."""
        n = len(n_samples)
        ratio = self._ratio_of[rng.integers(0, _DRAWS, n, dtype=np.uint16)]
        up, down = self.ratios[:, 0][ratio], self.ratios[:, 1][ratio]
        return Drawn(
            ratio,
            self.hops[rng.integers(0, len(self.hops), n, dtype=np.uint8)],
            rng.integers(0, LEAD_SAMPLES, n, dtype=np.uint16),
            (-(-n_samples * up // down)).astype(np.int32),
        )

    def most_frames(self, n_samples: int) -> int:
        """The most that an utterance of ``n_samples`` can need."""
        up, down = (int(v) for v in self.ratios[self._ratio_of[-1]])
        content = -(-n_samples * up // down) + LEAD_SAMPLES + TAIL_SAMPLES
        return -(-content // min(HOP_SAMPLES, int(self.hops[0])))

    def speed(self, ratio: int) -> float:
        """What `change_speed` takes for the ratio of this index."""
        up, down = self.ratios[ratio]
        return float(down / up)
