"""Two slots for a model, the active one and the one before, and a way between them that survives a power cut.

``FOLDER/NAME/VERSION-DIGEST/`` holds what a bundle held; ``FOLDER/NAME/state.json`` says which is active and
which was before. A new version is written and synced under a name that nothing refers to, tried there,
renamed, and then made active by replacing ``state.json``: at any instant that file is the old one or the new
one, and what either refers to is whole. A version is on trial until the daemon has listened with it for a
while; a start that finds a trial begun and not ended goes back to the version before.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mirror_device.detector import Detector
from mirror_device.errors import ModelError, SoundError
from mirror_device.files import sync_folder, write_synced, write_whole
from mirror_device.trial import failures
from mirror_device.update.archive import (
    MANIFEST,
    MODEL,
    NAME,
    Bundle,
    BundleError,
    manifest_fields,
    read_file,
    version_key,
)

MAX_STATE_BYTES = 4096
ON_TRIAL, BEGUN, PASSED = "on trial", "begun", "passed"


@dataclass(frozen=True)
class State:
    """Which folder is active, which was before it, and how far the trial of the active one is."""

    active: str | None = None
    previous: str | None = None
    trial: str = PASSED


class Slots:
    """The slots of one model.

    Raises BundleError: a name that cannot be one.
    """

    def __init__(self, folder: Path, name: str) -> None:
        if not NAME.fullmatch(name):
            raise BundleError(f"slot {name[:40]!r}: small letters, digits and _ are wanted")
        self.name, self.folder = name, folder / name

    def state(self) -> State:
        """As the disk has it; none where nothing was ever installed, or where it is damaged."""
        try:
            fields = json.loads((self.folder / "state.json").read_bytes()[:MAX_STATE_BYTES])
            state = State(fields["active"], fields["previous"], fields["trial"])
        except (OSError, ValueError, TypeError, KeyError):
            return State()
        names = [name for name in (state.active, state.previous) if name is not None]
        safe = all(isinstance(name, str) and Path(name).name == name for name in names)
        return state if safe and state.trial in (ON_TRIAL, BEGUN, PASSED) else State()

    def model(self, slot: str) -> Path:
        """The model in a slot, unchanged since it was signed. Raises ModelError."""
        path = self.folder / slot / MODEL
        try:
            digests = manifest_fields(read_file(self.folder / slot / MANIFEST))["sha256"]
            whole = digests.get(MODEL) == hashlib.sha256(read_file(path)).hexdigest()
        except BundleError as error:
            raise ModelError(f"{path.parent}: {error}") from error
        if not whole:
            raise ModelError(f"{path}: not the file that was installed; install the bundle again")
        return path

    def recordings(self, slot: str) -> tuple[list[Path], list[Path]]:
        """Those with the word and those without that came with it."""
        words, others = (sorted((self.folder / slot).glob(f"{kind}-*.wav")) for kind in ("word", "other"))
        return words, others

    def install(self, bundle: Bundle) -> Path:
        """Try a bundle and make it active; nothing is replaced where it is refused.

        Raises BundleError, OSError.
        """
        if bundle.name != self.name:
            raise BundleError(f"a bundle of {bundle.name!r}, not of {self.name!r}")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            state = self.state()
            installed, keywords = self._installed(state)
            if installed is not None and version_key(bundle.version) <= version_key(installed):
                raise BundleError(
                    f"version {bundle.version} is not newer than {installed}, which is installed: refused"
                )
            self._clear(state)
            incoming = self.folder / "incoming"
            incoming.mkdir()
            for name, content in {MANIFEST: bundle.manifest, **bundle.files}.items():
                write_synced(incoming / name, content)
            sync_folder(incoming)
            self._try(incoming, bundle, keywords)
            slot = f"{bundle.version}-{bundle.digest[:12]}"
            incoming.rename(self.folder / slot)
            sync_folder(self.folder)
            self._hand_over()
            self._write(State(slot, state.active, ON_TRIAL))
            return self.folder / slot

    def begin(self) -> str | None:
        """Before the active version is opened: marks its trial as begun, or ends one that was not passed.

        Returns what was done, for a log. Raises OSError: the state cannot be written.
        """
        with self._locked():
            state = self.state()
            if state.trial == BEGUN:
                self._write(State(state.previous, state.active))
                return f"{self.name}: {state.active} was started and never listened; back to {state.previous}"
            if state.trial == ON_TRIAL:
                self._write(State(state.active, state.previous, BEGUN))
        return None

    def end_trial(self, passed: bool) -> None:
        """The active version has listened, or was ended in good order before it could: next time, then.

        Where nothing can be written it stays as it is.
        """
        with contextlib.suppress(OSError), self._locked():
            state = self.state()
            if state.trial == BEGUN:
                self._write(State(state.active, state.previous, PASSED if passed else ON_TRIAL))

    def roll_back(self) -> State:
        """The version before becomes the active one, the shipped model where there was none.

        Raises BundleError: nothing is installed; OSError.
        """
        with self._locked():
            state = self.state()
            if state.active is None:
                raise BundleError(f"{self.name}: nothing is installed, the shipped model is in use")
            self._write(State(state.previous, state.active))
            return self.state()

    def _installed(self, state: State) -> tuple[str | None, list[str] | None]:
        """Version and words of what is in use: the active slot's, else the shipped model's."""
        for open_it in (lambda: self.model(state.active or ""), lambda: self.name):
            with contextlib.suppress(ModelError):
                detector = Detector(open_it())
                return str(detector.metadata["version"]), [word.phrase for word in detector.keywords]
        return None, None

    def _try(self, folder: Path, bundle: Bundle, keywords: list[str] | None) -> None:
        try:
            detector = Detector(folder / MODEL)
        except ModelError as error:
            raise BundleError(f"its model cannot be used here: {error}") from error
        metadata = detector.metadata
        if (metadata["name"], metadata["version"]) != (bundle.name, bundle.version):
            raise BundleError(
                f"its model says it is {metadata['name']} {metadata['version']}, "
                f"the bundle {bundle.name} {bundle.version}"
            )
        words = [word.phrase for word in detector.keywords]
        if keywords is not None and words != keywords:
            raise BundleError(f"it knows {words}, what is installed knows {keywords}: refused")
        try:
            wrong = failures(detector, sorted(folder.glob("word-*.wav")), sorted(folder.glob("other-*.wav")))
        except SoundError as error:
            raise BundleError(f"its recordings cannot be read: {error}") from error
        if wrong:
            raise BundleError("its self-test fails: " + "; ".join(wrong[:5]))

    def _clear(self, state: State) -> None:
        """Leftovers of an update that was cut off, and versions that nothing refers to any more."""
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in (state.active, state.previous):
                shutil.rmtree(path)

    def _hand_over(self) -> None:
        """What root has installed belongs to the daemon's user, who has to keep the state."""
        if os.geteuid() == 0:
            owner = self.folder.parent.parent.stat()
            for path in (self.folder.parent, self.folder, *self.folder.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _write(self, state: State) -> None:
        write_whole(self.folder / "state.json", json.dumps(asdict(state)).encode())
        self._hand_over()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The daemon and an installer do not write at the same time."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def open_slot(slots: Slots, notes: list[str]) -> tuple[str, Detector]:
    """The best version that opens: the active one, the one before, the shipped one; with its path or name.

    Raises ModelError: not even the shipped one.
    """
    try:
        if note := slots.begin():
            notes.append(note)
    except FileNotFoundError:
        pass  # nothing was ever installed
    except OSError as error:
        notes.append(f"{slots.folder}: the state of updates cannot be written ({error.strerror})")
    state = slots.state()
    for slot in filter(None, (state.active, state.previous)):
        try:
            path = slots.model(slot)
            return str(path), Detector(path)
        except ModelError as error:
            notes.append(f"{error}; taking the version before")
            if slot == state.active:
                with contextlib.suppress(OSError):
                    slots.roll_back()
    return slots.name, Detector(slots.name)
