"""What a daemon does and how it fares, for `status` and for Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mirror_device.logmel import SAMPLE_RATE_HZ, STEP_SAMPLES
from mirror_device.service.doors import metrics_text

if TYPE_CHECKING:
    from mirror_device.service.daemon import Daemon


def status(daemon: Daemon) -> dict[str, Any]:
    """As the control socket answers it."""
    counts = dict(daemon.counts) | {key.replace(" ", "_"): n for key, n in daemon.hub.counts.items()}
    if daemon.playback is not None:
        counts |= {f"reference_{key}": n for key, n in daemon.playback.counts.items()}
    for outlet in daemon.telling.outlets:
        counts |= {f"{type(outlet).__name__}_{key}": n for key, n in outlet.counts.items()}
    return {
        "models": daemon.ears.models,
        "up_s": round(time.monotonic() - daemon.started_s, 1),
        "heard_s": round(daemon.steps * STEP_SAMPLES / SAMPLE_RATE_HZ, 2),
        "level_dbfs": round(daemon.level.now_dbfs, 1),
        "noise_dbfs": round(daemon.level.noise_dbfs, 1),
        "thresholds": {word: rule.threshold for word, rule in daemon.ears.rules.items()},
        "scores": {word: round(score, 4) for word, score in daemon.latest.items()},
        "muted": daemon.car.muted,
        "speaking": daemon.car.speaking,
        "speed_kmh": daemon.car.speed_kmh,
        "addresses": daemon.addresses,
        "counts": counts,
    }


def metrics(now: dict[str, Any]) -> str:
    """A status in Prometheus's format."""
    counts = {f'kind="{kind}"': float(n) for kind, n in sorted(now["counts"].items())}
    scores = {f'word="{word}"': score for word, score in now["scores"].items()}
    return metrics_text(
        {
            "mirror_up_seconds": ("gauge", "Since the start.", {"": now["up_s"]}),
            "mirror_heard_seconds_total": ("counter", "Sound that was decided on.", {"": now["heard_s"]}),
            "mirror_level_dbfs": ("gauge", "Of the last step.", {"": now["level_dbfs"]}),
            "mirror_noise_dbfs": ("gauge", "Of the last seconds.", {"": now["noise_dbfs"]}),
            "mirror_muted": ("gauge", "1 while muted.", {"": float(now["muted"])}),
            "mirror_score": ("gauge", "Of the last step, by word.", scores),
            "mirror_counts_total": ("counter", "Events, losses and clients, by kind.", counts),
        }
    )
