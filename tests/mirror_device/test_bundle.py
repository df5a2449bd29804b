"""Signed updates: what is refused, what replaces what, and that a power cut leaves the old or the new."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirror_device.cli import main
from mirror_device.update.archive import BundleError, unpack, version_key
from mirror_device.update.slots import Slots, State, open_slot
from tests.mirror_device.conftest import metadata, tiny_onnx

pytest.importorskip("minisign", reason="pip install '.[update]'")


class Workshop:
    """Where bundles are made: a key, recordings, and models of any version."""

    def __init__(self, folder: Path, beeps: np.ndarray) -> None:
        self.folder = folder
        self.key, self.public = folder / "update.key", folder / "update.pub"
        assert main(["bundle", "key", str(self.key), str(self.public)]) == 0
        self.word, self.other = folder / "word.wav", folder / "other.wav"
        for path, sound in ((self.word, beeps[16000:48000]), (self.other, beeps[:16000])):
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, 16000, 0, "NONE", ""))
                file.writeframes(sound.astype("<i2").tobytes())

    def model(self, version: str, **changes: Any) -> Path:
        path = self.folder / f"{version}.onnx"
        path.write_bytes(tiny_onnx({"rearview": json.dumps(metadata(version=version, **changes))}))
        return path

    def bundle(self, version: str, **changes: Any) -> Path:
        out = self.folder / f"{version}.bundle"
        model = self.model(version, **changes)
        recordings = ["--word", str(self.word), "--other", str(self.other)]
        assert (
            main(["bundle", "make", str(model), *recordings, "--key", str(self.key), "--out", str(out)]) == 0
        )
        return out

    def sign(self, path: Path) -> None:
        from mirror_device.update.signature import sign, signature_path

        signature_path(path).write_bytes(sign(path.read_bytes(), self.key, "by hand"))

    def install(self, bundle: Path) -> int:
        where = ["--public-key", str(self.public), "--folder", str(self.folder / "slots")]
        return main(["bundle", "install", str(bundle), *where])

    @property
    def slots(self) -> Slots:
        return Slots(self.folder / "slots", "tiny")


@pytest.fixture
def workshop(tmp_path: Path, beeps: np.ndarray) -> Workshop:
    return Workshop(tmp_path, beeps)


def active(workshop: Workshop) -> str:
    return str(open_slot(workshop.slots, [])[1].metadata["version"])


def test_install_and_back(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    assert workshop.install(workshop.bundle("1.0.0")) == 0
    assert workshop.install(workshop.bundle("1.0.1")) == 0
    assert workshop.install(workshop.bundle("1.0.10")) == 0
    state = workshop.slots.state()
    assert state.active and state.active.startswith("1.0.10-") and state.trial == "on trial"
    assert len(list((workshop.folder / "slots" / "tiny").glob("1.*"))) == 3  # the oldest goes next time
    place = ["tiny", "--folder", str(workshop.folder / "slots")]
    assert main(["bundle", "rollback", *place]) == 0
    assert active(workshop) == "1.0.1"
    capsys.readouterr()
    assert main(["bundle", "show", *place]) == 0
    assert json.loads(capsys.readouterr().out)["previous"].startswith("1.0.10-")
    words, others = workshop.slots.recordings(workshop.slots.state().active or "")
    assert words[0].read_bytes() == workshop.word.read_bytes() and len(others) == 1


def test_what_is_refused_replaces_nothing(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    good = workshop.bundle("1.1.0")
    assert workshop.install(good) == 0
    before = workshop.slots.state()

    def refused(bundle: Path, words: str) -> None:
        capsys.readouterr()
        assert workshop.install(bundle) == 2
        assert words in capsys.readouterr().err
        assert workshop.slots.state() == before

    refused(good, "is not newer than 1.1.0")
    refused(workshop.bundle("1.0.9"), "is not newer than 1.1.0")
    two_words = [{"phrase": word, "threshold": 0.6} for word in ("loud sound", "bang")]
    refused(workshop.bundle("1.2.0", keywords=two_words[1:]), "knows ['bang']")
    newer = workshop.bundle("1.3.0")
    content = newer.read_bytes()
    newer.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    refused(newer, "not signed by the key")
    newer.write_bytes(content[:-2000])
    refused(newer, "not signed by the key")
    newer.write_bytes(content)
    other_key = workshop.folder / "other"
    other_key.mkdir()
    strange = Workshop(other_key, np.zeros(48000, np.int16))
    strange.sign(newer)
    refused(newer, "not signed by the key")
    (workshop.folder / "1.3.0.bundle.minisig").unlink()
    refused(newer, "no such file")


def repacked(workshop: Workshop, version: str, **members: bytes | None) -> Path:
    """A signed bundle with members changed, and a manifest that agrees with them."""
    bundle = unpack(workshop.bundle(version).read_bytes())
    files = {name: member for name, member in (bundle.files | members).items() if member is not None}
    manifest = json.loads(bundle.manifest)
    manifest["sha256"] = {name: hashlib.sha256(member).hexdigest() for name, member in files.items()}
    path = workshop.folder / "repacked.bundle"
    with tarfile.open(path, "w:") as tar:
        for name, member in {"bundle.json": json.dumps(manifest).encode(), **files}.items():
            info = tarfile.TarInfo(name)
            info.size = len(member)
            tar.addfile(info, io.BytesIO(member))
    workshop.sign(path)
    return path


@pytest.mark.parametrize(
    "change, words",
    [
        ({"step_samples": 640}, "step_samples"),
        ({"frontend": {"n_mels": 80}}, "frontend"),
        ({"version": "9.9.9"}, "its model says it is tiny 9.9.9"),
        ({"name": "other"}, "its model says it is other"),
    ],
)
def test_a_model_of_another_rate_shape_or_name(
    workshop: Workshop, change: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = metadata(**({"version": "1.0.0"} | change))
    bundle = repacked(workshop, "1.0.0", **{"model.onnx": tiny_onnx({"rearview": json.dumps(fields)})})
    assert workshop.install(bundle) == 2 and words in capsys.readouterr().err
    assert workshop.slots.state() == State()


def test_a_self_test_that_fails(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    silent, loud = workshop.other.read_bytes(), workshop.word.read_bytes()
    assert workshop.install(repacked(workshop, "1.0.0", **{"word-1.wav": silent})) == 2
    assert "the word is in it and was not heard" in capsys.readouterr().err
    assert workshop.install(repacked(workshop, "1.0.0", **{"other-1.wav": loud})) == 2
    assert "where nobody said it" in capsys.readouterr().err
    assert workshop.install(repacked(workshop, "1.0.0", **{"other-1.wav": b"RIFF"})) == 2
    assert "recordings cannot be read" in capsys.readouterr().err
    assert workshop.slots.state() == State()
    recordings = ["--word", str(workshop.other), "--other", str(workshop.other)]
    made = ["bundle", "make", str(workshop.model("2.0.0")), *recordings, "--key", str(workshop.key)]
    assert main([*made, "--out", str(workshop.folder / "x")]) == 2
    assert not (workshop.folder / "x").exists()


@pytest.mark.parametrize("name", ["../evil", "model.onnx/x", "word-10.wav", "notes.txt"])
def test_foreign_members(workshop: Workshop, name: str) -> None:
    with pytest.raises(BundleError, match="does not belong"):
        unpack(repacked(workshop, "1.0.0", **{name: b"x"}).read_bytes())


def test_links_and_twins_and_lacks(workshop: Workshop) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:") as tar:
        link = tarfile.TarInfo("model.onnx")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(BundleError, match="does not belong"):
        unpack(content.getvalue())
    with pytest.raises(BundleError, match="no word-1.wav"):
        unpack(repacked(workshop, "1.0.0", **{"word-1.wav": None}).read_bytes())
    for rubbish in (b"", b"x" * 5000, workshop.bundle("1.0.0").read_bytes()[:700]):
        with pytest.raises(BundleError):
            unpack(rubbish)


def test_versions() -> None:
    assert version_key("1.10") > version_key("1.9.9") and version_key("1.0") == version_key("1.0.0")
    for wrong in ("", "1.0b", "v1", "1." * 9, "٣"):
        with pytest.raises(BundleError):
            version_key(wrong)


def test_a_start_that_fails_rolls_back(workshop: Workshop) -> None:
    workshop.install(workshop.bundle("1.0.0"))
    workshop.slots.begin()
    workshop.slots.end_trial(passed=True)
    workshop.install(workshop.bundle("1.0.1"))
    assert active(workshop) == "1.0.1"  # begins its trial, and then it dies
    notes: list[str] = []
    assert open_slot(workshop.slots, notes)[1].metadata["version"] == "1.0.0"
    assert "never listened" in notes[0] and active(workshop) == "1.0.0"


def test_a_damaged_slot_gives_way(workshop: Workshop) -> None:
    workshop.install(workshop.bundle("1.0.0"))
    workshop.install(workshop.bundle("1.0.1"))
    path = workshop.slots.model(workshop.slots.state().active or "")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    notes: list[str] = []
    assert open_slot(workshop.slots, notes)[1].metadata["version"] == "1.0.0"
    assert "not the file that was installed" in notes[0]


@pytest.mark.fault(
    "power cut at any step of an update",
    "the old model or the new one, and the update goes through the next time",
)
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_every_power_cut_leaves_the_old_or_the_new(workshop: Workshop, every: int) -> None:
    workshop.install(workshop.bundle("0.9.0"))
    workshop.install(workshop.bundle("1.0.0"))
    workshop.slots.begin()
    workshop.slots.end_trial(passed=True)
    (workshop.folder / "slots" / "tiny" / "incoming").mkdir()  # an earlier cut left it
    program = Path(__file__).with_name("power_cut.py")
    command = [sys.executable, program, workshop.folder / "slots", workshop.bundle("2.0.0"), str(every)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    *cuts, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert last["steps"] >= 20 and len(cuts) - 1 == -(-last["steps"] // every), done.stderr
    assert all(cut["status"] == 9 for cut in cuts[:-1]) and cuts[-1]["status"] == 0
    versions = [cut["after"]["version"] for cut in cuts]
    assert set(versions) == {"1.0.0", "2.0.0"} and versions == sorted(versions)
    assert all(cut["again"] == "2.0.0" and not cut["after"]["notes"] for cut in cuts)


@pytest.mark.skipif(shutil.which("minisign") is None, reason="needs minisign: apt-get install minisign")
def test_minisign_agrees(workshop: Workshop) -> None:
    bundle = workshop.bundle("1.0.0")
    check = ["minisign", "-V", "-q", "-p", workshop.public, "-m", bundle]
    assert subprocess.run(check).returncode == 0
    theirs = workshop.folder / "theirs"
    theirs.mkdir()
    pair = ["-p", theirs / "x.pub", "-s", theirs / "x.key"]
    subprocess.run(["minisign", "-G", "-W", *pair], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        ["minisign", "-S", "-s", theirs / "x.key", "-m", bundle], check=True, stdout=subprocess.DEVNULL
    )
    verify = ["bundle", "verify", str(bundle), "--public-key"]
    assert main([*verify, str(theirs / "x.pub")]) == 0 and main([*verify, str(workshop.public)]) == 2


def test_the_daemon_changes_to_it_and_back(
    workshop: Workshop, beeps: np.ndarray, serve: Callable[..., Any]
) -> None:
    workshop.install(workshop.bundle("1.0.0"))
    served = serve({"models": ["slot:tiny"], "slots": str(workshop.folder / "slots")})
    served.hear(beeps)
    served.has_heard(7.9)
    assert workshop.slots.state().trial == "passed"
    assert workshop.install(workshop.bundle("1.0.1")) == 0
    assert served.ask(command="model", name="slot:tiny")["event"] == "answer"
    assert served.ask(command="model", name="slot:tiny")["event"] == "error"  # under way
    served.hear(beeps)
    served.has_heard(15.9)
    assert served.ask(command="status")["models"] == {"loud sound": "tiny 1.0.1"}
    assert workshop.slots.state().trial == "passed"
    served.end()
