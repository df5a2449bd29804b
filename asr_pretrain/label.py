"""Texts for recordings that have none, by pocketsphinx: voices that could not be learnt from otherwise.

asr-pretrain label recordings.parquet --source "librispeech train-clean-100" --out labelled.parquet

The texts hold errors, so such rows are for pretraining only. Resumes: what was read stands in a JSONL file
beside the manifest. Needs the `label` extra.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from asr_pretrain.loading.transcripts import read_rows
from asr_pretrain.phonemes import PhonemeError, to_phones
from asr_pretrain.training.recipe import RecipeError
from data_splits.audio import read_audio
from data_splits.manifest import write_manifest

PHONES_PER_S = (5.0, 20.0)
"""Of speech; a text that would be slower or faster was misheard."""
TEXT_KIND = "read by pocketsphinx"


@cache
def _decoder() -> Any:
    from pocketsphinx import Decoder

    return Decoder(loglevel="FATAL", samprate=16000)


def read_text(audio: str) -> str:
    """What pocketsphinx hears in a recording, "" for nothing. Raises AudioError."""
    samples = read_audio(audio, Path("/"))
    decoder = _decoder()
    decoder.start_utt()
    decoder.process_raw(samples.astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return str(hypothesis.hypstr) if hypothesis else ""


def plausible(text: str, duration_s: float) -> bool:
    """Whether somebody could have said ``text`` in that time."""
    try:
        rate = len(to_phones(text)) / duration_s
    except PhonemeError:
        return False
    return PHONES_PER_S[0] <= rate <= PHONES_PER_S[1]


def label(manifest: Path, sources: list[str], out: Path, jobs: int) -> tuple[int, int]:
    """Writes the train rows of ``sources`` without a text, with one; returns how many, and of how many.

    Raises RecipeError when there are no such rows, AudioError, ManifestError.
    """
    wanted = (
        (pl.col("split") == "train")
        & pl.col("text").is_null()
        & pl.col("noise_kind").is_null()
        & pl.col("source").is_in(sources)
    )
    rows = read_rows([manifest], lambda f: f.filter(wanted))
    if not len(rows):
        raise RecipeError(f"{manifest}: no train row of {', '.join(sources)} is without a text")
    kept = out.with_suffix(".jsonl")
    known = dict(_read(kept))
    missing = [(i, a) for i, a in rows.select("id", "audio").iter_rows() if i not in known]
    out.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as file, ProcessPoolExecutor(jobs) as pool:
        heard = pool.map(read_text, [audio for _, audio in missing])
        for (identifier, _), text in zip(missing, _progress(heard, len(missing)), strict=True):
            known[identifier] = text
            file.write(json.dumps({"id": identifier, "text": text}) + "\n")
            file.flush()
    texts = pl.Series("text", [known[identifier] for identifier in rows["id"].to_list()])
    rows = rows.with_columns(texts, pl.lit(TEXT_KIND).alias("text_kind"))
    good = [plausible(text, s) for text, s in rows.select("text", "duration_s").iter_rows()]
    write_manifest(rows.filter(pl.Series(good)), out)
    return sum(good), len(rows)


def _read(path: Path) -> Iterator[tuple[str, str]]:
    if path.exists():
        text = path.read_text(encoding="utf-8")
        for line in text[: text.rfind("\n") + 1].splitlines():
            row = json.loads(line)
            yield row["id"], row["text"]


def _progress(items: Any, total: int) -> Any:
    from rich.progress import track

    return track(items, "listening", total=total, disable=not sys.stderr.isatty())


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "label",
        help="texts for recordings that have none, by pocketsphinx",
        description=__doc__,
        epilog='example: asr-pretrain label recordings.parquet --source "librispeech train-clean-100" '
        "--out labelled.parquet",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", type=Path, help="recordings")
    parser.add_argument("--source", action="append", required=True, help="only these (repeatable)")
    parser.add_argument("--out", type=Path, required=True, help="manifest of the rows with their texts")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    try:
        import pocketsphinx  # noqa: F401
    except ModuleNotFoundError as error:
        raise RecipeError("pocketsphinx is not installed: pip install 'rearview-wakeword[label]'") from error
    labelled, of = label(args.manifest, args.source, args.out, args.jobs)
    print(f"{labelled} of {of} recordings have a text now: {args.out}")
    return 0
