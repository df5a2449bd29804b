"""A verdict for people, for programs and for CI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, Any, Final
from xml.etree import ElementTree

from data_splits.audit import RULES
from data_splits.audit.finding import ERROR, INFO, WARNING, Audited, Finding
from data_splits.audit.noise import noise_table
from data_splits.audit.power import power_table
from data_splits.audit.verdict import Verdict
from data_splits.audit.version import rules_version
from data_splits.files import whole_file
from data_splits.schema import SPLITS

_SHOWN_IDS: Final = 5
_STYLES: Final = {ERROR: "bold red", WARNING: "yellow", INFO: "cyan"}
_NOT_XML: Final = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def fails(finding: Finding, fail_on: str) -> bool:
    """Whether a finding fails the audit under `--fail-on error` or `warning`."""
    return finding.severity == ERROR or (fail_on == WARNING and finding.severity == WARNING)


def as_json(verdict: Verdict, audited: Audited, manifest: str, sha256: str, fail_on: str) -> dict[str, Any]:
    """The stable object of `--json`; `docs/audit.md` says what each key means."""
    rows = dict(audited.frame.group_by("split").len().iter_rows())
    return {
        "summary": {
            "manifest": manifest,
            "sha256": sha256,
            "rows": audited.frame.height,
            "splits": {name: rows.get(name, 0) for name in SPLITS},
            "audio_decoded": audited.measured is not None,
            "rules": list(RULES),
            "rules_version": rules_version(),
            "errors": verdict.count(ERROR),
            "warnings": verdict.count(WARNING),
            "infos": verdict.count(INFO),
            "clean": verdict.count(ERROR) == 0,
            "fail_on": fail_on,
            "failed": any(fails(finding, fail_on) for finding in verdict.findings),
            "waivers": [item.as_dict() for item in verdict.waived],
            "power": power_table(audited).to_dicts(),
            "noise": noise_table(audited).to_dicts(),
        },
        "findings": [finding.as_dict() for finding in verdict.findings],
    }


def print_table(verdict: Verdict, n_rows: int, stream: IO[str]) -> None:
    """What was found, the gravest first, and one line of verdict."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, width=None if stream.isatty() else 120, highlight=False)
    if verdict.findings:
        table = Table(show_lines=True)
        for name in ("severity", "rule", "rows", "what was found, and what to do"):
            table.add_column(name, justify="right" if name == "rows" else "left")
        order = list(_STYLES)
        for finding in sorted(verdict.findings, key=lambda item: order.index(item.severity)):
            more = " …" if len(finding.ids) > _SHOWN_IDS else ""
            ids = f"\nids: {', '.join(finding.ids[:_SHOWN_IDS])}{more}" if finding.ids else ""
            table.add_row(
                Text(finding.severity, style=_STYLES[finding.severity]),
                finding.rule,
                f"{finding.count:,}",
                # As text, because what a manifest holds may look like the console's own markup.
                Text(f"{finding.message}{ids}\n→ {finding.remedy}"),
            )
        console.print(table)
    for item in verdict.waived:
        console.print(
            Text(f"waiver {item.status}: {item.waiver.rule}, {item.count} rows: {item.waiver.reason}")
        )
    word = "violated" if verdict.count(ERROR) else "clean"
    counts = ", ".join(f"{verdict.count(severity)} {severity}s" for severity in (ERROR, WARNING, INFO))
    console.print(f"{word}: {n_rows} rows, {counts}")


def write_junit(verdict: Verdict, manifest: str, fail_on: str, path: Path) -> None:
    """One test case a rule, which fails where the audit does; written whole or not at all."""
    named = dict.fromkeys(RULES) | dict.fromkeys(finding.rule for finding in verdict.findings)
    failed = sum(any(f.rule == rule and fails(f, fail_on) for f in verdict.findings) for rule in named)
    suite = ElementTree.Element(
        "testsuite", name=f"data-splits audit {_xml(manifest)}", tests=str(len(named)), failures=str(failed)
    )
    for rule in named:
        case = ElementTree.SubElement(suite, "testcase", classname="data-splits.audit", name=rule)
        for finding in verdict.findings:
            if finding.rule != rule:
                continue
            told = _xml(f"{finding.severity}: {finding.message}\n{finding.remedy}\n{' '.join(finding.ids)}")
            kind = "failure" if fails(finding, fail_on) else "system-out"
            element = ElementTree.SubElement(case, kind)
            element.text = told
            if kind == "failure":
                element.set("type", finding.severity)
                element.set("message", _xml(finding.message))
    with whole_file(path) as stream:
        stream.write(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


def _xml(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NOT_XML.sub("�", text)
