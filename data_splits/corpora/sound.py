"""The sound of an utterance: a whole file, a member of a tar, or a part of a long recording."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from data_splits.audio import SAMPLE_RATE_HZ, AudioError, read_audio, resample, to_int16
from data_splits.corpora.corpus import Utterance

MIN_S: Final = 0.1
DEFAULT_MAX_S: Final = 60.0


class Unusable(ValueError):
    """An utterance to leave out; the message is the reason that is counted."""


def decode(utterance: Utterance, max_s: float) -> np.ndarray:
    """Samples (n,) int16, 16 kHz mono.

    Raises:
        Unusable: the sound is empty, longer than `max_s`, or cannot be decoded.
    """
    try:
        if "::" in utterance.audio:
            return _member(utterance, max_s)
        if utterance.span is not None or utterance.channel is not None:
            return _part(utterance, max_s)
        n_samples, rate_hz = _header(utterance.audio)
        _check_length(n_samples, rate_hz, max_s)
        samples = read_audio(utterance.audio, "/", max_s=max_s)
        # Of a truncated MP3 the decoder gives what there is, of others the length is an estimate.
        if len(samples) < 0.9 * n_samples * SAMPLE_RATE_HZ / rate_hz:
            raise Unusable(f"damaged: {utterance.audio}: truncated; copy it again")
        return samples
    except (AudioError, soundfile.SoundFileError, OSError) as error:
        raise Unusable(f"damaged: {error}") from error


def measure(utterance: Utterance, max_s: float) -> tuple[float, int]:
    """Duration in seconds and sample rate of a whole recording, from its header. Raises as `decode`."""
    try:
        if "::" in utterance.audio:
            return len(_member(utterance, max_s)) / SAMPLE_RATE_HZ, SAMPLE_RATE_HZ
        n_samples, rate_hz = _header(utterance.audio)
    except (AudioError, soundfile.SoundFileError, OSError) as error:
        raise Unusable(f"damaged: {error}") from error
    _check_length(n_samples, rate_hz, max_s)
    return n_samples / rate_hz, rate_hz


def _header(audio: str) -> tuple[int, int]:
    if not Path(audio).stat().st_size:
        return 0, SAMPLE_RATE_HZ
    info = soundfile.info(audio)
    return info.frames, info.samplerate


def _check_length(n_samples: int, rate_hz: int, max_s: float) -> None:
    if n_samples < MIN_S * rate_hz:
        raise Unusable("empty" if n_samples <= 0 else f"shorter than {MIN_S:g} s")
    if n_samples > max_s * rate_hz:
        raise Unusable(f"longer than {max_s:g} s")


def _bounds(utterance: Utterance, n_samples: int, rate_hz: int, max_s: float) -> tuple[int, int]:
    """First sample of an utterance in its recording, and the one after its last."""
    span = utterance.span
    first, stop = 0, n_samples
    if span is not None:
        unit = 1 if span.in_samples else rate_hz
        first = round(span.start * unit)
        stop = n_samples if span.stop is None else min(n_samples, round(span.stop * unit))
    _check_length(stop - first, rate_hz, max_s)
    return first, stop


def _member(utterance: Utterance, max_s: float) -> np.ndarray:
    """Of a tar's member; it holds one cut, so that it is short enough to be decoded whole."""
    if utterance.channel is not None:
        raise Unusable("one of several channels in a tar")
    samples = read_audio(utterance.audio, "/")
    first, stop = _bounds(utterance, len(samples), SAMPLE_RATE_HZ, max_s)
    return samples[first:stop]


def _part(utterance: Utterance, max_s: float) -> np.ndarray:
    """Some seconds of a recording, of one channel; only these are decoded, however long it is."""
    source, channel = utterance.audio, utterance.channel
    with soundfile.SoundFile(source) as file:
        first, stop = _bounds(utterance, file.frames, file.samplerate, max_s)
        file.seek(first)
        samples = file.read(stop - first, dtype="float64", always_2d=True)
        if len(samples) < stop - first or not np.isfinite(samples).all():
            raise AudioError(
                f"{source}: samples {first} to {stop} are truncated or not finite; copy it again"
            )
        if channel is not None and channel >= samples.shape[1]:
            raise AudioError(f"{source}: has {samples.shape[1]} channels, no channel {channel}")
        mono = samples.mean(axis=1) if channel is None else samples[:, channel]
        return to_int16(resample(np.clip(mono, -1e3, 1e3), file.samplerate))
