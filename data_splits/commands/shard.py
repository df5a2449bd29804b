"""`data-splits shard`: a manifest's recordings into tar shards."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "shard",
        help="pack a manifest's recordings into tar shards",
        description="Write the recordings of a manifest, in its order, as 16 kHz mono into WebDataset tars "
        "of --per-shard utterances, each with an offset index and a manifest of its own, and "
        "DIR/manifest.parquet over all of them. The same command goes on where it was stopped: whole "
        "shards are kept.",
        epilog="example: data-splits shard recordings.parquet --out shards --per-shard 1000",
    )
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--per-shard", type=int, default=1000, help="utterances in a shard (default: %(default)s)"
    )
    parser.add_argument(
        "--codec",
        choices=("flac", "opus"),
        default="flac",
        help="flac keeps every bit; opus is a third of its size, and slow to write (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="shards written at the same time (default: %(default)s)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the shards that are not there yet, then the manifest over all of them."""
    import polars as pl
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from data_splits.manifest import read_manifest, write_manifest
    from data_splits.shards import manifest_path, write_shard

    if args.per_shard < 1 or args.threads < 1:
        raise ValueError(f"--per-shard {args.per_shard} --threads {args.threads}: both are at least 1")
    result = args.out / "manifest.parquet"
    if result.resolve() == args.manifest.resolve():
        raise ValueError(f"{args.manifest}: would be overwritten; give another --out")
    frame = read_manifest(args.manifest)
    _refuse_change(args, frame.height)
    n_shards = -(-frame.height // args.per_shard)
    paths = [args.out / f"{args.manifest.stem}-{number:05d}.tar" for number in range(n_shards)]
    bar = Progress(
        "sharding",
        BarColumn(),
        MofNCompleteColumn(),
        "utterances",
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    missing = [number for number, path in enumerate(paths) if not _stands(path)]
    with bar, ThreadPoolExecutor(args.threads) as pool:
        kept = set(range(n_shards)) - set(missing)
        n_kept = sum(min(args.per_shard, frame.height - number * args.per_shard) for number in kept)
        task = bar.add_task("shard", total=frame.height, completed=n_kept)
        stopped = Event()

        def write(number: int) -> None:
            rows = frame.slice(number * args.per_shard, args.per_shard)
            items = _decoded(rows, args.manifest.parent, stopped, lambda: bar.advance(task))
            write_shard(paths[number], items, codec=args.codec, schema=frame.schema)

        # libsndfile lets go of the interpreter while it decodes and encodes.
        futures = [pool.submit(write, number) for number in missing]
        try:
            waiting = set(futures)
            while waiting:
                # Again and again, for Ctrl-C may reach a thread that cannot stop the others.
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        finally:
            stopped.set()
            for future in futures:
                future.cancel()
    whole = pl.concat([pl.read_parquet(manifest_path(path), glob=False) for path in paths])
    write_manifest(whole, result)
    old = f" ({len(kept)} of them were there)" if kept else ""
    print(f"wrote {result}: {whole.height} utterances in {n_shards} shards{old}", file=sys.stderr)
    return 0


def _stands(path: Path) -> bool:
    """Whether a shard needs no writing; a damaged one is written again."""
    from data_splits.shards import ShardError, is_whole

    try:
        return is_whole(path)
    except ShardError as error:
        print(f"{error}; it is written again", file=sys.stderr)
        return False


def _refuse_change(args: argparse.Namespace, n_rows: int) -> None:
    """Record what the folder's shards are made from, or refuse when it was something else."""
    from data_splits.manifest import manifest_sha256

    wanted = {
        "manifest": args.manifest.name,
        "manifest_sha256": manifest_sha256(args.manifest),
        "rows": n_rows,
        "per_shard": args.per_shard,
        "codec": args.codec,
    }
    path = args.out / "shards.json"
    if not path.exists():
        args.out.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(".shards.json.tmp")
        temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}); remove it with the shards beside it") from error
    if not isinstance(before, dict):
        raise ValueError(f"{path}: not made by this command; give another --out")
    changed = [
        f"{name}: {before.get(name)!r} → {value!r}"
        for name, value in wanted.items()
        if before.get(name) != value
    ]
    if changed:
        raise ValueError(
            f"{args.out}: its shards were made otherwise ({'; '.join(changed)}); give another --out, "
            "or remove the folder"
        )


def _decoded(
    rows: pl.DataFrame, root: Path, stopped: Event, advance: Callable[[], object]
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    for row in rows.iter_rows(named=True):
        if stopped.is_set():  # another shard failed, or Ctrl-C: this one is left for the next time
            raise InterruptedError
        yield row, _samples(row, root)
        advance()


def _samples(row: dict[str, Any], root: Path) -> np.ndarray:
    """The recording of a row, which is what the manifest says it is.

    Raises:
        AudioError: naming the row.
    """
    from data_splits.audio import AudioError, pcm_sha256, read_audio

    try:
        samples = read_audio(row["audio"], root)
    except AudioError as error:
        raise AudioError(f"id {row['id']!r}: {error}") from error
    stated = row["pcm_sha256"]
    if stated is not None and stated.lower() != pcm_sha256(samples):
        raise AudioError(
            f"id {row['id']!r}: {row['audio']} does not hold the samples of the manifest's pcm_sha256; "
            "find out which changed before trusting either"
        )
    return samples
