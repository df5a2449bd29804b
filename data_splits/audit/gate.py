"""The verdict that binds: what a training is made from is audited first, as one set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import polars as pl

from data_splits.audit.finding import ERROR, WARNING, Audited
from data_splits.audit.output import as_json
from data_splits.audit.rules_file import Rules, load_rules
from data_splits.audit.verdict import APPLIED, Verdict, judge
from data_splits.audit.version import rules_version
from data_splits.manifest import ManifestError, manifest_sha256, read_manifest, rooted

WHOLE, TRAINING = "whole", "training"
# What dev and test must be made of. Where none of their rows is a mirror's, nothing can be claimed of it.
_OF_THE_CLAIM: Final = ("non-mirror-eval", "train-dev-missing")
_SHOWN_IDS: Final = 3


class AuditRefused(ValueError):
    """Manifests that may not be trained on; the message names each violated rule."""


@dataclass(frozen=True)
class Passed:
    """An audit without errors."""

    record: dict[str, Any]
    """What checkpoints and models carry: `scope`, the hashes of manifests, report, rules and waivers."""
    report: bytes
    """The JSON report whose hash the record holds."""


def pass_audit(manifests: Sequence[Path], rules_file: Path | None, today: date) -> Passed:
    """Audit what is trained on as one set, by the rules that need no audio.

    Raises:
        AuditRefused: naming the violated rules and the ways out.
        ManifestError, RecipeError: a file that cannot be used.
    """
    rules = load_rules(rules_file) if rules_file else Rules()
    before = [manifest_sha256(path) for path in manifests]
    frame = pl.concat([rooted(read_manifest(path), path) for path in manifests], how="diagonal_relaxed")
    changed = [path for path, old in zip(manifests, before, strict=True) if manifest_sha256(path) != old]
    if changed:
        raise ManifestError(f"{changed[0]}: changed while it was audited; run the same command again")
    audited = Audited(frame, limits=rules.limits)
    scope = scope_of(frame)
    verdict = bound(judge(audited, rules, today), scope)
    names = ", ".join(map(str, manifests))
    if verdict.count(ERROR):
        raise AuditRefused(refusal(verdict, names))
    content = as_json(verdict, audited, names, ",".join(before), ERROR)
    report = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True).encode()
    waivers = [item.as_dict() for item in verdict.waived]
    record = {
        "scope": scope,
        "manifest_sha256": before,
        "report_sha256": hashlib.sha256(report).hexdigest(),
        "rules_version": rules_version(),
        "rules_sha256": manifest_sha256(rules_file) if rules_file else None,
        "waivers_sha256": waivers_sha256(waivers),
        "waived": [f"{item['rule']}: {item['reason']}" for item in waivers if item["status"] == APPLIED],
        "warnings": verdict.count(WARNING),
        "audited_on": today.isoformat(),
    }
    return Passed(record, report)


def waivers_sha256(waivers: Any) -> str:
    """SHA-256 of a report's `waivers`, whatever their layout in the file."""
    return hashlib.sha256(json.dumps(waivers, sort_keys=True).encode()).hexdigest()


def scope_of(frame: pl.DataFrame) -> str:
    """`whole` where dev or test hold a mirror's rows, else `training`: no claim can rest on such a set."""
    claimed = pl.col("split").is_in(["dev", "test"]) & (pl.col("domain") == "mirror")
    return WHOLE if frame.select(claimed.any()).item() else TRAINING


def bound(verdict: Verdict, scope: str) -> Verdict:
    """Without the errors that do not concern a set of this scope."""
    if scope == WHOLE:
        return verdict
    return replace(verdict, findings=tuple(f for f in verdict.findings if f.rule not in _OF_THE_CLAIM))


def refusal(verdict: Verdict, names: str) -> str:
    """What is wrong, and what can be done."""
    errors = [
        f"{f.rule}: {f.message} (ids: {', '.join(f.ids[:_SHOWN_IDS]) or 'none'})"
        for f in verdict.findings
        if f.severity == ERROR
    ]
    return (
        f"{names}: refused by the audit: {'; '.join(errors)}. Plan again with data-splits plan, or waive "
        "what you answer for in a rules file (--rules FILE); data-splits audit shows everything"
    )
