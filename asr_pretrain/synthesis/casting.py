"""Who says what in the synthetic corpus: each recording's text, voice and chance, then its sound and row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr_pretrain.augment.procedural import draw_noise
from asr_pretrain.augment.procedural import synthesize as synthesize_noise
from asr_pretrain.synthesis.texts import WAKE_PHRASES, draw_foreign, draw_sentence, near_misses
from asr_pretrain.synthesis.vocal import MARGIN_S, SAMPLE_RATE_HZ
from asr_pretrain.synthesis.voices import ENGLISH_ACCENTS, Voice, draw_voice, speak, variants
from data_splits.audio import pcm_sha256

PARTS = ("train", "dev", "test")
_NOISE_S = 20.0
_NOISE_DBFS = -26.0


@dataclass(frozen=True)
class Counts:
    """Recordings of one part. `takes` are of the first wake phrase, `other_takes` of the others together."""

    voices: int
    takes: int
    other_takes: int
    near_misses: int
    sentences: int
    foreign: int
    noises: int


SIZES: dict[str, dict[str, Counts]] = {
    "demo": {
        "train": Counts(40, 300, 160, 60, 1500, 120, 20),
        "dev": Counts(8, 40, 32, 0, 150, 30, 5),
        "test": Counts(8, 40, 32, 0, 150, 30, 5),
    },
    "training": {"train": Counts(800, 5000, 1500, 3000, 10000, 1500, 30)},
    "tiny": {
        "train": Counts(4, 6, 4, 6, 12, 4, 1),
        "dev": Counts(2, 3, 4, 3, 3, 2, 1),
        "test": Counts(2, 3, 4, 3, 3, 2, 1),
    },
}


@dataclass(frozen=True)
class Task:
    """One recording to make. `voice` is None for noise; `language` is None where nobody speaks."""

    part: str
    group: str
    index: int
    seed: int
    text: str = ""
    language: str | None = None
    voice: Voice | None = None

    @property
    def name(self) -> str:
        """Path below the corpus, without suffix."""
        return f"{self.part}/{self.group}-{self.index:05d}"

    def rng(self, purpose: int) -> np.random.Generator:
        """Each recording has its own chance, so a change to one leaves the others as they were."""
        return np.random.default_rng(
            [self.seed, 1 + PARTS.index(self.part), GROUPS.index(self.group), self.index, purpose]
        )


GROUPS = ("takes", "other_takes", "near_misses", "sentences", "foreign", "noises")


def _cast(seed: int) -> dict[str, tuple[str, ...]]:
    """Variants of each part: about 6 of 10 for train, 2 for dev, 2 for test, never shared."""
    shuffled = np.random.default_rng([seed, 0]).permutation(np.array(variants())).tolist()
    fifth = len(shuffled) // 5
    return {
        "train": tuple(shuffled[2 * fifth :]),
        "dev": tuple(shuffled[:fifth]),
        "test": tuple(shuffled[fifth : 2 * fifth]),
    }


def _voices(part: str, count: int, own: tuple[str, ...], seed: int, wide: bool) -> list[Voice]:
    """Distinct voices of a part, drawn from its own variants.

    Without `wide` they speak plainly, with accents of English and a grown-up's vocal tract: a model that
    trains for minutes on a few hundred takes learns nothing from the extremes that a long training needs.
    """
    accents = None if wide else ENGLISH_ACCENTS
    rng = np.random.default_rng([seed, 100 + PARTS.index(part)])
    order = rng.permutation(np.array(own)).tolist()
    drawn = [draw_voice(rng, accents, order[index % len(order)]) for index in range(count)]
    return drawn if wide else [plain(voice) for voice in drawn]


def plain(voice: Voice) -> Voice:
    """The same speaker without the extremes."""
    return dataclasses.replace(
        voice,
        rate_wpm=min(max(voice.rate_wpm, 130), 180),
        pitch=min(max(voice.pitch, 30), 70),
        word_gap=0,
        tract=min(max(voice.tract, 0.95), 1.08),
        jitter=min(voice.jitter, 0.01),
        breath_db=min(voice.breath_db, -40.0),
        equaliser_db=(0.0, 0.0, 0.0, 0.0, 0.0),
    )


def _text(task: Task) -> tuple[str, str | None]:
    """Text and language of a recording."""
    rng = task.rng(0)
    match task.group:
        case "takes":
            return WAKE_PHRASES[0], "en"
        case "other_takes":
            others = WAKE_PHRASES[1:]
            # The shift gives a voice, whose turn comes at a fixed interval, another word each time.
            return others[(task.index + task.index // len(others)) % len(others)], "en"
        case "near_misses":
            choices = near_misses(WAKE_PHRASES[0])
            return choices[int(rng.integers(len(choices)))], "en"
        case "sentences":
            return draw_sentence(rng), "en"
        case "foreign":
            return draw_foreign(rng)
        case _:
            return "", None


def tasks(size: str, seed: int) -> Iterator[Task]:
    """Every recording of a corpus, in the order they are made."""
    cast = _cast(seed)
    for part, counts in SIZES[size].items():
        voices = _voices(part, counts.voices, cast[part], seed, wide=size == "training")
        for group in GROUPS:
            for index in range(getattr(counts, group)):
                task = Task(part, group, index, seed)
                text, language = _text(task)
                voice = None
                if language == "en":
                    voice = voices[index % len(voices)]
                elif language is not None:
                    voice = dataclasses.replace(voices[index % len(voices)], accent=language)
                yield dataclasses.replace(task, text=text, language=language, voice=voice)


def _take(
    text: str, voice: Voice, rng: np.random.Generator, native: bool = False
) -> tuple[np.ndarray, float, float]:
    """One recording of a voice as people vary: tempo, pitch, distance, room noise, silence around.

    Returns int16 samples, and the start and end of the speech in seconds.
    """
    said = dataclasses.replace(
        voice,
        rate_wpm=int(np.clip(voice.rate_wpm * rng.uniform(0.85, 1.15), 80, 300)),
        pitch=int(np.clip(voice.pitch + rng.integers(-12, 13), 0, 99)),
        pitch_range=int(np.clip(voice.pitch_range + rng.integers(-15, 16), 0, 99)),
        seed=int(rng.integers(2**31)),
    )
    speech = speak(text, said, native=native).astype(np.float32) / 32768
    before, after = (rng.uniform(0.1, 0.5, 2) * SAMPLE_RATE_HZ).astype(int)
    samples = np.pad(speech * 10 ** (rng.uniform(-20, 0) / 20), (before, after))
    samples += 10 ** (rng.uniform(-75, -55) / 20) * rng.standard_normal(len(samples))
    start_s = before / SAMPLE_RATE_HZ + MARGIN_S
    end_s = (before + len(speech)) / SAMPLE_RATE_HZ - MARGIN_S
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16), start_s, end_s


def _noise(rng: np.random.Generator) -> tuple[np.ndarray, str]:
    parameters = draw_noise(rng)
    noise = synthesize_noise(parameters, int(_NOISE_S * SAMPLE_RATE_HZ))
    noise = noise * (10 ** (_NOISE_DBFS / 20) / max(float(np.sqrt(np.mean(noise**2))), 1e-9))
    return np.round(np.clip(noise, -1, 1) * 32767).astype(np.int16), parameters.kind


def make(task: Task, out: Path) -> dict[str, object]:
    """Make one recording, write it below `out`, and return its manifest row. Raises EspeakError, OSError."""
    row: dict[str, object] = {"kind": "noise", "noise_kind": None, "speaker": None, "text": None}
    row |= {"foreign_text": None, "language": task.language, "word_start_s": None, "word_end_s": None}
    if task.voice is None:
        samples, row["noise_kind"] = _noise(task.rng(1))
    else:
        foreign = task.language != "en"
        samples, start_s, end_s = _take(task.text, task.voice, task.rng(1), native=foreign)
        # A foreign sentence has no `text`: its phones are not English.
        row |= {"speaker": f"espeak-{task.voice.name}", "foreign_text" if foreign else "text": task.text}
        row["kind"] = "speech"
        if task.group in ("takes", "other_takes"):
            row |= {"kind": "keyword", "word_start_s": start_s, "word_end_s": end_s}
    soundfile.write(out / f"{task.name}.flac", samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    said = f" {task.text.lower()} "
    return row | {
        "id": f"synthetic-{task.name.replace('/', '-')}",
        "audio": f"{task.name}.flac",
        "duration_s": len(samples) / SAMPLE_RATE_HZ,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "domain": "general",
        "source": "synthetic",
        "labels": {phrase: int(f" {phrase} " in said) for phrase in WAKE_PHRASES},
        "split": task.part,
        "part": task.part,
        "licence": "CC0-1.0",
        "pcm_sha256": pcm_sha256(samples),
    }
