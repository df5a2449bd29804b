"""What a benchmark shows outside a terminal: Markdown for the README, and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wakeword.streams import condition_label
from wakeword.tables import percent, seconds

STAR = "\\*"


def markdown(result: dict[str, Any]) -> str:
    """A row an engine at its setting with the fewest misses within the limit, then our paired misses."""
    engines = result["engines"]
    conditions = list(next(iter(engines.values()))["default"]["conditions"])
    head = ["FRR", *map(condition_label, conditions), "FA/h", "latency p50 / p95", "CPU", "MB"]
    lines = [
        f"**Beside other engines, {result['split']} part**: {result['takes']} takes of “{result['phrase']}” "
        f"by {result['voices']} voices, {result['hours']:.2f} h of negatives, the same streams in one run; "
        f"each engine at its setting with the fewest misses at ≤ {result['fa_per_hour']:g} FA/h. CPU: of one "
        "core, natively, through each engine's own Python binding.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for engine in engines.values():
        best = engine["best"]
        cells = [f"{engine['name']} {engine['version']}"]
        if best is None:
            cells += ["–"] * (len(conditions) + 1) + ["–"]
        else:
            cells += [percent(best["conditions"][name]["frr"]) for name in conditions]
            cells += [f"{best['fa_per_hour']:.2f}"]
            cells += [f"{seconds(best['latency_p50_s'])} / {seconds(best['latency_p95_s'])}"]
        cells += [f"{100 * engine['cpu_share']:.2f} %", f"{engine['peak_mb']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    for engine, rows in result["paired"].items():
        told = ", ".join(
            f"{condition_label(name)} {row['ours']} to {row['theirs']}{STAR if row['significant'] else ''}"
            for name, row in rows.items()
        )
        lines += ["", f"Misses, ours to {engine}'s: {told}."]
    if result["paired"]:
        lines[-1] += f" ({STAR} the paired 95 % interval of the difference excludes zero.)"
    return "\n".join(lines)


def plot(result: dict[str, Any], path: Path) -> None:
    """FRR over the conditions with intervals by voice, a line an engine; SVG or PNG by the name's ending."""
    from matplotlib.figure import Figure

    from wakeword.report import PALETTE

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    shown = [engine for engine in result["engines"].values() if engine["best"] is not None]
    for number, engine in enumerate(shown):
        points = engine["best"]["conditions"]
        places = [place + 0.06 * (number - (len(shown) - 1) / 2) for place in range(len(points))]
        rates = [100 * point["frr"] for point in points.values()]
        color = PALETTE[number % len(PALETTE)]
        axes.plot(
            places, rates, "o-", color=color, markersize=4, label=f"{engine['name']} {engine['version']}"
        )
        for place, point in zip(places, points.values(), strict=True):
            if point["by_voice_95"] is not None:
                low, high = (100 * value for value in point["by_voice_95"])
                axes.plot([place, place], [low, high], color=color, alpha=0.5, linewidth=1.2)
        axes.set_xticks(range(len(points)), [condition_label(name) for name in points])
    axes.set_ylim(0, 100)
    axes.set_ylabel(f"missed at ≤ {result['fa_per_hour']:g} FA/h, %")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
