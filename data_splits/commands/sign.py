"""`data-splits sign`: a data owner's signature under an audit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "sign",
        help="sign an audit's report, or audit a manifest and sign that",
        description="Sign a report of data-splits audit --json with an Ed25519 key of minisign; "
        "REPORT.minisig appears beside it. A manifest is audited first, without audio, its report written to "
        "MANIFEST.audit.json. The report names the hashes of manifest and rules: its signature holds for no "
        "other set. Keys: minisign -G, or mirror-device bundle key. Exit 0 signed, 1 signed with errors in "
        "the report, 2 unusable input.",
        epilog="example: data-splits sign plan.parquet --key owner.key",
    )
    parser.add_argument("file", type=Path, metavar="REPORT|MANIFEST")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="secret key of minisign")
    parser.add_argument("--rules", type=Path, metavar="FILE", help="for a manifest: limits and waivers")
    return parser


def run(args: argparse.Namespace) -> int:
    """Sign; 1 when the report has errors."""
    from data_splits.signing import SignatureError, read_report, sign_report, signature_path

    report = args.file
    if args.file.suffix != ".json":
        report = _audit(args.file, args.rules)
    elif args.rules:
        raise SignatureError(f"--rules {args.rules}: {args.file} is a report already; leave it out")
    print(f"{signature_path(report)}: {sign_report(report, args.key)}")
    return int(read_report(report)["summary"]["errors"] > 0)


def _audit(manifest: Path, rules_file: Path | None) -> Path:
    import json
    from datetime import UTC, datetime

    from data_splits.audit.finding import ERROR, Audited
    from data_splits.audit.output import as_json
    from data_splits.audit.rules_file import Rules, load_rules
    from data_splits.audit.verdict import judge
    from data_splits.files import whole_file
    from data_splits.manifest import ManifestError, manifest_sha256, read_manifest

    rules = load_rules(rules_file) if rules_file else Rules()
    frame = read_manifest(manifest)
    sha256 = manifest_sha256(manifest)
    audited = Audited(frame, limits=rules.limits)
    verdict = judge(audited, rules, datetime.now(UTC).date())
    if manifest_sha256(manifest) != sha256:
        raise ManifestError(f"{manifest}: changed while it was audited; run the same command again")
    content = as_json(verdict, audited, str(manifest), sha256, ERROR)
    report = manifest.with_name(f"{manifest.name}.audit.json")
    with whole_file(report) as stream:
        stream.write(json.dumps(content, indent=2, ensure_ascii=False).encode())
    return report
