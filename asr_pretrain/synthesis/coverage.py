"""How much of real speech's phones and pairs of phones a corpus holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from asr_pretrain.phonemes import PHONES

_RAREST = 20
_TABLE_COLUMNS = 3


def count_phones(texts: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """Phones and diphones (`AA B`) of space-separated phone sequences."""
    phones: Counter[str] = Counter()
    diphones: Counter[str] = Counter()
    for text in texts:
        symbols = text.split()
        phones.update(symbols)
        diphones.update(f"{one} {other}" for one, other in zip(symbols, symbols[1:], strict=False))
    return phones, diphones


def coverage(corpus: Iterable[str], real: Iterable[str]) -> dict[str, Any]:
    """The report: what of the real diphones the corpus has, its rarest, and how far its phones' shares are.

    Args:
        corpus, real: phone sequences, space separated, one an utterance. `real` may be empty.

    The divergence is Kullback and Leibler's, in bits, of the real shares from the corpus's, one added to each
    count: how many bits more a real phone costs in a code made for the corpus.
    """
    phones, diphones = count_phones(corpus)
    real_phones, real_diphones = count_phones(real)
    covered = [pair for pair in real_diphones if diphones[pair]]
    occurrences = sum(real_diphones.values())
    rarest = sorted(real_diphones, key=lambda pair: (diphones[pair], pair))[:_RAREST]
    report: dict[str, Any] = {
        "phones": {phone: phones[phone] for phone in PHONES},
        "real_phones": {phone: real_phones[phone] for phone in PHONES},
        "diphones": len(diphones),
        "possible_diphones": len(PHONES) ** 2,
        "real_diphones": len(real_diphones),
        "real_diphones_covered": len(covered),
        "real_diphone_occurrences_covered": (
            sum(real_diphones[pair] for pair in covered) / occurrences if occurrences else None
        ),
        "rarest_real_diphones": {pair: diphones[pair] for pair in rarest},
        "diphones_with_100_or_more": sum(count >= 100 for count in diphones.values()),
        "phone_divergence_bits": None,
    }
    if real_phones:
        p = np.array([real_phones[phone] + 1 for phone in PHONES], dtype=float)
        q = np.array([phones[phone] + 1 for phone in PHONES], dtype=float)
        p, q = p / p.sum(), q / q.sum()
        report["phone_divergence_bits"] = float(np.sum(p * np.log2(p / q)))
    return report


def print_coverage(report: dict[str, Any]) -> None:
    """The report as a table on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="phones a thousand, synthetic and real", show_header=True)
    total = max(sum(report["phones"].values()), 1)
    real_total = max(sum(report["real_phones"].values()), 1)
    for _ in range(_TABLE_COLUMNS):
        for name in ("phone", "synth.", "real"):
            table.add_column(name, justify="left" if name == "phone" else "right")
    cells = [
        (phone, f"{1000 * count / total:.1f}", f"{1000 * report['real_phones'][phone] / real_total:.1f}")
        for phone, count in report["phones"].items()
    ]
    rows = -(-len(cells) // _TABLE_COLUMNS)
    cells += [("", "", "")] * (rows * _TABLE_COLUMNS - len(cells))
    for row in range(rows):
        table.add_row(*(part for cell in cells[row::rows] for part in cell))
    console = Console()
    console.print(table)
    console.print(
        f"diphones: {report['diphones']} of {report['possible_diphones']} possible, "
        f"{report['diphones_with_100_or_more']} of them 100 times or more"
    )
    if report["real_diphones"]:
        rarest = ", ".join(
            f"{pair} {count}" for pair, count in list(report["rarest_real_diphones"].items())[:8]
        )
        console.print(
            f"of {report['real_diphones']} real diphones {report['real_diphones_covered']} are covered, "
            f"{100 * report['real_diphone_occurrences_covered']:.2f} % by occurrence; rarest: {rarest}\n"
            f"real phones cost {report['phone_divergence_bits']:.3f} bits more in the corpus's code"
        )
