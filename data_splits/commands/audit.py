"""`data-splits audit`: the proof that the splits of a manifest are honest."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from data_splits.audit import Finding

_SHOWN_IDS = 5


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "audit",
        help="check a manifest against the hard rules",
        description="Check a planned manifest against the hard rules: mirror audio alone in dev and test, "
        "nothing shared between the train side and dev or test, no identical audio across splits, train_dev "
        "present and untouched. Exit 0 clean (warnings stay 0), 1 violated, 2 unusable input.",
        epilog="example: data-splits audit plan.parquet --json | jq .summary",
    )
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object on standard output, nothing else"
    )
    parser.add_argument(
        "--audio",
        action="store_true",
        help="decode every recording too: readable, as long as stated, no twins",
    )
    parser.add_argument("--threads", type=int, default=2, help="decoders for --audio (default: %(default)s)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Audit and print; 1 when a hard rule is violated."""
    from data_splits.audit import audit
    from data_splits.manifest import read_manifest

    if args.threads < 1:
        raise ValueError(f"--threads {args.threads}: at least 1")
    frame = read_manifest(args.manifest)
    measured = _measure(frame, args.manifest.parent, args.threads) if args.audio else None
    findings = audit(frame, measured)
    n_errors = sum(finding.severity == "error" for finding in findings)
    if args.json:
        print(json.dumps(_summary(args.manifest, frame, findings, args.audio), indent=2, ensure_ascii=False))
    else:
        _print(frame, findings, n_errors)
    return 1 if n_errors else 0


def _measure(frame: pl.DataFrame, root: Path, n_threads: int) -> pl.DataFrame:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TimeRemainingColumn,
    )
    from rich.text import Text

    from data_splits.audit.measure import measure_audio

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.0f} files/s" if task.speed else "")

    with Progress(
        "decoding",
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task("decode", total=frame.height)
        return measure_audio(frame, root, n_threads=n_threads, advance=lambda: progress.advance(task))


def _summary(path: Path, frame: pl.DataFrame, findings: list[Finding], decoded: bool) -> dict[str, Any]:
    from data_splits.audit import RULES
    from data_splits.manifest import SPLITS, manifest_sha256

    rows = dict(frame.group_by("split").len().iter_rows())
    n_errors = sum(finding.severity == "error" for finding in findings)
    return {
        "summary": {
            "manifest": str(path),
            "sha256": manifest_sha256(path),
            "rows": frame.height,
            "splits": {name: rows.get(name, 0) for name in SPLITS},
            "audio_decoded": decoded,
            "rules": list(RULES),
            "errors": n_errors,
            "warnings": len(findings) - n_errors,
            "clean": n_errors == 0,
        },
        "findings": [finding.as_dict() for finding in findings],
    }


def _print(frame: pl.DataFrame, findings: list[Finding], n_errors: int) -> None:
    for finding in findings:
        print(f"{finding.severity}: {finding.rule}: {finding.count} rows: {finding.message}")
        if finding.ids:
            more = " …" if len(finding.ids) > _SHOWN_IDS else ""
            print(f"  ids: {', '.join(finding.ids[:_SHOWN_IDS])}{more}")
        print(f"  remedy: {finding.remedy}")
    n_warnings = len(findings) - n_errors
    verdict = "violated" if n_errors else "clean"
    print(f"{verdict}: {frame.height} rows, {n_errors} errors, {n_warnings} warnings", file=sys.stdout)
