"""What this package raises for unusable input; messages name the file or device, the value and the remedy."""

from __future__ import annotations


class ModelError(ValueError):
    """A model file that is missing, damaged, or not a wake-word model of this project."""


class SoundError(ValueError):
    """A recording, stream or microphone that cannot be listened to."""
