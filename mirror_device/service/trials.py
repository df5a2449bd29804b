"""The models of a configuration, opened; those of slots are on trial until they have listened for a while."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mirror_device.detector import Detector
from mirror_device.service.ears import WARM_STEPS
from mirror_device.update.slots import Slots, open_slot

SLOT = "slot:"


class Trials:
    """Opens models, and ends their trials.

    Args:
        folder: of all slots.
        post: does a job elsewhere, for the end of a trial is written to the disk.
    """

    def __init__(self, folder: Path, post: Callable[[Callable[[], None]], object]) -> None:
        self._folder, self._post = folder, post
        self._due: list[tuple[int, Slots]] = []
        self.notes: list[str] = []
        """What had to be done to open the models, for a log."""

    def open(self, name: str, steps: int) -> tuple[str, Detector]:
        """A model by its configured name, and what it was opened from; ``steps`` have been heard by now.

        Raises:
            ModelError: it cannot be used.
            ValueError: a slot whose model is on trial already.
        """
        if not name.startswith(SLOT):
            return name, Detector(name)
        slots = Slots(self._folder, name.removeprefix(SLOT))
        if any(other.name == slots.name for _, other in self._due):
            raise ValueError(f"{name}: a change is under way; ask again in some seconds")
        opened = open_slot(slots, self.notes)
        self._due.append((steps + 2 * WARM_STEPS, slots))
        return opened

    def heard(self, steps: int) -> None:
        """Ends the trials of models that have listened for long enough by now."""
        while self._due and steps >= self._due[0][0]:
            self._pass(self._due.pop(0)[1])

    def pass_all(self) -> None:
        """For a daemon to which sound may never come."""
        while self._due:
            self._pass(self._due.pop()[1])

    def fail_all(self) -> None:
        """The sound ended too early."""
        for _, slots in self._due:
            slots.end_trial(passed=False)

    def _pass(self, slots: Slots) -> None:
        self._post(lambda: slots.end_trial(passed=True))
