"""`wakeword card`: the model card: what it is, what it learnt from, how well it hears, its limits.

wakeword card wakeword/recipes/card.yaml

Nothing is scored: the figures are those that `wakeword results` condensed from scores and benchmarks.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pydantic import Field

from asr_pretrain.training.checkpoint import file_sha256
from asr_pretrain.training.recipe import RecipeError, Strict, load_recipe
from mirror_device.logmel import STEP_SAMPLES
from wakeword.cuts import SAMPLE_RATE_HZ, member, select_rows
from wakeword.model import TriggerModel, load_trigger
from wakeword.results import read_results, table
from wakeword.train import TriggerRecipe

_CHECKPOINT = "trigger.safetensors"


class Card(Strict):
    """What the card is about."""

    rounds: list[Path] = Field(min_length=1)
    """Fine-tuning recipes beside this file, each begun from what the one before made; all have finished."""
    model: Path
    """The device's file; the card goes beside it."""
    results: Path | None = None
    """What `wakeword results` keeps."""
    limits: list[str] = []


def heard(recipe: TriggerRecipe) -> list[str]:
    """A table in Markdown: what a round drew its cuts from."""
    frame = select_rows(recipe.manifests, recipe.phrase, "train", recipe.voices)
    total = sum(group.share for group in recipe.cuts.groups)
    lines = [
        "| cuts | share | recordings | hours | voices | sources and licences |",
        "|---|---|---|---|---|---|",
    ]
    for group in recipe.cuts.groups:
        rows = frame.filter(member(group))
        if not len(rows):
            continue
        hours = rows["duration_s"].sum() / 3600
        sources = rows.group_by("source", "licence").len().sort("len", descending=True)
        told = "; ".join(f"{source} ({licence})" for source, licence, _ in sources.iter_rows())
        lines.append(
            f"| {group.name} | {group.share / total:.0%} | {len(rows):,} | {hours:.2f} | "
            f"{rows['speaker'].drop_nulls().n_unique():,} | {told} |"
        )
    return lines


def one_round(path: Path, recipe: TriggerRecipe) -> list[str]:
    """One fine-tuning in Markdown."""
    _, sidecar = load_trigger(recipe.out / _CHECKPOINT)
    seeds, share = sidecar.get("averaged_seeds", []), sidecar.get("start_share", 0.0)
    mean = f"the mean of {len(seeds)} runs of " if len(seeds) > 1 else ""
    kept = f", and {share:.0%} of what they began from" if share else ""
    return [
        f"`wakeword train wakeword/recipes/{path.name}`, revision {sidecar['git_revision']}, "
        f"{sidecar['trained_at']}: {mean}{sidecar['steps']:,} steps{kept}; "
        f"{sidecar['heard_utterances']:,.0f} cuts, "
        f"{sidecar['heard_audio_s'] / 3600:,.0f} h in {sidecar['training_s'] / 60:.0f} minutes, always "
        f"through the simulated car. Begun from {_short(sidecar['init_sha256'])}.",
        "",
        *heard(recipe),
    ]


def text(card: Card, recipes: dict[Path, TriggerRecipe], metadata: dict[str, Any], model_path: Path) -> str:
    """The card in Markdown. Raises RecipeError, CheckpointError, ManifestError, ResultsError."""
    model, sidecar = load_trigger([*recipes.values()][-1].out / _CHECKPOINT)
    checkpoint = file_sha256([*recipes.values()][-1].out / _CHECKPOINT)
    if metadata.get("checkpoint_sha256") != checkpoint:
        raise RecipeError(
            f"{model_path}: was made from weights {_short(metadata.get('checkpoint_sha256'))}, the last "
            f"round's are {_short(checkpoint)}; quantize them, or name the recipes that it was made by"
        )
    keyword = metadata["keywords"][0]
    smoothing_ms = metadata["smoothing_steps"] * STEP_SAMPLES / SAMPLE_RATE_HZ * 1000
    lines = [
        f"# “{keyword['phrase']}”",
        "",
        f"`{model_path.name}`, version {metadata['version']}, {metadata['precision']}, "
        f"{model_path.stat().st_size / 1e3:.0f} kB, SHA-256 {_short(file_sha256(model_path))}. "
        f"{sum(p.numel() for p in model.parameters()) / 1e3:.0f}k parameters, "
        f"{macs_per_second(model) / 1e6:.1f} M multiply-accumulates a second of audio. It answers every "
        f"80 ms; what is compared with the threshold of {keyword['threshold']:.3f} (chosen on dev for "
        f"{keyword['fa_per_hour']} false accepts an hour) is the mean of {smoothing_ms:.0f} ms. "
        "This card is written by `wakeword card`.",
        "",
        "## What it learnt from",
    ]
    for path, recipe in recipes.items():
        lines += ["", *one_round(path, recipe)]
    lineage = [f"{item['kind']} {_short(item['sha256'])}" for item in sidecar.get("lineage", [])]
    lines += ["", f"Its layers come from: {', '.join(lineage) or 'nothing, it was trained from scratch'}."]
    if card.results is not None:
        lines += ["", "## How well it hears", "", table(read_results(card.results))]
    if card.limits:
        lines += ["", "## Limits", "", *(f"- {limit}" for limit in card.limits)]
    return "\n".join(lines) + "\n"


def macs_per_second(model: TriggerModel) -> float:
    """Multiply-accumulates for a second of audio, all convolutions and the phones' output."""
    per_frame = sum(p.numel() for p in model.head.parameters() if p.dim() > 1)
    if model.spotter is not None:
        per_frame += model.spotter.phones.weight.numel()
    return model.encoder.config.macs_per_second() + 25.0 * per_frame


def _short(sha256: str | None) -> str:
    return "nothing" if sha256 is None else f"`{sha256[:12]}`"


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "card",
        help="write the model card",
        description=__doc__,
        epilog="example: wakeword card wakeword/recipes/card.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("card", type=Path, help="YAML: the rounds' recipes, the model, the results")
    parser.add_argument("--out", type=Path, help="default: beside the model, MODEL.md")


def run(args: argparse.Namespace) -> int:
    """Write the card."""
    from mirror_device import Detector

    card = load_recipe(args.card, Card)
    recipes = {path: load_recipe(args.card.parent / path, TriggerRecipe) for path in card.rounds}
    out = args.out or card.model.with_suffix(".md")
    written = text(card, recipes, Detector(card.model).metadata, card.model)
    out.write_text(written, encoding="utf-8")
    print(out)
    return 0
