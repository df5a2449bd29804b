"""Takes of the wake word in voices that nobody recorded: real articulation, another body.

wakeword voices recordings.parquet --phrase "smart mirror" --per-take 40 --out voices

WORLD (Morise et al., IEICE 2016) parts a take into pitch, envelope and breath. A voice is drawn: how high and
how lively it speaks, how long its tract is and how throat and mouth share that length, how its vowels
lie, its pace syllable by syllable, its tilt and breath. A new take names its parent: splits hold.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import types
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from asr_pretrain.loading.transcripts import read_rows
from asr_pretrain.training.recipe import RecipeError
from data_splits.audio import pcm_sha256, read_audio, to_int16
from data_splits.manifest import write_manifest
from wakeword.spans import tight_span

SAMPLE_RATE_HZ = 16000
FRAME_MS = 5.0
SOURCE = "transformed"
MARGIN_S = 0.25
"""Kept before and after the word."""
_PITCH_HZ = (75.0, 380.0)
"""Where people's mean pitch lies, from low men to small children."""


@dataclass(frozen=True)
class VoiceChange:
    """One pseudo-voice, relative to the voice of the take."""

    seed: int
    pitch_ratio: float
    pitch_range: float
    """Liveliness: the deviation of log pitch from its mean is multiplied by it."""
    warp_low: float
    """Formants below 1.2 kHz move by this factor, those above 3 kHz by `warp_high`."""
    warp_high: float
    vowel_drift: float
    """Depth of a slow wander of the formants: other vowels, an accent."""
    tilt_db_per_octave: float
    equaliser_db: tuple[float, ...]
    breath: float
    """Exponent of the aperiodicity: below 1 breathier, above 1 clearer."""
    whispered: bool
    pace: tuple[float, ...]
    """Durations of as many equal parts of the take, by factor."""


def draw_voice(rng: np.random.Generator, mean_pitch_hz: float) -> VoiceChange:
    """Draw a voice whose pitch is one that people have."""
    target_hz = float(np.exp(rng.uniform(*np.log(_PITCH_HZ))))
    ratio = float(np.clip(target_hz / max(mean_pitch_hz, 50.0), 0.5, 2.2))
    # A higher voice mostly has a shorter tract; the rest is chance.
    length = float(np.exp(0.22 * np.log(ratio) + rng.normal(0, 0.07)))
    return VoiceChange(
        seed=int(rng.integers(2**62)),
        pitch_ratio=ratio,
        pitch_range=float(np.exp(rng.uniform(np.log(0.5), np.log(1.7)))),
        warp_low=float(np.clip(length * np.exp(rng.normal(0, 0.05)), 0.78, 1.3)),
        warp_high=float(np.clip(length * np.exp(rng.normal(0, 0.04)), 0.8, 1.25)),
        vowel_drift=float(abs(rng.normal(0, 0.05))),
        tilt_db_per_octave=float(rng.normal(0, 1.5)),
        equaliser_db=tuple(float(v) for v in rng.normal(0, 2.5, 6)),
        breath=float(np.exp(rng.normal(0, 0.4))),
        whispered=bool(rng.random() < 0.03),
        pace=tuple(float(v) for v in np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.13, 4))),
    )


@dataclass(frozen=True)
class Analysed:
    """A take in WORLD's parts, frame by frame."""

    pitch_hz: np.ndarray
    envelope: np.ndarray
    aperiodicity: np.ndarray

    @property
    def mean_pitch_hz(self) -> float:
        voiced = self.pitch_hz[self.pitch_hz > 0]
        return float(np.exp(np.log(voiced).mean())) if voiced.size else 150.0


def analyse(samples: np.ndarray) -> Analysed:
    """WORLD's analysis of int16 samples (n,)."""
    world = _world()
    x = samples.astype(np.float64) / 32768
    coarse, times = world.dio(x, SAMPLE_RATE_HZ, frame_period=FRAME_MS)
    pitch = world.stonemask(x, coarse, times, SAMPLE_RATE_HZ)
    return Analysed(
        pitch,
        world.cheaptrick(x, pitch, times, SAMPLE_RATE_HZ),
        world.d4c(x, pitch, times, SAMPLE_RATE_HZ),
    )


def speak(take: Analysed, voice: VoiceChange) -> np.ndarray:
    """The take in another voice, int16 (n,) with its peak where the envelope puts it."""
    world, rng = _world(), np.random.default_rng(voice.seed)
    at = _paced(len(take.pitch_hz), voice.pace)
    nearest = np.clip(np.rint(at).astype(np.int64), 0, len(take.pitch_hz) - 1)
    pitch, aperiodicity = take.pitch_hz[nearest], take.aperiodicity[nearest]
    log_envelope = _between(np.log(np.maximum(take.envelope, 1e-16)), at)
    voiced = pitch > 0
    mean = np.log(take.mean_pitch_hz)
    lively = mean + (np.log(np.where(voiced, pitch, 1.0)) - mean) * voice.pitch_range
    new_pitch = np.where(voiced & (not voice.whispered), np.exp(lively) * voice.pitch_ratio, 0.0)
    new_pitch = np.where(new_pitch > 0, np.clip(new_pitch, 50.0, 700.0), 0.0)
    warped = _warped(log_envelope, voice, rng) + _colour(log_envelope.shape[1], voice)
    breathy = (
        np.clip(aperiodicity, 1e-6, 1.0) ** voice.breath
        if not voice.whispered
        else np.ones_like(aperiodicity)
    )
    made = world.synthesize(
        new_pitch,
        np.ascontiguousarray(np.exp(warped)),
        np.ascontiguousarray(np.clip(breathy, 0.001, 0.999)),
        SAMPLE_RATE_HZ,
        frame_period=FRAME_MS,
    )
    return to_int16((made * min(1.0, 0.98 / max(float(np.abs(made).max()), 1e-9))).astype(np.float32))


def _paced(n_frames: int, pace: tuple[float, ...]) -> np.ndarray:
    """Source positions of the new frames: each part of the take lasts its factor as long."""
    knots = np.linspace(0, n_frames - 1, len(pace) + 1)
    ends = np.concatenate([[0], np.cumsum(np.diff(knots) * np.array(pace))])
    return np.interp(np.arange(int(ends[-1]) + 1), ends, knots)


def _between(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    low = np.clip(np.floor(at).astype(np.int64), 0, len(rows) - 1)
    high = np.minimum(low + 1, len(rows) - 1)
    share = (at - low)[:, None]
    return rows[low] * (1 - share) + rows[high] * share


def _warped(log_envelope: np.ndarray, voice: VoiceChange, rng: np.random.Generator) -> np.ndarray:
    """Formants moved by a factor that goes from one value below 1.2 kHz to one above 3 kHz, and wanders."""
    n_frames, n_bins = log_envelope.shape
    hz = np.linspace(0, SAMPLE_RATE_HZ / 2, n_bins)
    share = np.clip((hz - 1200) / 1800, 0, 1)
    factor = voice.warp_low * (1 - share) + voice.warp_high * share
    knots = rng.normal(0, voice.vowel_drift, max(3, n_frames // 30 + 2))
    drift = np.interp(np.linspace(0, len(knots) - 1, n_frames), np.arange(len(knots)), knots)
    out = np.empty_like(log_envelope)
    for i in range(n_frames):
        moved = factor * np.exp(drift[i] * (1 - share))
        out[i] = np.interp(hz / moved, hz, log_envelope[i])
    return out


def _colour(n_bins: int, voice: VoiceChange) -> np.ndarray:
    """Tilt and equaliser as log power (n_bins,)."""
    hz = np.linspace(0, SAMPLE_RATE_HZ / 2, n_bins)
    octave = np.log2(np.clip(hz, 100, 8000) / 1000)
    bands = np.linspace(np.log2(0.15), np.log2(7.0), len(voice.equaliser_db))
    gain_db = voice.tilt_db_per_octave * octave + np.interp(octave, bands, voice.equaliser_db)
    return gain_db * np.log(10) / 10


def _world() -> Any:
    """pyworld; 0.3.5 asks for setuptools' pkg_resources only to learn its own version."""
    try:
        importlib.metadata.version("pyworld")
    except importlib.metadata.PackageNotFoundError as error:
        raise RecipeError("pyworld is not installed: pip install 'rearview-wakeword[voices]'") from error
    if "pkg_resources" not in sys.modules:
        try:
            import pkg_resources  # noqa: F401
        except ModuleNotFoundError:
            stand_in = types.ModuleType("pkg_resources")
            stand_in.get_distribution = importlib.metadata.distribution  # type: ignore[attr-defined]
            sys.modules["pkg_resources"] = stand_in
    import pyworld

    return pyworld


def make(manifest: Path, phrase: str, out: Path, per_take: int, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of the new takes of every train take of ``phrase``; writes their FLAC files.

    Raises RecipeError when there is no train take, AudioError, ManifestError.
    """
    import soundfile

    label = pl.col("labels").struct.field(phrase)
    takes = read_rows([manifest], lambda f: f.filter((pl.col("split") == "train") & (label == 1)))
    if not len(takes):
        raise RecipeError(f"{manifest}: no train row has label 1 for {phrase!r}")
    out.mkdir(parents=True, exist_ok=True)
    for row in takes.iter_rows(named=True):
        take = analyse(_around_the_word(read_audio(row["audio"], Path("/"))))
        rng = np.random.default_rng([seed, *row["id"].encode()])
        for number in range(per_take):
            voice = draw_voice(rng, take.mean_pitch_hz)
            samples = speak(take, voice)
            name = f"{row['id'].replace('/', '_')}-{number:03d}.flac"
            soundfile.write(out / name, samples, SAMPLE_RATE_HZ)
            yield {
                **{key: row[key] for key in ("text", "domain", "speaker", "labels", "split") if key in row},
                "id": f"{SOURCE}/{row['id']}/{number:03d}",
                "audio": name,
                "duration_s": len(samples) / SAMPLE_RATE_HZ,
                "sample_rate_hz": SAMPLE_RATE_HZ,
                "source": SOURCE,
                "clean_parent": row["id"],
                "pcm_sha256": pcm_sha256(samples),
                "licence": row.get("licence"),
                "voice": str(asdict(voice)["seed"]),
            }


def _around_the_word(samples: np.ndarray) -> np.ndarray:
    start, end = (int(t * SAMPLE_RATE_HZ) for t in tight_span(samples))
    margin = int(MARGIN_S * SAMPLE_RATE_HZ)
    return samples[max(0, start - margin) : end + margin]


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "voices",
        help="takes of the wake word in voices that nobody recorded",
        description=__doc__,
        epilog='example: wakeword voices recordings.parquet --phrase "smart mirror" --out voices',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", type=Path, help="recordings; their train takes are changed")
    parser.add_argument("--phrase", default="smart mirror", help="default: %(default)s")
    parser.add_argument("--per-take", type=int, default=40, help="voices a take (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder for the takes and recordings.parquet"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the voices")


def run(args: argparse.Namespace) -> int:
    from rich.progress import track

    if not 1 <= args.per_take <= 10_000:
        raise RecipeError(f"--per-take {args.per_take}: between 1 and 10,000")
    rows = make(args.manifest, args.phrase, args.out, args.per_take, args.seed)
    made = list(track(rows, "speaking", total=None, disable=not sys.stderr.isatty()))
    write_manifest(pl.DataFrame(made, infer_schema_length=None), args.out / "recordings.parquet")
    print(f"{len(made)} takes: {args.out / 'recordings.parquet'}")
    return 0
