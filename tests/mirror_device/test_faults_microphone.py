"""The fault suite, microphone: a real sound server that dies and returns, and a daemon that is suspended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.mirror_device.served import Served, until
from tests.mirror_device.test_microphone import VMIC, virtual_microphone  # noqa: F401

fault = pytest.mark.fault
NO_SOUND = 75


class SoundCard:
    """A virtual microphone of its own, which may be pulled out."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.environment = folder, {}
        self.plug_in(48000)

    def plug_in(self, rate_hz: int) -> None:
        script = f"source {VMIC} start {self.folder}; env -0"
        environment = {**os.environ, "RATE_HZ": str(rate_hz)}
        done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=30, env=environment)
        pairs = (item.partition("=") for item in done.stdout.decode().split("\0") if "=" in item)
        self.environment = {key: value for key, _, value in pairs}

    def pull_out(self) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = process.read_bytes()
            except OSError:
                continue
            if command.startswith(b"pulseaudio") and str(self.folder).encode() in command:
                os.kill(int(process.parent.name), signal.SIGKILL)

    def play(self, path: Path) -> None:
        command = ["paplay", "-d", "vmic", str(path)]
        subprocess.run(command, env=self.environment, check=True, timeout=30)


@pytest.fixture
def card(virtual_microphone: dict[str, str], tmp_path: Path) -> Iterator[SoundCard]:  # noqa: F811
    """Skips where no virtual microphone can be had."""
    folder = tmp_path / "card"
    card = SoundCard(folder)
    yield card
    card.pull_out()


@pytest.fixture
def word(tmp_path: Path, beeps: np.ndarray) -> Path:
    path = tmp_path / "word.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(beeps[24000:48000].astype("<i2").tobytes())
    return path


def detections(served: Served) -> int:
    return int(served.ask(command="status")["counts"].get("detection", 0))


@pytest.fixture
def listening(serve: Callable[..., Served], card: SoundCard) -> Callable[[], Served]:
    def start() -> Served:
        source: dict[str, Any] = {"source": {"kind": "sounddevice"}}
        served = serve(source, environment=card.environment, stderr=subprocess.DEVNULL)
        until(lambda: served.ask(command="status")["heard_s"] > 0.5)
        return served

    return start


@fault(
    "microphone unplugged and back at another sample rate (sound server killed and restarted)",
    "it listens again by itself, or ends with status 75 within 5 s and listens after its restart",
)
def test_a_sound_server_that_dies(listening: Callable[[], Served], card: SoundCard, word: Path) -> None:
    served = listening()
    card.play(word)
    until(lambda: detections(served) == 1)
    card.pull_out()
    pulled_s = time.monotonic()
    time.sleep(1.0)
    card.plug_in(44100)
    while served.process.poll() is None and time.monotonic() - pulled_s < 8:
        if "gaps" in served.ask(command="status")["counts"]:
            break
        time.sleep(0.05)
    if served.process.poll() is not None:
        assert served.process.returncode == NO_SOUND and time.monotonic() - pulled_s < 7
        served = listening()
    before = detections(served)
    card.play(word)
    until(lambda: detections(served) == before + 1)


@fault(
    "microphone unplugged for good",
    "status 75 within 6 s: never deaf while it claims to listen, for a restart",
)
def test_a_sound_server_that_stays_away(listening: Callable[[], Served], card: SoundCard, word: Path) -> None:
    served = listening()
    card.pull_out()
    assert served.process.wait(8) == NO_SOUND


@fault(
    "process suspended for 3 s while a word is said", "one late event at most, no burst; the next word fires"
)
def test_suspended_while_it_listens(listening: Callable[[], Served], card: SoundCard, word: Path) -> None:
    served = listening()
    os.kill(served.process.pid, signal.SIGSTOP)
    card.play(word)
    time.sleep(1.5)
    os.kill(served.process.pid, signal.SIGCONT)
    time.sleep(1.0)
    after = served.ask(command="status")
    assert after["counts"].get("detection", 0) <= 1  # the word that waited, or none: never more
    before = detections(served)
    card.play(word)
    until(lambda: detections(served) == before + 1)
