"""Reading recorded audio: any supported file or tar member as 16 kHz mono int16, or a clear error."""

from __future__ import annotations

import hashlib
import io
import os
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from scipy.signal import resample_poly

from data_splits.containers import truncation
from data_splits.errors import AudioError, ShardError
from data_splits.members import open_shard

__all__ = [
    "SAMPLE_RATE_HZ",
    "AudioError",
    "Recording",
    "ShardError",
    "pcm_sha256",
    "read_audio",
    "read_recording",
    "resample",
    "resolve",
    "to_int16",
]

SAMPLE_RATE_HZ = 16_000
DEFAULT_MAX_S = 600.0
# Below 8 kHz half the phones are gone; above 192 kHz a header is more likely damaged than true.
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 8_000, 192_000
MAX_CHANNELS = 8
FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3")


class Recording(NamedTuple):
    """One decoded recording, and what its file was."""

    samples: np.ndarray
    """int16, shape (n,), 16 kHz, n > 0."""
    rate_hz: int
    channels: int


def read_audio(reference: str, root: str | Path, *, max_s: float = DEFAULT_MAX_S) -> np.ndarray:
    """The samples of `read_recording`: int16, shape (n,), 16 kHz, n > 0."""
    return read_recording(reference, root, max_s=max_s).samples


def read_recording(reference: str, root: str | Path, *, max_s: float = DEFAULT_MAX_S) -> Recording:
    """Decode one recording.

    Other rates are resampled with a low-pass (`scipy.signal.resample_poly`, Kaiser window), channels are
    averaged, and float samples are clipped to int16, never wrapped.

    Args:
        reference: `file.wav`, `file.flac`, `file.opus`, `file.mp3`, or `shard.tar::member`.
        root: the folder that relative references start from; they may not leave it.
        max_s: refuse anything longer, before it is decoded.

    Raises:
        AudioError: missing, empty, truncated, too long or not audio; NaN or infinite samples; a rate or a
            channel count out of range; a path that leaves `root`. Its subclass ShardError: a tar that is
            missing, truncated or without that member.
    """
    data = _read_bytes(reference, Path(root), max_bytes=_max_bytes(max_s))
    if not data:
        raise AudioError(f"{reference}: the file is empty; record or copy it again")
    cut = truncation(data)
    if cut is not None:
        raise AudioError(f"{reference}: truncated: {cut}; copy it again")
    samples, rate_hz = _decode(data, reference, max_s)
    channels = samples.shape[1]
    if samples.dtype == np.int16:
        mono = samples[:, 0]
        if rate_hz == SAMPLE_RATE_HZ:
            return Recording(np.ascontiguousarray(mono), rate_hz, channels)
        return Recording(to_int16(resample(mono / 32768.0, rate_hz)), rate_hz, channels)
    if not np.isfinite(samples).all():
        n_bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise AudioError(f"{reference}: {n_bad} samples are NaN or infinite; export it again")
    # Beyond this a sample clips anyway, and the resampler stays finite whatever a float file holds.
    mono = np.clip(samples, -1e3, 1e3).mean(axis=1)
    return Recording(to_int16(resample(mono, rate_hz)), rate_hz, channels)


def resample(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Float samples (n,) at `rate_hz` to 16 kHz, low-passed below the lower of the two Nyquist rates."""
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    common = gcd(rate_hz, SAMPLE_RATE_HZ)
    return resample_poly(samples, SAMPLE_RATE_HZ // common, rate_hz // common)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Float samples in [-1, 1] to int16: rounded, and clipped so that +1.0 is 32767 and never -32768."""
    return np.clip(np.rint(np.asarray(samples, dtype=np.float64) * 32768.0), -32768, 32767).astype(np.int16)


def pcm_sha256(samples: np.ndarray) -> str:
    """The manifest's `pcm_sha256`: hex SHA-256 of 16 kHz mono little-endian int16 samples."""
    return hashlib.sha256(np.ascontiguousarray(samples, dtype="<i2").tobytes()).hexdigest()


def resolve(reference: str, root: Path) -> tuple[Path, str | None]:
    """A reference's file and, inside a tar, its member.

    The check is of the path as written: a link that the owner of `root` put inside it is followed.

    Raises:
        AudioError: for an empty reference or a path that leaves `root` or its tar.
    """
    name, _, member = reference.partition("::")
    if not name or "\0" in reference or ("::" in reference and not member):
        raise AudioError(f"{reference!r}: not a file, nor shard.tar::member")
    if not name.startswith("/") and _climbs(name):
        raise AudioError(f"{reference}: a relative path may not leave {root}")
    if member.startswith("/") or _climbs(member):
        raise AudioError(f"{reference}: a member's path is relative and stays inside its tar")
    return root / name, member or None


def _climbs(path: str) -> bool:
    return ".." in path and os.path.normpath(path.replace("\\", "/")).split("/")[0] == ".."


def _max_bytes(max_s: float) -> int:
    """Room for uncompressed float64 stereo at 192 kHz, headers aside; nothing real is larger."""
    return int(max_s * HIGHEST_RATE_HZ * 2 * 8) + (1 << 20)


def _read_bytes(reference: str, root: Path, max_bytes: int) -> bytes:
    path, member = resolve(reference, root)
    if member is not None:
        return open_shard(path).read(member, max_bytes=max_bytes)
    try:
        if not path.is_file():
            raise AudioError(f"{reference}: no such file under {root}")
        size = path.stat().st_size
        if size > max_bytes:
            raise AudioError(f"{reference}: {size} bytes, more than the {max_bytes} allowed; split it")
        with path.open("rb") as stream:
            data = stream.read(size)
    except OSError as error:
        raise AudioError(f"{reference}: not readable: {error}") from error
    if len(data) < size:
        raise AudioError(f"{reference}: truncated: {len(data)} of {size} bytes are there; copy it again")
    return data


def _decode(data: bytes, reference: str, max_s: float) -> tuple[np.ndarray, int]:
    """Samples (n, channels), int16 where the file is mono PCM 16 and float64 otherwise, and their rate."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            kind, rate_hz, channels, n_samples = file.format, file.samplerate, file.channels, file.frames
            if kind not in FORMATS:
                raise AudioError(f"{reference}: {kind} is not supported; give WAV, FLAC, Ogg Opus or MP3")
            if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
                raise AudioError(
                    f"{reference}: {rate_hz} Hz is outside {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}; resample it"
                )
            if channels > MAX_CHANNELS:
                raise AudioError(f"{reference}: {channels} channels; at most {MAX_CHANNELS} are averaged")
            if n_samples > max_s * rate_hz:
                raise AudioError(
                    f"{reference}: {n_samples / rate_hz:.0f} s is longer than {max_s:g} s; "
                    "split it or raise max_s"
                )
            exact = file.subtype == "PCM_16" and channels == 1
            samples = file.read(dtype="int16" if exact else "float64", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{reference}: not audio, or damaged: {error}") from error
    # An MP3 without a Xing header has no length of its own: the decoder estimates it.
    if len(samples) < n_samples and kind != "MP3":
        raise AudioError(f"{reference}: truncated: {len(samples)} of {n_samples} samples; copy it again")
    if len(samples) == 0:
        raise AudioError(f"{reference}: holds no samples; record it again")
    return samples, rate_hz
