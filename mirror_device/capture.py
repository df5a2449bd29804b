"""Where sound comes from: a WAV file, standard input, or a microphone, all as blocks of 16 kHz mono int16."""

from __future__ import annotations

import os
import queue
import select
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mirror_device.errors import SoundError
from mirror_device.logmel import STEP_SAMPLES
from mirror_device.portaudio import Backend, open_stream
from mirror_device.resample import ToMono16k
from mirror_device.stop import Stop

Block = NDArray[np.int16]
Report = Callable[[str], None]

READ_BYTES = 65536
QUEUE_BLOCKS = 100  # 4 s: longer than any pause of a healthy machine
LOOK_S = 0.1  # how often a waiting loop looks at the stop flag
DEAF_S = 5.0


def stdin_blocks(stop: Stop, report: Report, fd: int = 0) -> Iterator[Block]:
    """Raw int16 little-endian 16 kHz mono from a file descriptor, as soon as it comes, until its end.

    Args:
        stop: ends the reading, also while it waits.
        report: called with a warning when the stream ends inside a sample.
        fd: the descriptor, standard input's by default.

    Raises:
        SoundError: the descriptor cannot be read.
    """
    half_sample = b""
    while not stop.requested:
        try:
            readable, _, _ = select.select([fd, stop.fileno()], [], [])
            if stop.fileno() in readable:
                return
            content = os.read(fd, READ_BYTES)
        except OSError as exc:
            raise SoundError(
                f"standard input: {exc.strerror}: pipe raw int16 16 kHz mono sound into it"
            ) from exc
        if not content:
            break
        content = half_sample + content
        whole_bytes = len(content) // 2 * 2
        half_sample = content[whole_bytes:]
        yield np.frombuffer(content, "<i2", count=whole_bytes // 2).astype(np.int16, copy=False)
    if half_sample:
        report("standard input ended inside a sample: is it raw 16-bit sound? The last byte is not used")


class Microphone:
    """A live microphone: PortAudio's thread fills a bounded queue, `blocks` empties it.

    A full queue loses the newest sound rather than stop the recording; what is lost is counted and reported.
    Detection times count the sound that was heard.

    Args:
        backend: `portaudio.Sounddevice` or `portaudio.PyAudio`.
        device: index, part of the name, or None for the default input.
        report: called with a warning when sound was lost.

    Raises:
        SoundError: no such microphone, or it cannot be opened.
    """

    def __init__(self, backend: Backend, device: str | None, report: Report) -> None:
        self._report = report
        self._queue: queue.Queue[bytes] = queue.Queue(QUEUE_BLOCKS)
        self.lost_blocks = 0
        self.overflows = 0
        self._reported = (0, 0)
        self._reported_at_s = 0.0
        self._stream = open_stream(backend, device, self._on_sound)
        self.name, self.rate_hz = self._stream.name, self._stream.rate_hz
        self._convert = ToMono16k(self._stream.rate_hz, self._stream.channels)

    def _on_sound(self, content: bytes, overflowed: bool) -> None:
        """Runs in PortAudio's thread: must neither wait nor raise."""
        self.overflows += overflowed
        try:
            self._queue.put_nowait(content)
        except queue.Full:
            self.lost_blocks += 1

    def skip_stale(self, most_s: float, keep_s: float) -> float:
        """Where more than ``most_s`` of sound waits, as after a stall, drop all but ``keep_s``.

        Returns the seconds that were dropped, which count as lost.
        """
        waiting = self._queue.qsize()
        if waiting * self._stream.block_s <= most_s:
            return 0.0
        dropped = 0
        while waiting - dropped > max(1, round(keep_s / self._stream.block_s)):
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
            dropped += 1
        self.lost_blocks += dropped
        return dropped * self._stream.block_s

    def blocks(self, stop: Stop, deaf_s: float = DEAF_S) -> Iterator[Block]:
        """Sound until a stop is asked for; closes the microphone at the end.

        Raises:
            SoundError: no sound for ``deaf_s``. A process that stays up but is deaf helps nobody; a
                supervisor restarts one that ended.
        """
        heard_s = time.monotonic()
        try:
            while not stop.requested:
                self._report_loss()
                try:
                    content = self._queue.get(timeout=LOOK_S)
                except queue.Empty:
                    if time.monotonic() - heard_s > deaf_s:
                        raise SoundError(
                            f"microphone {self.name!r} has given no sound for {deaf_s:.0f} s: "
                            "is it unplugged? See 'mirror-device devices', then start again"
                        ) from None
                    continue
                heard_s = time.monotonic()
                yield self._convert.process(
                    np.frombuffer(content, np.int16).reshape(-1, self._stream.channels)
                )
        finally:
            self._report_loss(at_once=True)
            self._stream.close()

    def _report_loss(self, at_once: bool = False) -> None:
        """At most one warning a second, however bad it gets."""
        counts = (self.lost_blocks, self.overflows)
        now_s = time.monotonic()
        if counts == self._reported or (now_s - self._reported_at_s < 1.0 and not at_once):
            return
        self._reported, self._reported_at_s = counts, now_s
        lost_s = self.lost_blocks * self._stream.block_s
        self._report(
            f"sound lost so far: {lost_s:.2f} s dropped because detection fell behind, "
            f"{self.overflows} overflows in the sound system"
        )


def warn(message: str) -> None:
    """A `Report` that writes to standard error."""
    print(f"warning: {message}", file=sys.stderr, flush=True)


def padding(pending_samples: int) -> Block:
    """Zeros that fill a step which has ``pending_samples`` already; none for an empty one."""
    return np.zeros(-pending_samples % STEP_SAMPLES, np.int16)
