"""`data-splits audit`: the proof that the splits of a manifest are honest."""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "audit",
        help="prove that the splits of a manifest are honest, or say why not",
        description="Check a planned manifest: mirror audio alone in dev and test, nothing shared between "
        "the train side and dev or test, labels that agree with transcripts, enough distinct noise, sets "
        "drawn alike and large enough for the claim. docs/audit.md names every rule. Exit 0 without errors, "
        "1 with them (see --fail-on), 2 unusable input.",
        epilog="example: data-splits audit plan.parquet --json | jq .summary",
    )
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object on standard output, nothing else"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write a JUnit report as well, for CI")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page with plots and players")
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning"),
        default="error",
        help="the mildest severity that gives exit status 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--rules",
        type=Path,
        metavar="FILE",
        help="YAML with limits of rules, severities, and waivers with reason and day of expiry",
    )
    parser.add_argument(
        "--known-hashes",
        type=Path,
        metavar="FILE",
        help="SHA-256 of the samples of public recordings, one a line, to look for among the rows",
    )
    parser.add_argument(
        "--audio",
        action="store_true",
        help="decode every recording too: is it what its row says, is it heard twice, are the sets alike",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where --audio keeps what it measured; a second audit decodes what is new (default: .sound "
        "beside the manifest)",
    )
    parser.add_argument(
        "--embedder",
        type=Path,
        metavar="FILE",
        help="an exported ONNX encoder of voices for --audio: is somebody on both sides under two names",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        default=os.cpu_count() or 1,
        help="processes for --audio (default: %(default)s)",
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="a Ray cluster for --audio: auto, local or ray://host:10001"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Audit and print; 1 when a finding is as severe as `--fail-on`."""
    from datetime import UTC, datetime

    from data_splits.audit.finding import Audited
    from data_splits.audit.known import read_known_hashes
    from data_splits.audit.output import as_json, fails, print_table, write_junit
    from data_splits.audit.rules_file import Rules, load_rules
    from data_splits.audit.verdict import judge
    from data_splits.manifest import manifest_sha256, read_manifest

    if args.jobs < 1:
        raise ValueError(f"--jobs {args.jobs}: at least 1")
    if args.embedder and not args.audio:
        raise ValueError("--embedder listens to recordings: give --audio as well")
    rules = load_rules(args.rules) if args.rules else Rules()
    known = read_known_hashes(args.known_hashes) if args.known_hashes else None
    sha256 = manifest_sha256(args.manifest) if args.manifest.is_file() else ""
    frame = read_manifest(args.manifest)
    measured = _listen(frame, args) if args.audio else None
    audited = Audited(frame, measured, rules.limits, known)
    verdict = judge(audited, rules, datetime.now(UTC).date())
    if manifest_sha256(args.manifest) != sha256:
        raise ValueError(f"{args.manifest}: changed while it was audited; run the same command again")
    if args.json:
        content = as_json(verdict, audited, str(args.manifest), sha256, args.fail_on)
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        print_table(verdict, frame.height, sys.stdout)
    if args.junit:
        write_junit(verdict, str(args.manifest), args.fail_on, args.junit)
    if args.html:
        from data_splits.audit.html_report import write_html

        write_html(verdict, audited, args.manifest, sha256, args.html)
    return int(any(fails(finding, args.fail_on) for finding in verdict.findings))


def _listen(frame: pl.DataFrame, args: argparse.Namespace) -> pl.DataFrame:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

    from data_splits.audit.sound.embed import embed
    from data_splits.audit.sound.listen import listen
    from data_splits.audit.sound.store import FOLDER

    root = args.manifest.parent
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        cache = args.cache or root / FOLDER
        work: dict[str, Any] = {"jobs": args.jobs, "ray": args.ray}
        voices = None
        if args.embedder:
            voices = embed(
                frame, root, args.embedder, advance=functools.partial(advance, "listening to voices"), **work
            )
        measured = listen(frame, root, cache=cache, advance=advance, **work)
        return measured if voices is None else measured.join(voices, on="id", how="left")
