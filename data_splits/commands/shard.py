"""`data-splits shard`: a manifest's recordings into tar shards."""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from rich.progress import Progress

# Decoded recordings that wait for the writer.
_AHEAD = 16


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
        help="flac keeps every bit, opus is about five times smaller (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, default=2, help="decoders (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the shards that are not there yet, then the manifest over all of them."""
    import polars as pl
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from data_splits.manifest import read_manifest, write_manifest
    from data_splits.shards import is_whole, manifest_path, write_shard

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
    n_kept = 0
    with bar, ThreadPoolExecutor(args.threads) as pool:
        task = bar.add_task("shard", total=frame.height)
        for number, path in enumerate(paths):
            rows = frame.slice(number * args.per_shard, args.per_shard)
            if is_whole(path):
                n_kept += 1
                bar.advance(task, rows.height)
                continue
            items = _decoded(rows, args.manifest.parent, pool, bar, task)
            write_shard(path, items, codec=args.codec, schema=frame.schema)
    whole = pl.concat([pl.read_parquet(manifest_path(path), glob=False) for path in paths])
    write_manifest(whole, result)
    kept = f" ({n_kept} of them were there)" if n_kept else ""
    print(f"wrote {result}: {whole.height} utterances in {n_shards} shards{kept}", file=sys.stderr)
    return 0


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
    rows: pl.DataFrame, root: Path, pool: ThreadPoolExecutor, bar: Progress, task: Any
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Rows with their samples, in order, decoded a little ahead of the writer."""
    waiting: deque[tuple[dict[str, Any], Future[np.ndarray]]] = deque()
    try:
        for row in rows.iter_rows(named=True):
            waiting.append((row, pool.submit(_samples, row, root)))
            if len(waiting) >= _AHEAD:
                yield _next(waiting, bar, task)
        while waiting:
            yield _next(waiting, bar, task)
    finally:
        for _, future in waiting:
            future.cancel()


def _next(
    waiting: deque[tuple[dict[str, Any], Future[np.ndarray]]], bar: Progress, task: Any
) -> tuple[dict[str, Any], np.ndarray]:
    row, future = waiting.popleft()
    samples = future.result()
    bar.advance(task)
    return row, samples


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
