"""What others tell the daemon about the car."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Car:
    """Written by the hub's thread, read by the loop."""

    muted: bool = False
    speaking: bool = False
    speed_kmh: float | None = None
    mutes: int = 0
    """Times it was muted: an event of an earlier count is not current any more."""
