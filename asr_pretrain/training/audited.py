"""The audit of what a run is trained on, and of what the weights it starts from were."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asr_pretrain.training.checkpoint import file_sha256, load_checkpoint, write_atomically
from asr_pretrain.training.processes import Processes
from asr_pretrain.training.recipe import RecipeError, TrainingRecipe
from asr_pretrain.training.state import State

REPORT = "audit.json"


def audited(recipe: TrainingRecipe, state: State | None, processes: Processes) -> dict[str, Any]:
    """The audit's record for the checkpoint, alike on every rank; the report goes into the run's folder.

    A resumed run keeps its record while manifests and rules are the same and nothing is waived, for a waiver
    ends on a day.

    Raises:
        AuditRefused: the manifests may not be trained on.
        ManifestError, RecipeError: a file that cannot be used.
    """
    if recipe.audit.off is not None:
        if recipe.audit.rules is not None:
            raise RecipeError(f"audit: both rules ({recipe.audit.rules}) and off; leave one of them out")
        return {"off": recipe.audit.off}

    def work() -> bytes:
        from data_splits.audit.gate import pass_audit
        from data_splits.audit.version import rules_version

        rules, before = recipe.audit.rules, (state.sidecar.get("audit") if state else None) or {}
        same = before.get("rules_version") == rules_version() and not before["waived"]
        if same and before["rules_sha256"] == (file_sha256(rules) if rules else None):
            return json.dumps(before).encode()
        passed = pass_audit(recipe.manifests, rules, datetime.now(UTC).date())
        write_atomically(recipe.out / REPORT, passed.report)
        record = passed.record
        warnings = record["warnings"]
        told = f"{warnings} warning{'' if warnings == 1 else 's'}, {len(record['waived'])} waived"
        print(f"audit: no errors, {told} ({recipe.out / REPORT})", flush=True)
        return json.dumps(record).encode()

    content = processes.on_main(work)
    return {} if content is None else dict(json.loads(content))


def lineage(init: Path) -> list[dict[str, Any]]:
    """What is known of the weights that a run starts from, then of those before them.

    Raises CheckpointError.
    """
    sidecar = load_checkpoint(init)[1]
    known = {key: sidecar.get(key) for key in ("kind", "manifest_sha256", "audit")}
    return [{"sha256": file_sha256(init), **known}, *sidecar.get("lineage", [])]
