"""Microphones: choosing and opening one, losses counted, and a real one: a PulseAudio null sink."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mirror_device import capture
from mirror_device.detector import MODELS_FOLDER
from mirror_device.errors import SoundError
from mirror_device.portaudio import InputDevice, OnSound, choose_device
from mirror_device.stop import Stop

APT = "apt-get install -y libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"
VMIC = Path(__file__).with_name("vmic.sh")
SPOKEN_WORDS = 4
SHIPPED = MODELS_FOLDER / "smart_mirror.onnx"


class FakeBackend:
    """A PortAudio that takes some settings and gives the sound it is told to."""

    name = "fake"

    def __init__(self, *taken: tuple[int, int]) -> None:
        self.taken = taken or ((16000, 1),)
        self.closed = threading.Event()
        self.on_sound: OnSound = lambda content, overflowed: None

    def inputs(self) -> list[InputDevice]:
        return [InputDevice(0, "built-in", 2, 44100, True), InputDevice(4, "USB array", 4, 48000, False)]

    def supports(self, device: InputDevice, rate_hz: int, channels: int) -> bool:
        return (rate_hz, channels) in self.taken

    def start(
        self, device: InputDevice, rate_hz: int, channels: int, on_sound: OnSound
    ) -> Callable[[], None]:
        self.on_sound = on_sound
        return self.closed.set


def test_device_by_default_number_name_and_part_of_it() -> None:
    devices = FakeBackend().inputs()
    assert [choose_device(devices, w).index for w in (None, "4", "built-in", "usb")] == [0, 4, 0, 4]
    for wanted, words in (("7", "no such"), ("u", "more than one"), ("hdmi", "4 'USB array'")):
        with pytest.raises(SoundError, match=words):
            choose_device(devices, wanted)
    with pytest.raises(SoundError, match="no microphone found"):
        choose_device([], None)


@pytest.mark.fault("overflow in the sound system", "what is lost is counted and reported")
def test_sound_passes_through_and_a_full_queue_is_counted_and_reported() -> None:
    backend, warnings = FakeBackend(), []
    microphone = capture.Microphone(backend, None, warnings.append)
    for number in range(capture.QUEUE_BLOCKS + 25):
        backend.on_sound(np.full(640, number, np.int16).tobytes(), number == 3)
    assert microphone.lost_blocks == 25 and microphone.overflows == 1
    with Stop() as stop:
        blocks = microphone.blocks(stop)
        heard = [next(blocks) for _ in range(capture.QUEUE_BLOCKS)]
        stop.requested = True
        assert list(blocks) == []
    assert [int(block[0]) for block in heard] == list(range(capture.QUEUE_BLOCKS))
    assert backend.closed.is_set()
    assert warnings and "1.00 s" in warnings[0] and "1 overflows" in warnings[0]


def test_a_device_that_refuses_16_khz_is_resampled() -> None:
    backend = FakeBackend((48000, 4))
    microphone = capture.Microphone(backend, "array", capture.warn)
    time_s = np.arange(48000) / 48000
    frames = np.repeat(8000 * np.sin(2 * np.pi * 500 * time_s)[:, None], 4, axis=1).astype(np.int16)
    for start in range(0, 48000, 1920):
        backend.on_sound(frames[start : start + 1920].tobytes(), False)
    with Stop() as stop:
        blocks = microphone.blocks(stop)
        heard = np.concatenate([next(blocks) for _ in range(25)])
    expected = 8000 * np.sin(2 * np.pi * 500 * np.arange(len(heard)) / 16000)
    assert len(heard) > 15000 and np.abs(heard - expected)[200:].max() < 10


def test_a_device_that_refuses_everything_is_named() -> None:
    with pytest.raises(SoundError, match="'built-in' refuses.*16000 Hz x 1, 16000 Hz x 2, 44100 Hz x 1"):
        capture.Microphone(FakeBackend((8000, 1)), None, capture.warn)


def test_a_silent_death_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "DEAF_S", 0.3)
    backend = FakeBackend()
    microphone = capture.Microphone(backend, None, capture.warn)
    with Stop() as stop, pytest.raises(SoundError, match="no sound"):
        next(microphone.blocks(stop))
    assert backend.closed.is_set()


def test_missing_portaudio_names_the_package() -> None:
    code = (
        "import ctypes.util, os, sys\n"
        "ctypes.util.find_library = lambda name: None\n"
        "from mirror_device.cli import main\n"
        "sys.exit(main(['devices']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "apt-get install libportaudio2" in done.stderr


def test_missing_pyaudio_names_the_extra() -> None:
    code = "import sys\nsys.modules['pyaudio'] = None\nfrom mirror_device.cli import main\nsys.exit(main("
    done = subprocess.run(
        [sys.executable, "-c", f"{code}['devices', '--backend', 'pyaudio']))"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "rearview-wakeword[pyaudio]" in done.stderr


def unavailable(reason: str) -> None:
    """Skip, or fail where the machine is meant to have a virtual microphone."""
    if os.environ.get("REARVIEW_REQUIRE_MIC") == "1":
        pytest.fail(f"REARVIEW_REQUIRE_MIC=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def virtual_microphone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a process that sees the virtual microphone as its default."""
    missing = [tool for tool in ("pulseaudio", "pactl", "paplay") if shutil.which(tool) is None]
    if missing:
        unavailable(f"{', '.join(missing)} not found: {APT}")
    folder = tmp_path_factory.mktemp("vmic")
    script = f"source {VMIC} start {folder}; env -0"
    started = subprocess.run(["bash", "-c", script], capture_output=True, timeout=30)
    pairs = (item.partition("=") for item in started.stdout.decode().split("\0") if "=" in item)
    environment = {key: value for key, _, value in pairs}
    if subprocess.run(["pactl", "info"], env=environment, capture_output=True).returncode:
        unavailable(f"PulseAudio does not start ({started.stderr.decode()[-300:]}): {APT}")
    yield environment
    subprocess.run(["bash", "-c", f"source {VMIC} stop {folder}"], timeout=30)


@pytest.fixture(scope="module")
def heard_word(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, str, Path]:
    """Model, keyword and a recording of it, four times: the shipped model where it is there, else a tone."""
    if SHIPPED.exists():
        from asr_pretrain.synthesis.voices import Voice, speak

        model, keyword = SHIPPED, "smart mirror"
        voices = (Voice(), Voice(accent="en-gb", pitch=65), Voice(variant="f3"), Voice(rate_wpm=130))
        words = [speak(keyword, voice) for voice in voices]
    else:
        model, keyword = tiny_model, "loud sound"
        words = [np.rint(8000 * np.sin(np.arange(8000) * 0.4)).astype(np.int16)] * SPOKEN_WORDS
    pause = np.zeros(24000, np.int16)
    path = tmp_path_factory.mktemp("word") / "word.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.concatenate([pause, *(x for word in words for x in (word, pause))]).tobytes())
    return model, keyword, path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("backend", ["sounddevice", "pyaudio"])
def test_the_daemon_hears_the_word_live(
    virtual_microphone: dict[str, str],
    heard_word: tuple[Path, str, Path],
    backend: str,
    number: signal.Signals,
) -> None:
    if backend == "pyaudio" and importlib.util.find_spec("pyaudio") is None:
        unavailable("no PyAudio: apt-get install -y gcc python3-dev portaudio19-dev; pip install pyaudio")
    model, keyword, recording = heard_word
    listen = [
        sys.executable,
        "-m",
        "mirror_device.cli",
        "listen",
        "--backend",
        backend,
        "--model",
        str(model),
    ]
    process = subprocess.Popen(
        listen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=virtual_microphone
    )
    assert process.stdout and process.stderr
    lines: queue.Queue[str] = queue.Queue()
    try:
        opened = process.stderr.readline()
        if "libportaudio2" in opened:
            unavailable(opened)
        assert "listening to" in opened, opened + process.stderr.read()
        output = process.stdout
        threading.Thread(target=lambda: [lines.put(line) for line in output], daemon=True).start()
        subprocess.run(
            ["paplay", "-d", "vmic", str(recording)], env=virtual_microphone, check=True, timeout=30
        )
        event = json.loads(lines.get(timeout=5))
        assert event["keyword"] == keyword and event["seq"] == 1
        began_s = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=5) == 0
        assert time.monotonic() - began_s < 1.0
        assert process.stderr.read() == ""
        assert lines.qsize() < SPOKEN_WORDS  # one event a word
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("backend", ["sounddevice", "pyaudio"])
def test_devices_lists_the_microphone(virtual_microphone: dict[str, str], backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        unavailable(f"no {backend}")
    command = [sys.executable, "-m", "mirror_device.cli", "devices", "--backend", backend, "--json"]
    done = subprocess.run(command, env=virtual_microphone, capture_output=True, text=True)
    if "libportaudio2" in done.stderr:
        unavailable(done.stderr)
    assert done.returncode == 0 and done.stderr == ""
    assert any(json.loads(line)["default"] for line in done.stdout.splitlines())
