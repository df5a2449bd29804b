"""How deep the transferred layers should learn, and when transfer cannot be expected to pay."""

from __future__ import annotations

from typing import Any

from mirror_device.logmel import frontend_constants


def doubts(sidecar: dict[str, Any], target_hours: float) -> list[str]:
    """Reasons why the model with this sidecar may not be worth transferring; none is an error.

    Transfer pays where source and target have the same input, the source has more data than the target, and
    what it learnt early is of use (A. Ng, Structuring Machine Learning Projects, week 2).

    Args:
        sidecar: of the pretrained model.
        target_hours: of the recordings that are fine-tuned on.
    """
    if sidecar.get("kind") != "recogniser":
        return []  # a second round of the same model
    found = []
    theirs, ours = sidecar.get("front_end"), frontend_constants()
    if theirs is not None and theirs != ours:
        differ = ", ".join(
            f"{key} {theirs.get(key)} for {ours[key]}" for key in ours if theirs.get(key) != ours[key]
        )
        found.append(f"its features are others ({differ}): its first layers know nothing of these")
    hours = sidecar.get("hours")
    if hours is not None and hours <= target_hours:
        found.append(
            f"it heard {hours:.1f} h and there are {target_hours:.1f} h to fine-tune on: with less source "
            "than target data, training from scratch is as good"
        )
    return found
