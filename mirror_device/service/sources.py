"""Sound for the daemon, and what it must know of it: where a stream begins anew, and when there is none.

A microphone that falls silent or goes away is opened again and again; after five seconds without sound the
daemon ends, for a supervisor to start it afresh: never deaf while it claims to listen.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mirror_device.capture import Block, Microphone, Report, stdin_blocks
from mirror_device.errors import SoundError
from mirror_device.portaudio import BACKENDS
from mirror_device.service.address import bound_socket
from mirror_device.service.config import Source
from mirror_device.stop import Stop
from mirror_device.wav import WavFile

MUTE_MICROPHONE_S = 1.0
"""A microphone that gives nothing for so long is opened again."""
GIVE_UP_S = 4.5
AGAIN_S = 0.25
STALE_S, KEPT_S = 1.0, 0.2
"""Sound that has waited longer than the first, as after a stall, is dropped but for the second."""


@dataclass(frozen=True)
class Gap:
    """The stream begins anew: what was heard before says nothing about what comes."""

    lost_s: float = 0.0


Sound = Block | Gap


def open_source(config: Source, stop: Stop, report: Report) -> Iterator[Sound]:
    """Blocks of 16 kHz mono int16 of any length.

    Raises SoundError, also while it is gone through.
    """
    if config.kind == "wav" and config.path is not None:
        return WavFile(config.path).blocks()
    if config.kind == "stdin":
        return stdin_blocks(stop, report)
    if config.kind == "socket" and config.address is not None:
        return _socket_blocks(*bound_socket(config.address), stop, report)
    if config.kind == "none":
        return _nothing(stop)
    backend = BACKENDS[config.kind]
    return microphone_blocks(lambda: Microphone(backend(), config.device, report), stop, report)


def microphone_blocks(
    open_microphone: Callable[[], Microphone], stop: Stop, report: Report
) -> Iterator[Sound]:
    """A microphone's sound, the microphone being opened again where it fails.

    Raises SoundError: it could not be opened at the start, or has given nothing for five seconds.
    """
    microphone = open_microphone()
    while True:
        heard_s = time.monotonic()
        try:
            for block in microphone.blocks(stop, MUTE_MICROPHONE_S):
                heard_s = time.monotonic()
                lost_s = microphone.skip_stale(STALE_S, KEPT_S)
                if lost_s:
                    report(f"{lost_s:.1f} s of sound dropped: it had waited too long, as after a stall")
                    yield Gap(lost_s)
                    continue
                yield block
            return
        except SoundError as error:
            report(f"{error}; opening it again")
            microphone = _opened_again(open_microphone, stop, heard_s + GIVE_UP_S, error)
            report(f"listening again, to {microphone.name!r}")
            yield Gap(time.monotonic() - heard_s)


def _opened_again(
    open_microphone: Callable[[], Microphone], stop: Stop, until_s: float, error: SoundError
) -> Microphone:
    while not stop.requested:
        try:
            return open_microphone()
        except SoundError as again:
            error = again
        if time.monotonic() > until_s:
            break
        time.sleep(AGAIN_S)
    raise error


def _nothing(stop: Stop) -> Iterator[Sound]:
    """No sound, until a stop is asked for."""
    select.select([stop.fileno()], [], [])
    yield from ()


def _socket_blocks(listener: socket.socket, path: Path | None, stop: Stop, report: Report) -> Iterator[Sound]:
    """Raw int16 16 kHz mono from one client after the other; those that come meanwhile wait their turn."""
    try:
        while not stop.requested:
            readable, _, _ = select.select([listener.fileno(), stop.fileno()], [], [])
            if stop.fileno() in readable:
                return
            with contextlib.suppress(BlockingIOError):
                client, _ = listener.accept()
                yield Gap()
                with client, contextlib.suppress(SoundError):  # one that breaks off makes room for the next
                    yield from stdin_blocks(stop, report, client.fileno())
    finally:
        listener.close()
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()
