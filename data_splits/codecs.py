"""Utterances as FLAC or Ogg Opus, the same bytes for the same samples each time."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
import soundfile

from data_splits.audio import SAMPLE_RATE_HZ

# About 36 kbit/s for one voice: an eighth of 16-bit PCM, and transparent at 8 kHz of bandwidth.
_OPUS_COMPRESSION: Final = 0.88
_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_OGG_SERIAL, _OGG_CHECKSUM = slice(14, 18), slice(22, 26)


def encode_flac(samples: np.ndarray) -> bytes:
    """int16 samples (n,) at 16 kHz, without loss."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def encode_opus(samples: np.ndarray) -> bytes:
    """int16 samples (n,) at 16 kHz as Ogg Opus; what is decoded again has n samples, but others."""
    stream = io.BytesIO()
    soundfile.write(
        stream,
        samples,
        SAMPLE_RATE_HZ,
        format="OGG",
        subtype="OPUS",
        compression_level=_OPUS_COMPRESSION,
    )
    return _without_serial(stream.getvalue())


def decode(data: bytes) -> np.ndarray:
    """What `encode_opus` left of the samples: int16 (n,)."""
    samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    return samples


CODECS: Final[dict[str, tuple[str, Callable[[np.ndarray], bytes]]]] = {
    "flac": ("flac", encode_flac),
    "opus": ("opus", encode_opus),
}
"""Suffix and encoder by name."""


def _without_serial(data: bytes) -> bytes:
    """Ogg pages with serial number 0: libsndfile draws one from the clock."""
    pages, at = [], 0
    while at < len(data):
        n_segments = data[at + 26]
        end = at + 27 + n_segments + sum(data[at + 27 : at + 27 + n_segments])
        page = bytearray(data[at:end])
        page[_OGG_SERIAL] = page[_OGG_CHECKSUM] = bytes(4)
        page[_OGG_CHECKSUM] = struct.pack("<I", _ogg_checksum(bytes(page)))
        pages.append(bytes(page))
        at = end
    return b"".join(pages)


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 of RFC 3533 §6: zlib's polynomial from the other end, without its inversions."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
