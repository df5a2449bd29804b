"""Hundreds of hours of speech from text: many synthesizers, many voices, in shards.

    asr-pretrain synthesize asr_pretrain/recipes/synthesize.yaml --out runs/synthetic

Writes `speech-00000.tar` … with their manifests, `recordings.parquet` (all of them) and `coverage.json`. A
second run goes on where the first stopped. Each shard follows from the recipe and its number alone, so that
any machine makes the same one: give each its own `--shards`, or all of them one Ray cluster and a shared
folder.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from asr_pretrain.synthesis.folder import (
    COVERAGE,
    MANIFEST,
    SynthesizeError,
    claim,
    locked,
    make_stamp,
    shard_path,
)
from asr_pretrain.synthesis.recipe import SynthesisRecipe

_LOG_EVERY_S = 30.0
Made = tuple[int, int, dict[str, int]]
"""A shard's number, its utterances (0 when it was there), and texts replaced, by reason."""


def synthesize(
    recipe: SynthesisRecipe,
    out: Path,
    shards: range | None = None,
    jobs: int = 1,
    ray: str | None = None,
    *,
    quiet: bool = False,
) -> Path:
    """Make the shards that are missing, then the manifest of all that are whole.

    Args:
        shards: those to make, all of the recipe's by default.
        jobs: processes on this machine.
        ray: address of a Ray cluster that makes them instead; every node sees `out` under the same path.

    Returns:
        The manifest's path.

    Raises:
        SynthesizeError: another corpus in the folder, a synthesizer or Ray that is missing.
        ShardError: the disk is full; whole shards stay.
    """
    stamp = make_stamp(recipe)
    claim(out, stamp)
    document = recipe.model_dump_json()
    wanted = list(shards if shards is not None else range(recipe.shards))
    work = functools.partial(make_one, document, sorted(stamp["engines"]), out)
    made = _over_ray(work, wanted, ray) if ray is not None else _over_processes(work, wanted, jobs)
    dropped: Counter[str] = Counter()
    for _, _, reasons in _progress(made, len(wanted), recipe.utterances_per_shard, quiet):
        dropped.update(reasons)
    if dropped and not quiet:
        reasons_text = ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common())
        print(f"texts replaced by others: {reasons_text}", file=sys.stderr)
    return finish(recipe, out, quiet=quiet)


def make_one(document: str, engines: list[str], out: Path, shard: int) -> Made:
    """Make one shard unless it is whole. Plain arguments: any process on any machine can do it."""
    from data_splits.shards import is_whole, write_shard

    path = shard_path(out, shard)
    if is_whole(path):
        return shard, 0, {}
    from asr_pretrain.synthesis.shard import utterances

    texts = _texts(document)
    shares = {name: texts.recipe.engines[name].share for name in texts.recipe.engines if name in engines}  # type: ignore[index]
    dropped: Counter[str] = Counter()
    with locked(path):
        frame = write_shard(path, utterances(texts, shares, shard, dropped), codec=texts.recipe.codec)
    return shard, frame.height, dict(dropped)


@functools.lru_cache(maxsize=2)
def _texts(document: str) -> Any:
    from asr_pretrain.synthesis.mixture import Texts

    return Texts.load(SynthesisRecipe.model_validate_json(document))


def _over_processes(work: Callable[[int], Made], wanted: list[int], jobs: int) -> Iterator[Made]:
    if jobs <= 1 or len(wanted) <= 1:
        yield from map(work, wanted)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    # Fresh processes: a fork of this one would share locks of threads that it does not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(wanted)), mp_context=context) as pool:
        futures = [pool.submit(work, shard) for shard in wanted]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise SynthesizeError(
                "a worker died, killed or out of memory; run the same command again (whole shards are kept), "
                "with fewer --jobs"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _over_ray(work: Callable[[int], Made], wanted: list[int], address: str) -> Iterator[Made]:
    try:
        import ray
    except ImportError as error:
        raise SynthesizeError("--ray: needs the package ray; pip install ray, on every node") from error
    ray.init(address=address, ignore_reinit_error=True)
    remote = ray.remote(num_cpus=1, max_retries=2)(work.func)  # type: ignore[attr-defined]
    pending = [remote.remote(*work.args, shard) for shard in wanted]  # type: ignore[attr-defined]
    while pending:
        done, pending = ray.wait(pending)
        yield ray.get(done[0])


def _progress(made: Iterator[Made], shards: int, per_shard: int, quiet: bool) -> Iterator[Made]:
    """Passes on what was made, and says how fast it goes: a bar on a terminal, else a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("synthesizing"), BarColumn(), MofNCompleteColumn(), TextColumn("shards"))
    speed = TextColumn("{task.fields[rate]} utterances/s")
    started = said = time.monotonic()
    finished = new = utterances = 0
    with Progress(
        *columns, speed, TimeRemainingColumn(), console=console, disable=quiet or not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=shards, rate="–")
        for shard in made:
            finished += 1
            new += shard[1] > 0
            utterances += shard[1]
            elapsed = max(time.monotonic() - started, 1e-9)
            bar.update(task, advance=1, rate=f"{utterances / elapsed:.0f}")
            last = finished == shards
            if not quiet and not console.is_terminal and (last or time.monotonic() - said > _LOG_EVERY_S):
                said = time.monotonic()
                left = (shards - finished) * elapsed / new if new else 0.0
                print(
                    f"{finished}/{shards} shards, {utterances:,} new utterances in {elapsed:.0f} s, "
                    f"{utterances / elapsed:.0f}/s, {left / 60:.0f} min left",
                    file=sys.stderr,
                    flush=True,
                )
            yield shard


def finish(recipe: SynthesisRecipe, out: Path, *, quiet: bool = False) -> Path:
    """Write `recordings.parquet` and `coverage.json` over the shards that are whole."""
    import polars as pl

    from asr_pretrain.phonemes import to_phones
    from asr_pretrain.synthesis.coverage import coverage, print_coverage
    from asr_pretrain.synthesis.mixture import read_transcripts
    from data_splits.manifest import write_manifest

    manifests = [shard_path(out, shard).with_suffix(".parquet") for shard in range(recipe.shards)]
    whole = [path for path in manifests if path.is_file()]
    frame = pl.concat([pl.read_parquet(path) for path in whole], how="vertical_relaxed")
    write_manifest(frame, out / MANIFEST)
    real = [" ".join(to_phones(text)) for text in read_transcripts(recipe.recordings)]
    report = coverage(frame["phones"], real)
    temporary = out / f".{COVERAGE}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    temporary.replace(out / COVERAGE)
    if not quiet:
        seconds = float(frame["duration_s"].sum())
        print_coverage(report)
        print(
            f"{len(whole)} of {recipe.shards} shards, {frame.height:,} utterances, {seconds / 3600:.1f} h, "
            f"mean {seconds / frame.height:.2f} s, {frame['speaker'].n_unique():,} voices, "
            f"{frame['pcm_sha256'].n_unique():,} distinct recordings, "
            f"{frame['text'].n_unique():,} distinct texts"
        )
    return out / MANIFEST


def parse_shards(text: str, shards: int) -> range:
    """`0-24` or `7` as a range. Raises SynthesizeError for others, or beyond the recipe's number."""
    first, _, last = text.partition("-")
    if not first.isdigit() or not (last or first).isdigit():
        raise SynthesizeError(f"--shards {text!r}: give one number or a range such as 0-24")
    found = range(int(first), int(last or first) + 1)
    if not found or found[-1] >= shards:
        raise SynthesizeError(f"--shards {text}: the recipe's are 0-{shards - 1}")
    return found


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `synthesize` to the command line."""
    parser = subparsers.add_parser(
        "synthesize",
        help="hundreds of hours of speech from text, in shards",
        description="Make a synthetic corpus in shards. A second run goes on where the first stopped.",
        epilog="example: asr-pretrain synthesize asr_pretrain/recipes/synthesize.yaml --out runs/synthetic",
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: the recipe's")
    parser.add_argument("--phrase", help="the wake phrase that is said and labelled (default: the recipe's)")
    parser.add_argument("--shards", metavar="0-24", help="only these; default: all")
    parser.add_argument("--jobs", type=int, metavar="N", default=os.cpu_count(), help="default: %(default)s")
    parser.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster: auto, local or ray://host:10001")


def run(args: argparse.Namespace) -> int:
    """Make the corpus and print its manifest's path."""
    from asr_pretrain.training.recipe import load_recipe, validated

    if args.jobs < 1:
        raise SynthesizeError(f"--jobs {args.jobs}: must be 1 or more")
    recipe = load_recipe(args.recipe, SynthesisRecipe)
    if args.phrase is not None:
        recipe = validated({**recipe.model_dump(), "phrases": [args.phrase]}, SynthesisRecipe, "--phrase")
    out = args.out.expanduser() if args.out else recipe.out
    shards = parse_shards(args.shards, recipe.shards) if args.shards else None
    print(synthesize(recipe, out.absolute(), shards, args.jobs, args.ray))
    return 0
