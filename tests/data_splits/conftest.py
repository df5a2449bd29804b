"""Small synthetic manifests and generated audio; no test here needs the development recordings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_splits.manifest import normalise

Make = Callable[..., pl.DataFrame]


@pytest.fixture
def make() -> Make:
    """A manifest from rows that each name only what matters; `make({...}, {...})`."""

    def _make(*rows: dict[str, Any], require_split: bool = True) -> pl.DataFrame:
        filled = [
            {"id": f"r{i}", "audio": f"{row.get('id', f'r{i}')}.wav", "duration_s": 2.0, "domain": "general"}
            | row
            for i, row in enumerate(rows)
        ]
        names = {name for row in filled for name in row}
        frame = pl.DataFrame(
            [{name: row.get(name) for name in names} for row in filled], infer_schema_length=None
        )
        return normalise(frame, "test", require_split=require_split)

    return _make


@pytest.fixture
def honest(make: Make) -> pl.DataFrame:
    """A manifest that breaks no rule: drives of every split from disjoint speakers, noise and cabins."""
    rows: list[dict[str, Any]] = [
        {"id": f"clean{i}", "split": "train", "speaker": f"s{i % 5}", "text": "hello"} for i in range(20)
    ]
    rows += [{"id": "td0", "split": "train_dev", "speaker": "std", "text": "hello"}]
    rows += [{"id": "rain", "split": "train", "noise_kind": "rain"}]
    for split, count in (("train", 8), ("train_dev", 2), ("dev", 4), ("test", 4)):
        side = "train" if split == "train_dev" else split
        rows += [
            {
                "id": f"{split}-drive{i}",
                "domain": "mirror",
                "split": split,
                "speaker": "std"
                if split == "train_dev"
                else f"s{i % 2}"
                if split == "train"
                else f"{split}-s{i % 2}",
                "clean_parent": "td0"
                if split == "train_dev"
                else f"clean{i}"
                if split == "train"
                else f"{split}{i}",
                "noise_parent": ["rain"] if side == "train" else [f"{side}-noise", f"{side}-wind"],
                "rir_parent": f"cabin-{side}-0001",
                "vehicle": f"car-{side}",
                "session": f"session-{side}-{i}",
                "pcm_sha256": f"{split}{i}".encode().hex(),
                "labels": {"smart mirror": 1},
            }
            for i in range(count)
        ]
    return make(*rows)


@pytest.fixture
def tone() -> Callable[[float, int], np.ndarray]:
    """Half-scale sine: `tone(hz, rate_hz)`, one second, float64."""

    def _tone(hz: float, rate_hz: int) -> np.ndarray:
        return 0.5 * np.sin(2 * np.pi * hz * np.arange(rate_hz) / rate_hz)

    return _tone
