"""The JSON object a device model carries under the metadata key ``rearview``, read and checked by hand.

By hand because the device has no pydantic. Unknown keys are kept: a newer trainer may record more.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from mirror_device.errors import ModelError
from mirror_device.logmel import STEP_SAMPLES, frontend_constants

METADATA_KEY = "rearview"
FORMAT = "rearview-wakeword/1"
MAX_SMOOTHING_STEPS = 100
MAX_REFRACTORY_S = 600.0
MAX_KEYWORDS = 64


@dataclass(frozen=True)
class Keyword:
    """One wake word of a model, in the order of its score columns."""

    phrase: str
    threshold: float
    """The smoothed score, in [0, 1], from which it fires."""
    fa_per_hour: float | None
    """False accepts an hour that the threshold was tuned for; None where the file does not say."""


@dataclass(frozen=True)
class ModelMetadata:
    """The checked part of the metadata, and all of it in ``raw``."""

    name: str
    version: str
    keywords: tuple[Keyword, ...]
    smoothing_steps: int
    refractory_s: float
    raw: dict[str, Any]


class _Reader:
    """Typed access to a JSON object whose errors name the file, the key and the value."""

    def __init__(self, file: str, fields: Any, where: str) -> None:
        self.file, self.where = file, where
        if not isinstance(fields, dict):
            raise self.error(f"is {_brief(fields)}, not an object")
        self.fields: dict[str, Any] = fields

    def error(self, problem: str) -> ModelError:
        return ModelError(
            f"{self.file}: metadata {self.where} {problem}: the file is damaged or another program's; "
            "export it again with 'wakeword quantize'"
        )

    def text(self, key: str) -> str:
        value = self.fields.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"has {key} = {_brief(value)}, not a text")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        value = self.fields.get(key)
        # bool is an int in Python, and json reads NaN and Infinity
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.error(f"has {key} = {_brief(value)}, not a number from {low:g} to {high:g}")
        return float(value)

    def integer(self, key: str, low: int, high: int) -> int:
        value = self.fields.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(f"has {key} = {_brief(value)}, not a whole number from {low} to {high}")
        return value


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def parse_metadata(file: str, text: str | None) -> ModelMetadata:
    """Check the metadata of a model file.

    Args:
        file: the file's name, for messages.
        text: the JSON under the key ``rearview``, None where the key is absent.

    Raises:
        ModelError: absent, not JSON, of another format, or a field of a wrong type or range.
    """
    if text is None:
        raise ModelError(
            f"{file}: an ONNX file without the metadata key {METADATA_KEY!r}, so not a wake-word model of "
            "this project: give a file that 'wakeword quantize' wrote"
        )
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ModelError(
            f"{file}: metadata {METADATA_KEY!r} is not JSON ({exc}): export it again with 'wakeword quantize'"
        ) from exc
    root = _Reader(file, fields, METADATA_KEY)
    if root.text("format") != FORMAT:
        raise ModelError(
            f"{file}: model format {_brief(root.fields['format'])}, but this version reads {FORMAT!r}: "
            "install the matching rearview-wakeword, or export the model again"
        )
    root.integer("step_samples", STEP_SAMPLES, STEP_SAMPLES)
    if root.fields.get("frontend") != frontend_constants():
        found = _brief(root.fields.get("frontend"))
        raise root.error(f"has frontend = {found}, but this device computes {frontend_constants()}")
    words = root.fields.get("keywords")
    if not isinstance(words, list) or not 1 <= len(words) <= MAX_KEYWORDS:
        raise root.error(f"has keywords = {_brief(words)}, not a list of 1 to {MAX_KEYWORDS}")
    keywords = tuple(
        _keyword(_Reader(file, word, f"{METADATA_KEY}.keywords[{i}]")) for i, word in enumerate(words)
    )
    if len({keyword.phrase for keyword in keywords}) < len(keywords):
        raise root.error(f"has a phrase twice in keywords = {_brief(words)}")
    return ModelMetadata(
        name=root.text("name"),
        version=root.text("version"),
        keywords=keywords,
        smoothing_steps=root.integer("smoothing_steps", 1, MAX_SMOOTHING_STEPS),
        refractory_s=root.number("refractory_s", 0.0, MAX_REFRACTORY_S),
        raw=root.fields,
    )


def _keyword(reader: _Reader) -> Keyword:
    fa_per_hour = None
    if reader.fields.get("fa_per_hour") is not None:
        fa_per_hour = reader.number("fa_per_hour", 0.0, math.inf)
    return Keyword(reader.text("phrase"), reader.number("threshold", 0.0, 1.0), fa_per_hour)
