"""How deep the transferred layers should learn, and when transfer cannot be expected to pay."""

from __future__ import annotations

from typing import Any, Final

from mirror_device.logmel import frontend_constants
from wakeword.model import Unfreeze

MISSED: Final[dict[int, dict[Unfreeze, float]]] = {
    1: {"head": 0.921, "last": 0.855, "half": 0.635, "all": 0.425},
    4: {"head": 0.946, "last": 0.864, "half": 0.524, "all": 0.353},
    16: {"head": 0.958, "last": 0.885, "half": 0.497, "all": 0.344},
}
"""Share of the word missed in the cabin, by the voices that were trained on and by what learns: the mean over
the encoders of 5,000, 50,000 and 500,000 utterances in `docs/transfer.md`, seed 0."""


def depth_for(voices: int) -> tuple[Unfreeze, str]:
    """How deep to learn with the word said by so many voices, and why: what missed least when measured."""
    known = max((n for n in MISSED if n <= voices), default=min(MISSED))
    missed = MISSED[known]
    depth = min(missed, key=missed.__getitem__)
    told = ", ".join(f"{name} {share:.0%}" for name, share in missed.items())
    return depth, f"{voices} voices, and with {known} was missed, by what learns: {told}"


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
