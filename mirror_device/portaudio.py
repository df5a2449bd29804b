"""Two roads to PortAudio, sounddevice and PyAudio, behind one small interface; imported only when used."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from mirror_device.errors import SoundError
from mirror_device.logmel import SAMPLE_RATE_HZ

BLOCK_S = 0.04
OnSound = Callable[[bytes, bool], None]
"""Called from PortAudio's thread with interleaved int16 bytes and whether it lost sound before them."""


@dataclass(frozen=True)
class InputDevice:
    """A device that can record."""

    index: int
    name: str
    channels: int
    rate_hz: int
    """The device's own rate."""
    default: bool


@dataclass(frozen=True)
class OpenStream:
    """A running microphone."""

    name: str
    rate_hz: int
    channels: int
    block_s: float
    close: Callable[[], None]


class Backend(Protocol):
    """What a PortAudio binding must offer."""

    name: str

    def inputs(self) -> list[InputDevice]:
        """Every device that can record."""
        ...

    def supports(self, device: InputDevice, rate_hz: int, channels: int) -> bool:
        """Whether the device records int16 at this rate and number of channels."""
        ...

    def start(
        self, device: InputDevice, rate_hz: int, channels: int, on_sound: OnSound
    ) -> Callable[[], None]:
        """Start recording; returns what stops and closes it. Raises SoundError."""
        ...


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Silence file descriptor 2: PortAudio makes ALSA print some 30 lines about absent cards."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Sounddevice:
    """PortAudio through ``sounddevice`` (a base dependency; the library itself is the system's)."""

    name = "sounddevice"

    def __init__(self) -> None:
        try:
            with quiet_stderr():
                import sounddevice
        except OSError as exc:
            raise SoundError(f"sounddevice: {exc}: apt-get install libportaudio2") from exc
        self._sd: Any = sounddevice
        with quiet_stderr():  # PortAudio looks for devices when it is initialised, and only then
            sounddevice._terminate()
            sounddevice._initialize()

    def inputs(self) -> list[InputDevice]:
        default = self._sd.default.device[0]
        return [
            InputDevice(i, d["name"], d["max_input_channels"], round(d["default_samplerate"]), i == default)
            for i, d in enumerate(self._sd.query_devices())
            if d["max_input_channels"] > 0
        ]

    def supports(self, device: InputDevice, rate_hz: int, channels: int) -> bool:
        try:
            with quiet_stderr():
                self._sd.check_input_settings(device.index, channels, "int16", samplerate=rate_hz)
        except (self._sd.PortAudioError, ValueError):
            return False
        return True

    def start(
        self, device: InputDevice, rate_hz: int, channels: int, on_sound: OnSound
    ) -> Callable[[], None]:
        def callback(content: Any, frames: int, time: Any, status: Any) -> None:
            on_sound(bytes(content), bool(status.input_overflow))

        try:
            with quiet_stderr():
                stream = self._sd.RawInputStream(
                    samplerate=rate_hz,
                    blocksize=round(rate_hz * BLOCK_S),
                    device=device.index,
                    channels=channels,
                    dtype="int16",
                    callback=callback,
                )
                stream.start()
        except (self._sd.PortAudioError, ValueError) as exc:
            raise SoundError(f"microphone {device.name!r}: {exc}: is another program using it?") from exc

        def close() -> None:
            with quiet_stderr():
                stream.abort(ignore_errors=True)
                stream.close(ignore_errors=True)

        return close


class PyAudio:
    """PortAudio through ``pyaudio`` (the extra ``pyaudio``, which is compiled when it is installed)."""

    name = "pyaudio"

    def __init__(self) -> None:
        try:
            import pyaudio
        except ImportError as exc:
            raise SoundError(
                "--backend pyaudio needs the 'pyaudio' extra: apt-get install gcc python3-dev "
                f"portaudio19-dev, then pip install 'rearview-wakeword[pyaudio]' ({exc})"
            ) from exc
        self._module: Any = pyaudio
        with quiet_stderr():
            self._portaudio = pyaudio.PyAudio()

    def inputs(self) -> list[InputDevice]:
        try:
            default = self._portaudio.get_default_input_device_info()["index"]
        except OSError:  # PyAudio's way to say that there is none
            default = None
        found = [
            self._portaudio.get_device_info_by_index(i) for i in range(self._portaudio.get_device_count())
        ]
        return [
            InputDevice(
                int(d["index"]),
                str(d["name"]),
                int(d["maxInputChannels"]),
                round(float(d["defaultSampleRate"])),
                d["index"] == default,
            )
            for d in found
            if int(d["maxInputChannels"]) > 0
        ]

    def supports(self, device: InputDevice, rate_hz: int, channels: int) -> bool:
        try:
            with quiet_stderr():
                self._portaudio.is_format_supported(
                    rate_hz,
                    input_device=device.index,
                    input_channels=channels,
                    input_format=self._module.paInt16,
                )
        except (ValueError, OSError):
            return False
        return True

    def start(
        self, device: InputDevice, rate_hz: int, channels: int, on_sound: OnSound
    ) -> Callable[[], None]:
        overflow_flag, go_on = self._module.paInputOverflow, self._module.paContinue

        def callback(content: bytes, frames: int, time: Any, status: int) -> tuple[None, int]:
            on_sound(content, bool(status & overflow_flag))
            return None, go_on

        try:
            with quiet_stderr():
                stream = self._portaudio.open(
                    rate=rate_hz,
                    channels=channels,
                    format=self._module.paInt16,
                    input=True,
                    input_device_index=device.index,
                    frames_per_buffer=round(rate_hz * BLOCK_S),
                    stream_callback=callback,
                )
        except (OSError, ValueError) as exc:
            raise SoundError(f"microphone {device.name!r}: {exc}: is another program using it?") from exc

        def close() -> None:
            with quiet_stderr():
                stream.close()
                self._portaudio.terminate()

        return close


BACKENDS: dict[str, Callable[[], Backend]] = {"sounddevice": Sounddevice, "pyaudio": PyAudio}


def choose_device(devices: list[InputDevice], wanted: str | None) -> InputDevice:
    """The device by index, exact name or part of the name; without a wish, the default or else the first.

    Raises:
        SoundError: none, or more than one.
    """
    if not devices:
        raise SoundError(
            "no microphone found: connect one; 'mirror-device devices' lists what the system sees"
        )
    if wanted is None:
        return next((device for device in devices if device.default), devices[0])
    if wanted.isdecimal():
        matches = [device for device in devices if device.index == int(wanted)]
    else:
        exact = [device for device in devices if device.name == wanted]
        matches = exact or [device for device in devices if wanted.lower() in device.name.lower()]
    if len(matches) != 1:
        found = ", ".join(f"{device.index} {device.name!r}" for device in matches or devices)
        problem = "matches more than one" if matches else "no such microphone"
        raise SoundError(f"--device {wanted}: {problem}; choose from {found}")
    return matches[0]


def open_stream(backend: Backend, wanted: str | None, on_sound: OnSound) -> OpenStream:
    """Open a microphone at 16 kHz mono, or else at its own rate and channels (the sound is then resampled).

    Raises:
        SoundError: no such microphone, or it takes none of these settings.
    """
    device = choose_device(backend.inputs(), wanted)
    tried = []
    for rate_hz in dict.fromkeys((SAMPLE_RATE_HZ, device.rate_hz)):
        for channels in dict.fromkeys((1, min(2, device.channels), device.channels)):
            if backend.supports(device, rate_hz, channels):
                close = backend.start(device, rate_hz, channels, on_sound)
                return OpenStream(device.name, rate_hz, channels, BLOCK_S, close)
            tried.append(f"{rate_hz} Hz x {channels}")
    raise SoundError(
        f"microphone {device.name!r} refuses int16 at {', '.join(tried)}: is another program using it? "
        "Else choose another with --device"
    )
