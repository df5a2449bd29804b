"""The model card of a pretrained recogniser: what it heard, how it learnt, how well it hears, its limits.

asr-pretrain card asr_pretrain/recipes/encoder_card.yaml --out asr_pretrain/models

Scores what has not been scored yet; everything else is read from the run and its manifests.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from asr_pretrain.loading.transcripts import first_shards, read_rows
from asr_pretrain.score import score
from asr_pretrain.screen import Scored
from asr_pretrain.train import PretrainRecipe, load_recogniser
from asr_pretrain.training.checkpoint import file_sha256
from asr_pretrain.training.history import read_history
from asr_pretrain.training.recipe import Strict, load_recipe

ENCODER, SCORES = "encoder.safetensors", "scores.json"
_SMOOTHED_STEPS = 100


class Card(Strict):
    """What the card is about."""

    stages: list[Path] = Field(min_length=1)
    """Pretraining recipes beside this file, each begun from what the one before made; all have finished."""
    scored: dict[str, Scored] = Field(min_length=1)
    snr_db: list[float | None] = [None, 10.0, 0.0]
    """null is clean; else in the simulated car of the set's part."""
    limits: list[str] = []


def data_table(recipe: PretrainRecipe) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Utterances, hours, licence and weight by source, and the distinct recordings and texts of all."""
    rows = read_rows(
        recipe.manifests,
        lambda f: first_shards(
            f.filter(
                (pl.col("split") == "train")
                & pl.col("text").is_not_null()
                & pl.col("noise_parent").is_null()
                & (pl.col("duration_s") <= recipe.max_utterance_s)
            ),
            recipe.shards,
        ),
    )
    weight = pl.col("source").replace_strict(recipe.source_weights, default=1.0, return_dtype=pl.Float64)
    rows = rows.with_columns(weight.alias("weight")).filter(pl.col("weight") > 0)
    table = (
        rows.group_by("source", "licence", "weight")
        .agg(
            pl.len().alias("utterances"),
            (pl.col("duration_s").sum() / 3600).alias("hours"),
            pl.col("speaker").n_unique().alias("voices"),
        )
        .with_columns((pl.col("hours") * pl.col("weight")).alias("heard"))
        .with_columns(pl.col("heard") / pl.col("heard").sum())
        .sort("hours", descending=True)
    )
    totals = {
        "utterances": len(rows),
        "distinct_recordings": rows.select(pl.coalesce("pcm_sha256", "audio").n_unique()).item(),
        "distinct_texts": rows["text"].str.to_lowercase().n_unique(),
        "hours": float(rows["duration_s"].sum()) / 3600,
    }
    return table, totals


def scores(card: Card, encoder: Path) -> list[dict[str, Any]]:
    """Phoneme error rate of every set at every SNR; kept beside the encoder, so that each is heard once."""
    path, digest = encoder.parent / SCORES, file_sha256(encoder)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known = kept.get("rows", {}) if kept.get("encoder_sha256") == digest else {}
    rows = []
    for name, what in card.scored.items():
        for snr_db in card.snr_db:
            key = json.dumps([name, what.model_dump(mode="json"), snr_db], sort_keys=True)
            if key not in known:
                known[key] = score(what.manifest, encoder, what.split, snr_db, 0, what.sources)
                path.write_text(json.dumps({"encoder_sha256": digest, "rows": known}, indent=1) + "\n")
            rows.append({"set": name, **known[key], "snr_db": snr_db})
    return rows


def curve(folders: list[Path], path: Path) -> None:
    """Loss by step of the runs one after the other, averaged over 100 steps, as SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    before = 0
    for folder in folders:
        history = read_history(folder)
        chunks = [history[i : i + _SMOOTHED_STEPS] for i in range(0, len(history), _SMOOTHED_STEPS)]
        steps = [before + chunk[-1]["step"] for chunk in chunks]
        losses = [sum(row["loss"] for row in chunk) / len(chunk) for chunk in chunks]
        axes.plot(steps, losses, linewidth=1.5, label=folder.name)
        before = steps[-1]
    axes.set(xlabel="step", ylabel="CTC loss (nats a unit), in the car", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def stage(path: Path, recipe: PretrainRecipe) -> list[str]:
    """One run in Markdown: what it heard, for how long."""
    _, sidecar = load_recogniser(recipe.out / ENCODER)
    table, totals = data_table(recipe)
    training_s, audio_s = sidecar["training_s"], sidecar["heard_audio_s"]
    lines = [
        f"`asr-pretrain train asr_pretrain/recipes/{path.name}`, revision {sidecar['git_revision']}, "
        f"{sidecar['trained_at']}: {totals['utterances']:,} utterances, "
        f"{totals['distinct_recordings']:,} distinct recordings, "
        f"{totals['distinct_texts']:,} distinct texts, {totals['hours']:.0f} h. Over {sidecar['steps']:,} "
        f"steps it heard {sidecar['heard_utterances']:,.0f} utterances, {audio_s / 3600:,.0f} h, in "
        f"{training_s / 3600:.1f} h ({sidecar['heard_utterances'] / training_s:.0f} utterances/s, "
        f"{audio_s / training_s:.0f} × real time), always through the simulated car.",
        "",
        "| source | licence | utterances | hours | voices | weight | share of what was heard |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table.iter_rows(named=True):
        lines.append(
            f"| {row['source']} | {row['licence']} | {row['utterances']:,} | {row['hours']:.2f} | "
            f"{row['voices']:,} | {row['weight']:g} | {row['heard']:.1%} |"
        )
    return lines


def text(card: Card, recipes: dict[Path, PretrainRecipe]) -> str:
    """The card in Markdown."""
    encoder = [*recipes.values()][-1].out / ENCODER
    model, sidecar = load_recogniser(encoder)
    shape = model.encoder.config
    heard = scores(card, encoder)
    lines = [
        "# The general recogniser",
        "",
        f"A causal convolutional encoder at 25 frames/s with a CTC output of {len(sidecar['units'])} "
        f"{sidecar['targets']}; wake words are built on its layers. "
        f"{sum(p.numel() for p in model.parameters()) / 1e3:.0f}k parameters, "
        f"{shape.macs_per_second() / 1e6:.1f} M multiply-accumulates a second of audio. "
        "This card is written by `asr-pretrain card`.",
        "",
        "## What it heard",
    ]
    for path, recipe in recipes.items():
        lines += ["", *stage(path, recipe)]
    lines += ["", "![loss by step](encoder.svg)", "", "## How well it hears", ""]
    lines.append(
        "Phoneme error rate, 39 phones, greedy, insertions counted; the reference is espeak-ng's reading of "
        "the text. The car is simulated, with cabins and noise of the set's own part."
    )
    names = ["clean" if snr is None else f"{snr:g} dB" for snr in card.snr_db]
    lines += ["", f"| set | utterances | hours | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    for name in card.scored:
        mine = [row for row in heard if row["set"] == name]
        rates = " | ".join(f"{row['per']:.1%}" for row in mine)
        lines.append(f"| {name} | {mine[0]['utterances']:,} | {mine[0]['hours']:.2f} | {rates} |")
    if card.limits:
        lines += ["", "## Limits", "", *(f"- {limit}" for limit in card.limits)]
    return "\n".join(lines) + "\n"


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "card",
        help="score a finished run and write its model card",
        epilog="example: asr-pretrain card asr_pretrain/recipes/encoder_card.yaml --out runs",
    )
    parser.add_argument("card", type=Path, help="YAML: the recipe, and what is scored")
    parser.add_argument("--out", type=Path, required=True, help="folder of encoder.md and encoder.svg")


def run(args: argparse.Namespace) -> int:
    card = load_recipe(args.card, Card)
    recipes = {path: load_recipe(args.card.parent / path, PretrainRecipe) for path in card.stages}
    written = text(card, recipes)
    args.out.mkdir(parents=True, exist_ok=True)
    curve([recipe.out for recipe in recipes.values()], args.out / "encoder.svg")
    (args.out / "encoder.md").write_text(written, encoding="utf-8")
    print(args.out / "encoder.md")
    return 0
