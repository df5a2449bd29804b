"""`data-splits verify`: from a model or a signed report back to the data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "verify",
        help="walk a model's chain back to its audited data, or check a signed report",
        description="Walk a device model (.onnx) or a checkpoint (.safetensors) back: checkpoint, "
        "manifests, audit, and the same of the weights it began from; the audit is repeated where its "
        "manifests are here. Or check a signed report (.json). Files are found by their hashes, in the "
        "file's own folder and where --evidence says. Exit 0 everything shown, 1 something missing or "
        "broken, 2 unusable input.",
        epilog="example: data-splits verify smart_mirror.onnx --evidence runs --evidence plan.parquet",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--evidence",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="file or folder (repeatable)",
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="public key: reports must be signed by it")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object on standard output, nothing else"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Verify and print each link."""
    from datetime import UTC, datetime

    from data_splits.chain import BROKEN, OK, Verifier
    from data_splits.evidence import find_evidence

    evidence = find_evidence(args.file, args.evidence)
    verifier = Verifier(evidence, args.key, datetime.now(UTC).date())
    is_report = args.file.suffix == ".json"
    links = list(verifier.report(args.file) if is_report else verifier.model(args.file))
    held = all(link.status == OK for link in links)
    if args.json:
        print(json.dumps({"verified": held, "links": [link.as_dict() for link in links]}, indent=2))
        return int(not held)
    for link in links:
        print(f"{link.status:<8} {link.what}")
    broken = any(link.status == BROKEN for link in links)
    print("verified" if held else "broken" if broken else "not shown: links are missing")
    return int(not held)
