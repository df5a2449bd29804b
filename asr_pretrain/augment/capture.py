"""What the device makes of what its microphone hears: its own hiss, automatic gain, clipping, a codec."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from asr_pretrain.augment.level import SAMPLE_RATE_HZ

Codec = Literal["ulaw", "ima-adpcm", "gsm", "opus", "mp3"]
CODECS: tuple[Codec, ...] = get_args(Codec)
_FORMATS: dict[Codec, tuple[str, str, float | None]] = {
    "ulaw": ("WAV", "ULAW", None),
    "ima-adpcm": ("WAV", "IMA_ADPCM", None),
    "gsm": ("WAV", "GSM610", None),
    "opus": ("OGG", "OPUS", 0.97),
    "mp3": ("MP3", "MPEG_LAYER_III", 0.9),
}
"""libsndfile's container, encoding and compression: about 128, 64, 26, 13 and 24 kbit/s at 16 kHz."""
_FRAME_SAMPLES = 160


@dataclass(frozen=True)
class AutomaticGain:
    """A gain control: it brings what it hears to a level, quickly down and slowly up."""

    target_dbfs: float
    attack_s: float
    release_s: float
    most_db: float
    """Farthest that it turns up or down."""


def automatic_gain(x: np.ndarray, control: AutomaticGain) -> np.ndarray:
    """``x (n,)`` through a gain control that has heard its first 10 ms for ever; float32 ``(n,)``."""
    n = x.size
    frames = -(-n // _FRAME_SAMPLES)
    padded = np.zeros(frames * _FRAME_SAMPLES, dtype=np.float64)
    padded[:n] = x
    power = np.square(padded).reshape(frames, _FRAME_SAMPLES).mean(1)
    level_db = (10 * np.log10(power + 1e-9)).tolist()
    frame_s = _FRAME_SAMPLES / SAMPLE_RATE_HZ
    attack, release = (1 - math.exp(-frame_s / t) for t in (control.attack_s, control.release_s))
    heard = level_db[0]
    gains = np.empty(frames + 1)
    for i, level in enumerate(level_db):
        gains[i] = min(max(control.target_dbfs - heard, -control.most_db), control.most_db)
        heard += (attack if level > heard else release) * (level - heard)
    gains[frames] = gains[frames - 1]
    at = np.arange(n) / _FRAME_SAMPLES
    return (x * 10 ** (np.interp(at, np.arange(frames + 1), gains) / 20)).astype(np.float32)


def through_codec(x: np.ndarray, codec: Codec) -> np.ndarray:
    """``x (n,)`` in [-1, 1] through an encoder and its decoder: float32 ``(n,)``, not shifted in time."""
    import soundfile

    container, subtype, level = _FORMATS[codec]
    file = io.BytesIO()
    extra = {} if level is None else {"compression_level": level}
    pcm = np.clip(x, -1.0, 32767 / 32768)
    soundfile.write(file, pcm, SAMPLE_RATE_HZ, format=container, subtype=subtype, **extra)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    out = np.zeros(x.size, dtype=np.float32)
    kept = min(x.size, decoded.size)
    out[:kept] = decoded[:kept]
    return out
