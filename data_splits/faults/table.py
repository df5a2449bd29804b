"""Recall and false alarms of every rule, over all faults and some clean manifests."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from data_splits.audit import RULES, Audited
from data_splits.audit.finding import MAX_IDS
from data_splits.faults import content, shared
from data_splits.faults.fault import Fault

# Enough mirror rows that dev and test prove what the power rule asks for.
N_GENERAL, N_MIRROR = 4_000, 18_000


def all_faults() -> list[Fault]:
    """Every fault, in the order of the rules."""
    order = list(RULES)
    found = [*shared.faults(), *content.faults()]
    return sorted(found, key=lambda fault: order.index(fault.rule))


def is_caught(fault: Fault, clean: pl.DataFrame) -> bool:
    """Whether the fault's rule reports it, with the right rows.

    Few rows at fault are to be named all; of many, those that are named are to be at fault.
    """
    faulty = fault.inject(clean)
    audited = Audited(faulty.frame, known=faulty.known)
    named = {row_id for finding in RULES[fault.rule](audited, fault.rule) for row_id in finding.ids}
    found = any(True for _ in RULES[fault.rule](audited, fault.rule))
    guilty = set(faulty.ids)
    return found and (guilty <= named if len(guilty) < MAX_IDS else named <= guilty)


def fault_table(manifests: Sequence[pl.DataFrame]) -> tuple[pl.DataFrame, list[str]]:
    """Put every fault into the first manifest, and look for false alarms in all of them.

    Returns:
        Columns `rule, faults, caught, recall, false alarms`; and one line for each fault that was missed.
    """
    caught = {fault: is_caught(fault, manifests[0]) for fault in all_faults()}
    alarms = {
        rule: sum(any(True for _ in function(Audited(frame), rule)) for frame in manifests)
        for rule, function in RULES.items()
    }
    lines = []
    for rule in RULES:
        mine = [seen for fault, seen in caught.items() if fault.rule == rule]
        lines.append((rule, len(mine), sum(mine), sum(mine) / len(mine) if mine else None, alarms[rule]))
    names = ["rule", "faults", "caught", "recall", "false alarms"]
    missed = [f"{fault.rule}: {fault.name}" for fault, seen in caught.items() if not seen]
    return pl.DataFrame(lines, schema=names, orient="row"), missed
