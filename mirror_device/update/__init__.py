"""Signed updates of a model: bundles, signatures, and the slots they are installed in."""

from pathlib import Path

FOLDER = Path("/var/lib/mirror-device/models")
"""Of all slots, unless the configuration says otherwise."""
