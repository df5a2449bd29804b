"""From a model back to the data: checkpoint, manifests, audit, and the same of the weights it began from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from data_splits.audit.gate import AuditRefused, pass_audit, waivers_sha256
from data_splits.audit.version import rules_version
from data_splits.evidence import EvidenceError, stated_facts
from data_splits.signing import SignatureError, check_signature, read_report

OK, MISSING, BROKEN = "ok", "missing", "broken"
_SHORT: Final = 12


@dataclass(frozen=True)
class Link:
    """One step of a chain."""

    status: str
    """`ok`; `missing`, where nothing shows it; `broken`, where something contradicts it."""
    what: str
    """In words."""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Verifier:
    """What a chain is held against.

    Args:
        evidence: files by SHA-256.
        public_key: of whoever must have signed the reports; None asks for no signatures.
        today: on which waivers must still hold where an audit is repeated.
    """

    evidence: Mapping[str, Path]
    public_key: Path | None
    today: date

    def model(self, path: Path) -> Iterator[Link]:
        """Every link behind a device model or a checkpoint.

        Raises:
            EvidenceError: a file that says nothing of its making.
        """
        facts = stated_facts(path)
        manifests = facts.get("manifest_sha256")
        if "training_manifest_sha256" in facts:
            manifests = str(facts["training_manifest_sha256"]).split(",")
            yield from self._checkpoint(path.name, facts, manifests)
        yield from self._trained_on(path.name, manifests, facts.get("audit"))
        lineage = facts.get("lineage")
        for before in lineage if isinstance(lineage, list) else []:
            if not isinstance(before, dict):
                raise EvidenceError(f"{path}: its lineage holds {before!r}")
            name = f"{before.get('kind')} {_short(before.get('sha256'))}"
            yield self._found("weights it began from", before.get("sha256"))
            yield from self._trained_on(name, before.get("manifest_sha256"), before.get("audit"))

    def report(self, path: Path) -> Iterator[Link]:
        """A signed report: the signature, the manifests it is about, and what it says."""
        summary = read_report(path)["summary"]
        yield self._signed(path)
        for sha256 in summary["sha256"].split(","):
            yield self._found("manifest", sha256)
        yield self._rules(summary["rules_version"])
        errors = summary["errors"]
        yield Link(BROKEN if errors else OK, f"{path.name}: the audit found {errors} errors")

    def _checkpoint(self, name: str, facts: dict[str, Any], manifests: Any) -> Iterator[Link]:
        sha256 = facts.get("checkpoint_sha256")
        yield self._found(f"{name}: checkpoint", sha256)
        if isinstance(sha256, str) and sha256 in self.evidence:
            theirs = stated_facts(self.evidence[sha256])
            agrees = (theirs.get("manifest_sha256"), theirs.get("audit"), theirs.get("lineage")) == (
                manifests,
                facts.get("audit"),
                facts.get("lineage"),
            )
            yield Link(
                OK if agrees else BROKEN, "checkpoint and model name the same manifests, audit and origin"
            )

    def _trained_on(self, name: str, manifests: Any, audit: Any) -> Iterator[Link]:
        if not isinstance(manifests, list) or not manifests:
            yield Link(MISSING, f"{name}: names no manifest")
            return
        for sha256 in manifests:
            yield self._found(f"{name}: manifest", sha256)
        if not isinstance(audit, dict) or not audit:
            yield Link(MISSING, f"{name}: trained without an audit")
            return
        if "off" in audit:
            yield Link(MISSING, f"{name}: trained without an audit: {audit['off']}")
            return
        same = audit.get("manifest_sha256") == manifests
        yield Link(OK if same else BROKEN, f"{name}: the audit is of these manifests ({audit.get('scope')})")
        yield self._rules(audit.get("rules_version"))
        yield from self._report_of(name, audit)
        yield from self._repeated(name, manifests, audit.get("rules_sha256"))

    def _report_of(self, name: str, audit: dict[str, Any]) -> Iterator[Link]:
        sha256 = audit.get("report_sha256")
        yield self._found(f"{name}: report", sha256)
        if not isinstance(sha256, str) or sha256 not in self.evidence:
            return
        path = self.evidence[sha256]
        summary = read_report(path)["summary"]
        about = summary["sha256"].split(",") == audit.get("manifest_sha256")
        version = summary["rules_version"] == audit.get("rules_version")
        waivers = waivers_sha256(summary.get("waivers")) == audit.get("waivers_sha256")
        agrees = about and version and waivers and summary["errors"] == 0
        yield Link(
            OK if agrees else BROKEN, f"{name}: the report has these manifests, rules, waivers and no error"
        )
        if self.public_key is not None:
            yield self._signed(path)

    def _repeated(self, name: str, manifests: list[str], rules_sha256: Any) -> Iterator[Link]:
        """The audit once more, where all that it read is at hand."""
        needed = [*manifests, *([rules_sha256] if rules_sha256 else [])]
        if not all(sha256 in self.evidence for sha256 in needed):
            yield Link(MISSING, f"{name}: the audit cannot be repeated, for not all that it read is here")
            return
        rules = self.evidence[rules_sha256] if rules_sha256 else None
        try:
            pass_audit([self.evidence[sha256] for sha256 in manifests], rules, self.today)
        except AuditRefused as error:
            yield Link(BROKEN, f"{name}: {error}")
        else:
            yield Link(OK, f"{name}: the audit, repeated now, finds no error")

    def _signed(self, path: Path) -> Link:
        if self.public_key is None:
            return Link(MISSING, f"{path.name}: its signature was not checked; give --key")
        try:
            return Link(OK, f"{path.name}: signed: {check_signature(path, self.public_key)}")
        except SignatureError as error:
            return Link(BROKEN, str(error))

    def _found(self, what: str, sha256: Any) -> Link:
        if isinstance(sha256, str) and sha256 in self.evidence:
            return Link(OK, f"{what} {_short(sha256)} is {self.evidence[sha256]}")
        return Link(MISSING, f"{what} {_short(sha256)} was not found; give --evidence its file or folder")

    def _rules(self, version: Any) -> Link:
        same = version == rules_version()
        return Link(OK, f"rules {_short(version)}, {'those' if same else 'not those'} of this program")


def _short(value: Any) -> str:
    return value[:_SHORT] if isinstance(value, str) else json.dumps(value)[:_SHORT]
