"""Noticing a truncated file from its container, where the decoder would quietly return less audio."""

from __future__ import annotations

import struct

# Writers that stream to a pipe cannot go back to fill in the length: these mean "until the end".
_UNKNOWN_SIZES = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000)
_OGG_HEADER_BYTES = 27
_OGG_LAST_PAGE = 0x04


def truncation(data: bytes) -> str | None:
    """Why a WAV or Ogg file is cut short, or None; FLAC says so itself when it is decoded.

    Sources: Microsoft RIFF specification (chunk sizes); RFC 3533 §6 (page header, end-of-stream flag).
    """
    if data[:4] == b"RIFF":
        return _wav(data)
    if data[:4] == b"OggS":
        return _ogg(data)
    return None


def _wav(data: bytes) -> str | None:
    at = 12
    while at + 8 <= len(data):
        name = data[at : at + 4]
        (size,) = struct.unpack_from("<I", data, at + 4)
        there = len(data) - at - 8
        if name == b"data":
            if size not in _UNKNOWN_SIZES and size > there:
                return f"{there} of {size} bytes of samples are there"
            return None
        at += 8 + size + size % 2
    return "it ends before its samples"


def _ogg(data: bytes) -> str | None:
    last = data.rfind(b"OggS")
    if len(data) < last + _OGG_HEADER_BYTES:
        return "it ends inside a page header"
    n_segments = data[last + 26]
    lengths = data[last + _OGG_HEADER_BYTES : last + _OGG_HEADER_BYTES + n_segments]
    if len(data) < last + _OGG_HEADER_BYTES + n_segments + sum(lengths):
        return "it ends inside a page"
    if not data[last + 5] & _OGG_LAST_PAGE:
        return "its last page is missing"
    return None
