"""Variants of one pretraining recipe, trained and scored one after the other: a table of phoneme error rates.

asr-pretrain screen asr_pretrain/recipes/shape_screen.yaml

Prints what it will cost in CPU-hours before it starts; a second call goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from asr_pretrain.loading.rate import one_thread
from asr_pretrain.score import score
from asr_pretrain.train import PretrainRecipe, build, ctc_loss, load_recogniser, train
from asr_pretrain.training.recipe import HomePath, RecipeError, Strict, load_recipe, validated

RESULT = "result.json"


class Scored(Strict):
    """One column of the table."""

    manifest: HomePath
    split: str = "dev"
    sources: list[str] | None = None
    snr_db: float | None = None


class Screen(Strict):
    """A base recipe, and what each variant changes in it."""

    base: Path
    """A pretraining recipe, beside the file of the screen."""
    out: HomePath
    common: dict[str, Any] = {}
    """What all variants change."""
    variants: dict[str, dict[str, Any]] = Field(min_length=1)
    seeds: list[int] = [0]
    scored: dict[str, Scored] = Field(min_length=1)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """``below`` with the values of ``above``; mappings are merged key by key."""
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def recipes(
    path: Path, screen: Screen, only: list[str], seeds: list[int]
) -> dict[tuple[str, int], PretrainRecipe]:
    """The recipe of each variant and seed. Raises RecipeError naming the variant that is wrong."""
    unknown = sorted(set(only) - set(screen.variants))
    if unknown:
        raise RecipeError(f"{path}: no variant {unknown[0]!r}; there are {', '.join(screen.variants)}")
    base = path.parent / screen.base
    document = load_recipe(base, PretrainRecipe).model_dump(exclude_unset=True)
    made = {}
    for name in only or screen.variants:
        for seed in seeds:
            changed = merged(merged(document, screen.common), screen.variants[name])
            own = {"optimisation": {"seed": seed}, "out": screen.out / name / f"seed-{seed}"}
            made[name, seed] = validated(merged(changed, own), PretrainRecipe, f"{path}: {name}")
    return made


def cpu_seconds() -> float:
    """User and system time of this process and of the ended ones that it started."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def expected_cpu_hours(recipe: PretrainRecipe) -> float:
    """Steps × (a batch made and learnt from), each measured once, on one core."""
    model, batches = build(recipe, 1, 1)
    steps = recipe.optimisation.total_steps(batches.steps_in)
    made_s, learnt_s = [], []
    with one_thread():
        for step in range(3):
            began = cpu_seconds()
            batch = batches.batch(step, 0, 1)
            assert isinstance(batch, dict)  # one batch a step, asked for above
            made_s.append(cpu_seconds() - began)
            began = cpu_seconds()
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.optimisation.precision == "bf16"):
                _, heads = model(batch["features"], recipe.intermediate_weight > 0)
            torch.stack([ctc_loss(head, batch) for head in heads]).sum().backward()
            learnt_s.append(cpu_seconds() - began)
    return steps * recipe.optimisation.accumulate * (min(made_s) + min(learnt_s)) / 3600


def measured(recipe: PretrainRecipe, screen: Screen) -> dict[str, Any]:
    """Trains and scores one variant, or reads what an earlier call measured."""
    result = recipe.out / RESULT
    if result.exists():
        return json.loads(result.read_text(encoding="utf-8"))
    began, cpu = time.monotonic(), cpu_seconds()
    encoder = train(recipe)
    facts: dict[str, Any] = {"cpu_h": round((cpu_seconds() - cpu) / 3600, 3)}
    facts["wall_s"] = round(time.monotonic() - began)
    model = load_recogniser(encoder)[0]
    facts["parameters"] = sum(p.numel() for p in model.parameters())
    facts["macs_per_s"] = round(model.encoder.config.macs_per_second())
    facts["per"] = {
        column: round(score(what.manifest, encoder, what.split, what.snr_db, 0, what.sources)["per"], 4)
        for column, what in screen.scored.items()
    }
    result.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    return facts


def table(rows: dict[tuple[str, int], dict[str, Any]], columns: list[str]) -> str:
    """Markdown, one row a variant and seed."""
    head = ["variant", "seed", "parameters", "M MAC/s", "CPU-h", *columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for (name, seed), facts in rows.items():
        cells = [name, str(seed), f"{facts['parameters'] / 1e3:.0f}k", f"{facts['macs_per_s'] / 1e6:.1f}"]
        cells += [f"{facts['cpu_h']:.2f}", *(f"{facts['per'][column]:.1%}" for column in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "screen",
        help="variants of a recipe, trained and scored one after the other",
        epilog="example: asr-pretrain screen asr_pretrain/recipes/shape_screen.yaml --seed 0",
    )
    parser.add_argument("screen", type=Path, help="YAML: base recipe, variants, what is scored")
    parser.add_argument("--only", action="append", default=[], help="this variant (repeatable)")
    parser.add_argument(
        "--seed", type=int, action="append", help="this seed (repeatable; default: the file's)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the budget and stop")


def run(args: argparse.Namespace) -> int:
    screen = load_recipe(args.screen, Screen)
    wanted = recipes(args.screen, screen, args.only, args.seed or screen.seeds)
    waiting = {key: recipe for key, recipe in wanted.items() if not (recipe.out / RESULT).exists()}
    hours = {}
    for (name, seed), recipe in waiting.items():
        if name not in hours:
            hours[name] = expected_cpu_hours(recipe)
        print(f"{name}, seed {seed}: {hours[name]:.2f} CPU-hours expected", flush=True)
    total = sum(hours[name] for name, _ in waiting)
    print(f"{len(waiting)} of {len(wanted)} runs to do, {total:.1f} CPU-hours expected", flush=True)
    if args.dry_run:
        return 0
    rows = {}
    for key, recipe in wanted.items():
        rows[key] = measured(recipe, screen)
        name, seed = key
        print(f"{name}, seed {seed}: {rows[key]['per']}", flush=True)
    print(table(rows, list(screen.scored)))
    return 0
