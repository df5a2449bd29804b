"""A streaming WAV reader: PCM of 8 to 32 bits and float, also in the extensible form.

Not the standard library's ``wave``: in Python 3.11 it knows neither float nor the extensible form that most
24-bit recorders write, and it returns a truncated file as if it were a short one.
Source: Microsoft, "Multiple Channel Audio Data and WAVE Files".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mirror_device.errors import SoundError
from mirror_device.resample import ToMono16k

BLOCK_FRAMES = 16000
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
ENDLESS_BYTES = (0, 0x7FFFFFFF, 0xFFFFFFFF)  # lengths that recorders write who cannot seek back
REMEDY = "convert it: ffmpeg -i IN -ac 1 -ar 16000 -c:a pcm_s16le OUT.wav"


class WavFile:
    """An opened WAV file.

    Raises:
        SoundError: missing, empty, truncated, not a WAV file, or of a format that is not read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as exc:
            raise SoundError(f"{path}: cannot be opened ({exc.strerror}): check the path") from exc
        try:
            self._read_header()
            self._convert = ToMono16k(self.rate_hz, self.channels)
        except SoundError as exc:
            self._file.close()
            raise SoundError(f"{path}: {exc}") from exc
        except (OSError, struct.error) as exc:
            self._file.close()
            raise SoundError(f"{path}: cannot be read as a WAV file ({exc}): {REMEDY}") from exc

    def _read_header(self) -> None:
        size_bytes = os.fstat(self._file.fileno()).st_size
        if size_bytes == 0:
            raise SoundError("the file is empty: record or copy it again")
        head = self._file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise SoundError(f"not a WAV file: {REMEDY}")
        form: tuple[int, ...] | None = None
        while True:
            chunk = self._file.read(8)
            if len(chunk) < 8:
                raise SoundError("the file ends before its sound: truncated; copy it again")
            kind, length = struct.unpack("<4sI", chunk)
            if kind == b"data":
                break
            body_start = self._file.tell()
            if kind == b"fmt ":
                form = _format(self._file.read(min(length, 40)))
            self._file.seek(body_start + length + length % 2)
        if form is None:
            raise SoundError(f"no format before the sound: {REMEDY}")
        self._code, self.channels, self.rate_hz, self._bits = form
        self._frame_bytes = self.channels * self._bits // 8
        present_bytes = size_bytes - self._file.tell()
        self._data_bytes = present_bytes if length in ENDLESS_BYTES else length
        if self._data_bytes > present_bytes:
            promised_s, held_s = (n / self._frame_bytes / self.rate_hz for n in (length, present_bytes))
            raise SoundError(f"truncated: promises {promised_s:.2f} s, holds {held_s:.2f} s; copy it again")
        if self._data_bytes < self._frame_bytes:
            raise SoundError("the file holds no sound: record or copy it again")

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """The sound as 16 kHz mono int16, in blocks of at most one second; closes the file at the end.

        Raises:
            SoundError: NaN or infinity in a float file, or a read error.
        """
        with self._file:
            n_frames = self._data_bytes // self._frame_bytes
            for first in range(0, n_frames, BLOCK_FRAMES):
                wanted = min(BLOCK_FRAMES, n_frames - first) * self._frame_bytes
                try:
                    content = self._file.read(wanted)
                except OSError as exc:
                    raise SoundError(f"{self.path}: cannot be read ({exc.strerror}): copy it again") from exc
                if len(content) < wanted:
                    raise SoundError(f"{self.path}: became shorter while it was read: copy it again")
                frames = _decode(content, self._code, self._bits).reshape(-1, self.channels)
                if self._code == FLOAT and not np.isfinite(frames).all():
                    raise SoundError(
                        f"{self.path}: NaN or infinity near {first / self.rate_hz:.2f} s: "
                        "repair or export it again"
                    )
                yield self._convert.process(frames)
            yield self._convert.flush()


def _format(body: bytes) -> tuple[int, int, int, int]:
    """The fmt chunk: format code, channels, rate in Hz, bits a sample."""
    code, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    if code == EXTENSIBLE and len(body) >= 26:
        code = struct.unpack("<H", body[24:26])[0]  # the sub-format's GUID begins with the plain code
    if (code, bits) not in {(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)}:
        raise SoundError(f"WAV format {code} with {bits} bits is not read: {REMEDY}")
    if rate_hz == 0:
        raise SoundError(f"a sample rate of 0 Hz: {REMEDY}")
    if channels == 0 or frame_bytes != channels * bits // 8:
        raise SoundError(f"{channels} channels of {bits} bits in frames of {frame_bytes} bytes: {REMEDY}")
    return code, channels, rate_hz, bits


def _decode(content: bytes, code: int, bits: int) -> NDArray[Any]:
    """Bytes to a flat array: int16 as it is, everything else float32 in int16 scale."""
    if code == FLOAT:
        with np.errstate(over="ignore"):  # becomes infinity, which is refused
            return np.frombuffer(content, f"<f{bits // 8}").astype(np.float32) * np.float32(32768.0)
    if bits == 16:
        return np.frombuffer(content, "<i2").astype(np.int16, copy=False)
    if bits == 8:  # the only unsigned one
        return (np.frombuffer(content, np.uint8).astype(np.float32) - 128.0) * np.float32(256.0)
    if bits == 32:
        return np.frombuffer(content, "<i4").astype(np.float32) * np.float32(2.0**-16)
    wide = np.zeros((len(content) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0].astype(np.float32) * np.float32(2.0**-16)
