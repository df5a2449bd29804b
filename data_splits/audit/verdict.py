"""The verdict: what the rules find, less what is waived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from data_splits.audit import RULES
from data_splits.audit.finding import INFO, WARNING, Audited, Finding
from data_splits.audit.rules_file import Rules, Waiver

EXPIRED, UNUSED, APPLIED = "expired", "unused", "applied"
_TOLD: Final = {
    EXPIRED: (WARNING, "waiver-expired", "settle what it waived, or give it a new reason and day"),
    UNUSED: (INFO, "waiver-unused", "remove it"),
}


@dataclass(frozen=True)
class Waived:
    """What became of a waiver."""

    waiver: Waiver
    status: str
    """`applied`, `unused` or `expired`."""
    count: int
    """Rows of findings that it took away."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self.waiver.model_dump(mode="json") | {"status": self.status, "count": self.count}


@dataclass(frozen=True)
class Verdict:
    """Everything that an audit says."""

    findings: tuple[Finding, ...]
    """In the order of `RULES`; then expired and unused waivers."""
    waived: tuple[Waived, ...]
    """One a waiver, in the order of the file."""

    def count(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


def judge(audited: Audited, rules: Rules, today: date) -> Verdict:
    """Apply every rule, then the waivers that still hold.

    A waiver's rows or values are hidden from its rule, which is asked again, so that counts and ids stay
    exact however many rows there are.
    """
    findings: list[Finding] = []
    counts: dict[int, int] = {}
    for name, rule in RULES.items():
        found = list(rule(audited, name))
        holding = [w for w in rules.waivers if w.rule == name and w.expires >= today] if found else []
        for waiver in holding:
            counts[id(waiver)] = _rows(found) - _rows(_rest(audited, name, [waiver]))
        if holding:
            found = _rest(audited, name, holding)
        severity = rules.severity.get(name)
        findings += [replace(finding, severity=severity) for finding in found] if severity else found
    waived = tuple(_waived(waiver, counts.get(id(waiver)), today) for waiver in rules.waivers)
    findings += [_told(item) for item in waived if item.status in _TOLD]
    return Verdict(tuple(findings), waived)


def _rest(audited: Audited, name: str, waivers: Sequence[Waiver]) -> list[Finding]:
    if any(not waiver.ids and not waiver.values for waiver in waivers):
        return []
    ids = [pattern for waiver in waivers for pattern in waiver.ids]
    values = [pattern for waiver in waivers for pattern in waiver.values]
    return list(RULES[name](audited.without(ids, values), name))


def _rows(findings: Sequence[Finding]) -> int:
    # A finding about no row at all still counts as one.
    return sum(max(1, finding.count) for finding in findings)


def _waived(waiver: Waiver, count: int | None, today: date) -> Waived:
    if waiver.expires < today:
        return Waived(waiver, EXPIRED, 0)
    return Waived(waiver, APPLIED if count else UNUSED, count or 0)


def _told(item: Waived) -> Finding:
    severity, rule, remedy = _TOLD[item.status]
    waiver = item.waiver
    what = f"the waiver of {waiver.rule} ({waiver.reason!r})"
    message = f"{what} ended on {waiver.expires}" if item.status == EXPIRED else f"{what} waives nothing"
    return Finding(rule, severity, 0, (), message, remedy)
