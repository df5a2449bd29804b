"""An ONNX file's named arrays and its metadata, without a runtime: all that the int8 engine needs of it.

The file is a protocol buffer (https://protobuf.dev/programming-guides/encoding/); of its fields this reads,
by their numbers in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, the metadata of the model and the
initializers of its graph. What it does not know it passes over. Every length is checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_RANK = 8

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH, _MODEL_METADATA, _GRAPH_INITIALIZER = 7, 14, 5
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_DTYPES: dict[int, Any] = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 11: "<f8"}


class DamagedFile(ValueError):
    """Bytes that are no ONNX file; says at which byte."""


@dataclass(frozen=True)
class OnnxFile:
    """What was read."""

    metadata: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Initializers of a type and size that are understood, read-only; others are left out."""


def read_onnx(content: bytes) -> OnnxFile:
    """Raises DamagedFile."""
    file = OnnxFile()
    for number, value in _fields(content, 0, len(content)):
        if number == _MODEL_METADATA:
            entry = _texts(content, value)
            file.metadata[entry.get(_ENTRY_KEY, "")] = entry.get(_ENTRY_VALUE, "")
        elif number == _MODEL_GRAPH:
            for inner, part in _fields(content, *_span(value)):
                if inner == _GRAPH_INITIALIZER:
                    _read_tensor(content, _span(part), file.arrays)
    return file


def _read_tensor(content: bytes, span: tuple[int, int], arrays: dict[str, NDArray[Any]]) -> None:
    shape: list[int] = []
    kind, name, raw = 0, "", None
    for number, value in _fields(content, *span):
        if number == _TENSOR_DIMS and isinstance(value, int):
            shape.append(value)
        elif number == _TENSOR_DIMS:  # packed
            at, end = _span(value)
            while at < end:
                size, at = _varint(content, at, end)
                shape.append(size)
        elif number == _TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == _TENSOR_NAME:
            name = _text(content, _span(value))
        elif number == _TENSOR_RAW:
            raw = _span(value)
        if len(shape) > MAX_RANK:
            raise DamagedFile(f"an array of more than {MAX_RANK} dimensions before byte {span[1]}")
    if raw is None or kind not in _DTYPES:
        return
    dtype = np.dtype(_DTYPES[kind])
    if math.prod(shape) * dtype.itemsize != raw[1] - raw[0]:
        raise DamagedFile(f"array {name!r} of shape {shape} has {raw[1] - raw[0]} bytes")
    arrays[name] = np.frombuffer(content, dtype, math.prod(shape), raw[0]).reshape(shape)


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """Number and value of each field between two bytes: a whole number, or the span of its bytes."""
    while at < end:
        key, at = _varint(content, at, end)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(content, at, end)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(content, at, end)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise DamagedFile(f"byte {at}: a field of kind {kind}")
        if length > end - at:
            raise DamagedFile(f"byte {at}: a field of {length} bytes where {end - at} are left")
        yield number, (at, at + length)
        at += length


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise DamagedFile(f"byte {at}: a number that does not end")


def _span(value: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(value, int):
        raise DamagedFile(f"a number {value} where bytes are expected")
    return value


def _text(content: bytes, span: tuple[int, int]) -> str:
    try:
        return content[span[0] : span[1]].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedFile(f"byte {span[0]}: a text that is not UTF-8") from error


def _texts(content: bytes, value: int | tuple[int, int]) -> dict[int, str]:
    return {number: _text(content, _span(part)) for number, part in _fields(content, *_span(value))}
