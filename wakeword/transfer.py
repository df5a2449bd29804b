"""`wakeword transfer`: what pretraining buys, by cross-validation over voices.

Every encoder × how deep it learns × how many voices it learns from, each trained once a fold and scored on
the voices of that fold; one threshold over the folds, at the same false accepts an hour.

wakeword transfer wakeword/recipes/transfer.yaml --jobs 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.progress import track

from asr_pretrain.training.checkpoint import file_sha256
from asr_pretrain.training.recipe import RecipeError, load_recipe
from wakeword import benchmark
from wakeword.blocks import Stream
from wakeword.evaluate import Heard
from wakeword.grid import (
    INT8_SCORES,
    NEGATIVES,
    RESULT,
    SCORES,
    SCRATCH,
    Bench,
    Cell,
    Grid,
    cells,
    keep_scores,
    share_scores,
    words_of,
)
from wakeword.peers import Peer, PeerError, find
from wakeword.rendered import Rendered, listen_untrained
from wakeword.train import TriggerRecipe
from wakeword.transfer_table import by_voice, engine_row, hours_of, markdown, plot, pooled, steady


def untrained(bench: Bench, streams: Sequence[Rendered], voices: set[str]) -> list[dict[str, Any]]:
    """One row for each encoder as it is; every voice is new to it, so there are no folds."""
    rows = []
    for name, path in bench.grid.encoders.items():
        kept = bench.grid.out / "untrained" / f"{name}-{file_sha256(path)[:12]}.npz"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            keep_scores(listen_untrained(path, bench.base.phrase, streams), kept)
        scores = np.load(kept)
        heard = [
            Heard(s.name, s.condition, s.seconds, words_of(s, voices), s.pieces, scores[s.name])
            for s in streams
        ]
        row = {"encoder": name, "unfreeze": "none", "voices": 0, "variant": "", "seed": 0, "cpu_h": 0.0}
        rows.append({**row, **pooled(heard, bench.grid.fa_per_hour), "steady_frr": steady([heard])})
    return rows


def engine(bench: Bench, name: str, streams: Sequence[Rendered], voices: set[str]) -> dict[str, Any]:
    """The row of another engine over the same streams. Raises PeerError, StreamError."""
    peer = find(name, bench.base.phrase)
    if peer.fire is None:
        raise PeerError(f"--engine {name}: gives scores; `wakeword benchmark` hears it")
    heard = listened(bench, peer, streams, voices)
    by_setting = {
        setting: (
            heard.false_accepts(setting),
            {condition: (missed, late, who) for condition, (missed, late, _, who) in found.items()},
        )
        for setting, found in ((setting, heard.missed(setting)) for setting in peer.settings)
    }
    hours = hours_of(stream for stream in streams if stream.condition == NEGATIVES)
    row = engine_row(by_setting, hours, bench.grid.fa_per_hour)
    if row is None:
        raise PeerError(f"--engine {name}: no setting keeps to {bench.grid.fa_per_hour} FA/h")
    told = {"encoder": f"{peer.name} {peer.version}", "unfreeze": "none", "voices": 0}
    return {**told, "variant": "", "seed": 0, "cpu_h": 0.0, **row}


def listened(bench: Bench, peer: Peer, streams: Sequence[Rendered], voices: set[str]) -> benchmark.Heard:
    """What an engine made of the streams, of these voices' words; it listens once."""
    kept = bench.grid.out / "engines" / f"{peer.name}-{peer.version}.npz"
    if not kept.exists():
        heard, screen = benchmark.Heard(peer), Console(stderr=True)
        for condition in dict.fromkeys(stream.condition for stream in streams):
            for played in track(bench.played(condition), f"{peer.name}, {condition}", console=screen):
                heard.listen(played)
        pairs = zip(heard.streams, heard.times, strict=True)
        times = {f"{stream.name}@{s}": at for stream, found in pairs for s, at in found.items()}
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(kept, **cast("dict[str, Any]", times))
    fired, silent = np.load(kept), np.zeros(0, np.int16)
    return benchmark.Heard(
        peer,
        [Stream(s.name, s.condition, silent, words_of(s, voices), s.pieces) for s in streams],
        times=[{setting: fired[f"{s.name}@{setting}"] for setting in peer.settings} for s in streams],
    )


def table(bench: Bench, streams: Sequence[Rendered], folds: set[int]) -> list[dict[str, Any]]:
    """One row for each encoder, depth, number of voices and seed of which these folds are done."""
    rows = []
    shares = {share_scores(share): f"{share:.0%} of the start" for share in bench.grid.start_shares}
    kinds = {SCORES: "", INT8_SCORES: "int8", **shares}
    for members in finished(bench, folds):
        first = members[0]
        names = dict(zip(("encoder", "unfreeze", "voices", "variant"), first.kind, strict=True))
        cpu_h = round(sum(bench.spent(cell)["cpu_h"] for cell in members), 3)
        for kept, what in kinds.items():
            if not all((bench.folder(cell) / kept).exists() for cell in members):
                continue
            for steps in bench.grid.smoothing_steps:
                by_fold = [bench.heard(cell, streams, kept, steps) for cell in members]
                heard = [item for fold in by_fold for item in fold]
                row = {**names, "seed": first.seed, "model": what, "cpu_h": cpu_h}
                if len(bench.grid.smoothing_steps) > 1:
                    row["smoothing"] = f"mean of {steps}"
                row["steady_frr"] = steady(by_fold)
                rows.append({**row, **pooled(heard, bench.grid.fa_per_hour)})
    return rows


def finished(bench: Bench, folds: set[int]) -> list[list[Cell]]:
    """The folds' cells of each row."""
    grid = bench.grid
    seeds = {path.parent.name.rpartition("seed")[2] for path in grid.out.glob(f"cells/*/{RESULT}")}
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells(grid, sorted(map(int, seeds))):
        if cell.fold in folds and (bench.folder(cell) / RESULT).exists():
            groups.setdefault((*cell.kind, cell.seed), []).append(cell)
    return [members for members in groups.values() if len(members) == len(folds)]


def add_parser(sub: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "transfer",
        help="what pretraining buys, cross-validated over voices",
        description=__doc__,
        epilog="example: wakeword transfer wakeword/recipes/transfer.yaml --jobs 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("grid", type=Path, help="YAML: base recipe, encoders, depths, voices")
    parser.add_argument("--seed", type=int, action="append", help="repeatable (default: the file's)")
    parser.add_argument("--encoder", action="append", help=f"only this one (repeatable); {SCRATCH} is one")
    parser.add_argument("--only", action="append", help="only cells whose name holds this (repeatable)")
    parser.add_argument(
        "--fold", type=int, action="append", help="only this one (repeatable), in the table too"
    )
    parser.add_argument(
        "--engine", action="append", default=[], help="another engine over the same streams (repeatable)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--share", default="0/1", help=argparse.SUPPRESS)
    parser.add_argument("--dry-run", action="store_true", help="list the cells and stop")


def run(args: argparse.Namespace) -> int:
    """Train and score what is missing, print the table, write `transfer.json`."""
    grid = load_recipe(args.grid, Grid)
    for name, path in grid.encoders.items():
        if name == SCRATCH or not path.exists():
            raise RecipeError(f"{args.grid}: encoder {name!r}: {path} is not there, or the name is taken")
    near = args.grid.parent
    bench = Bench(grid, load_recipe(near / grid.base, TriggerRecipe))
    folds = set(args.fold or range(grid.folds))
    if not folds <= set(range(grid.folds)):
        raise RecipeError(f"--fold {max(folds)}: {args.grid} has the folds 0 to {grid.folds - 1}")
    wanted = [
        cell
        for cell in cells(grid, args.seed or grid.seeds)
        if (not args.encoder or cell.encoder in args.encoder)
        and cell.fold in folds
        and (not args.only or any(text in cell.name for text in args.only))
    ]
    missing = [cell for cell in wanted if not bench.done(cell)]
    print(f"{len(missing)} of {len(wanted)} cells to do", flush=True)
    if args.dry_run:
        print("\n".join(cell.name for cell in missing))
        return 0
    streams = bench.streams()
    for fold in range(grid.folds):
        bench.manifest(fold)
    if args.jobs > 1:
        again = [sys.executable, "-m", "wakeword.cli", "transfer", str(args.grid)]
        again += [word for seed in args.seed or [] for word in ("--seed", str(seed))]
        again += [word for name in args.encoder or [] for word in ("--encoder", name)]
        again += [word for fold in args.fold or [] for word in ("--fold", str(fold))]
        again += [word for text in args.only or [] for word in ("--only", text)]
        running = [
            subprocess.Popen([*again, "--share", f"{n}/{args.jobs}"], stdout=sys.stderr)
            for n in range(args.jobs)
        ]
        if sum(process.wait() != 0 for process in running):
            raise RecipeError(f"{args.grid}: a process failed; its own message says why")
    else:
        number, of = (int(part) for part in args.share.split("/"))
        mine = set(sorted({cell.cuts for cell in wanted})[number::of])  # cells that share cuts stay together
        for cell in missing:
            if cell.cuts in mine:
                bench.run(cell, streams)
    if args.share == "0/1":
        voices = {voice for fold in folds for voice in bench.folds[fold]}
        rows = [engine(bench, name, streams, voices) for name in args.engine]
        rows += untrained(bench, streams, voices) if grid.untrained else []
        rows += table(bench, streams, folds)
        (grid.out / "transfer.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        if rows:
            plot(rows, grid.out / "transfer.svg")
        print(markdown(rows))
        print(f"\n{by_voice(rows)}")
    return 0
