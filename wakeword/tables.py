"""Results as tables on stderr: numbers first, what they rest on below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wakeword.streams import condition_label

_FILE_COLUMNS = 120


def percent(rate: float | None) -> str:
    """`12.5 %`, or a dash where there is nothing to divide."""
    return "–" if rate is None else f"{100 * rate:.1f} %"


def percent_interval(interval: Sequence[float] | None) -> str:
    """`3.1–20.4 %`; a dash where nothing was there to resample (all heard or all missed)."""
    return (
        "–"
        if interval is None or interval[0] == interval[1]
        else f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f} %"
    )


def seconds(value: float | None) -> str:
    """`0.35 s`."""
    return "–" if value is None else f"{value:.2f} s"


def stderr_console() -> Console:
    """Standard error; wide enough for the tables where it is a file or a pipe."""
    console = Console(stderr=True)
    return console if console.is_terminal else Console(stderr=True, width=_FILE_COLUMNS)


def _say(console: Console, text: str) -> None:
    console.print(Text(text))


def print_score(result: dict[str, Any], console: Console | None = None) -> None:
    """Print the result of `wakeword score MANIFEST`."""
    console = console or stderr_console()
    negatives = result["negatives"]
    _say(console, result["note"])
    _say(
        console,
        f"{result['phrase']!r} on {result['split']}: {result['takes']} takes of {result['voices']} voices, "
        f"{result['draws']} draw(s); {negatives['hours']:.2f} h of negatives in "
        f"{negatives['recordings']} recordings",
    )
    for model in result["models"]:
        _print_model(console, model, result["split"])
    hours = Table(title="Negatives played", title_justify="left")
    hours.add_column("kind, then source")
    hours.add_column("hours", justify="right")
    for group in ("by_kind", "by_source"):
        for name, value in negatives[group].items():
            hours.add_row(Text(name), f"{value:.2f}")
        hours.add_section()
    console.print(hours)
    for check in result.get("checks", []):
        verdict = "passed" if check["passed"] else "FAILED"
        _say(console, f"{verdict}: {check['check']}: {check['value']:.3g} ({check['model']})")


def print_slices(result: dict[str, Any], console: Console | None = None) -> None:
    """Print the result of `wakeword slices`."""
    console = console or stderr_console()
    _say(console, result["note"])
    noise = "no car noise" if result["snr_db"] is None else f"car noise at {result['snr_db']:g} dB"
    table = Table(title=Text(f"{result['model']} on {result['split']}, {noise}"), title_justify="left")
    for name in ("slice", "FRR", "misses", "95 % by voice"):
        table.add_column(name, justify="left" if name == "slice" else "right")
    table.add_column("missed, by voice")
    for row in result["slices"]:
        voices = ", ".join(f"{voice} {count}" for voice, count in row["missed_voices"].items())
        figures = (
            percent(row["frr"]),
            f"{row['misses']}/{row['takes']}",
            percent_interval(row["by_voice_95"]),
        )
        table.add_row(row["slice"], *figures, Text(voices))
    console.print(table)


def _print_model(console: Console, model: dict[str, Any], split: str) -> None:
    own, read_off = model["own_threshold"], model["read_off_this_split"]
    title = f"{model['model']} ({model['precision'] or 'precision unknown'})"
    table = Table(title=Text(title), title_justify="left")
    for name in ("condition", "FRR", "misses", "95 % (Wilson)", "95 % by voice"):
        table.add_column(name, justify="left" if name == "condition" else "right", no_wrap=True)
    for target in read_off:
        table.add_column(f"at {target} FA/h,\nread off {split}", justify="right", no_wrap=True)
    for name in ("strays", "latency\np50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    for condition, point in own["conditions"].items():
        table.add_row(
            condition_label(condition),
            percent(point["frr"]),
            f"{point['misses']}/{point['words']}",
            percent_interval(point["wilson_95"]),
            percent_interval(point["by_voice_95"]),
            *(percent(other["conditions"][condition]["frr"]) for other in read_off.values()),
            str(point["strays"]),
            seconds(point["latency_p50_s"]),
            seconds(point["latency_p95_s"]),
        )
    mean = own["mean_frr_but_quiet"]
    if mean is not None:
        others = (percent(other["mean_frr_but_quiet"]) for other in read_off.values())
        table.add_section()
        table.add_row("mean but quiet", percent(mean), "", "", "", *others)
    console.print(table)
    _say(console, f"own threshold {own['threshold']:.4f}: {own['statement']}")
    for target, other in read_off.items():
        _say(console, f"{target} FA/h: threshold {other['threshold']:.4f} read off {split}")
    _print_voices(console, own)
    _print_worst(console, model["worst_false_accepts"])


def _print_voices(console: Console, own: dict[str, Any]) -> None:
    conditions = own["conditions"]
    table = Table(title="Misses by voice, own threshold", title_justify="left")
    table.add_column("voice")
    for condition in conditions:
        table.add_column(condition_label(condition), justify="right")
    for voice in sorted({voice for point in conditions.values() for voice in point["misses_by_voice"]}):
        cells = (point["misses_by_voice"].get(voice) for point in conditions.values())
        table.add_row(Text(voice), *(f"{cell[0]}/{cell[1]}" if cell else "–" for cell in cells))
    console.print(table)


def _print_worst(console: Console, worst: Sequence[dict[str, Any]], limit: int = 8) -> None:
    table = Table(title="Highest scores on negatives", title_justify="left")
    for name in ("recording", "source", "drive", "at", "score", "accepted"):
        table.add_column(name, justify="right" if name in ("at", "score") else "left")
    for row in worst[:limit]:
        table.add_row(
            Text(str(row["id"])),
            Text(str(row["source"])),
            str(row["drive"]),
            seconds(row["time_in_recording_s"]),
            f"{row['score']:.3f}",
            "yes" if row["accepted"] else "no",
        )
    console.print(table)


def print_drive(results: Sequence[dict[str, Any]], console: Console | None = None) -> None:
    """Print the results of `wakeword score --stream`, one a model."""
    console = console or stderr_console()
    for result in results:
        table = Table(title=Text(f"{result['model']}, threshold {result['threshold']:.4f}"))
        for name in ("start", "end", "spoken", "heard at", "latency", "score"):
            table.add_column(name)
        for row in result["events"]:
            score = "–" if row["score"] is None else f"{row['score']:.3f}"
            heard = "missed" if row["heard_s"] is None else f"{row['heard_s']:.2f} s"
            table.add_row(
                seconds(row["start_s"]),
                seconds(row["end_s"]),
                Text(row["text"]),
                heard,
                seconds(row["latency_s"]),
                score,
            )
        for row in result["stray_events"]:
            table.add_row("", "", "nothing (stray)", f"{row['time_s']:.2f} s", "", f"{row['score']:.3f}")
        console.print(table)
        _say(
            console,
            f"{result['hits']} of {result['words']} words heard, FRR {percent(result['frr'])} "
            f"({percent_interval(result['wilson_95'])}), {result['strays']} stray(s)",
        )
        if result["rest_statement"]:
            _say(console, f"the rest of the drive: {result['rest_statement']}")


def print_compare(result: dict[str, Any], console: Console | None = None) -> None:
    """Print the result of `wakeword compare`."""
    console = console or stderr_console()
    _say(console, result["note"])
    _say(
        console,
        f"A = {result['a']}, B = {result['b']}; {result['takes']} takes of {result['voices']} voices of "
        f"{result['split']}, the same streams for both, {result['hours']:.2f} h of negatives",
    )
    for target, table_result in result["at_fa_per_hour"].items():
        title = f"at {target} FA/h, thresholds read off this split: {table_result['statement']}"
        table = Table(title=Text(title), title_justify="left")
        for name in ("condition", "FRR A", "FRR B", "B − A", "95 % (paired, by take)", "verdict"):
            table.add_column(name, justify="left" if name in ("condition", "verdict") else "right")
        for condition, row in table_result["conditions"].items():
            table.add_row(
                condition if condition == "all but quiet" else condition_label(condition),
                percent(row["frr_a"]),
                percent(row["frr_b"]),
                percent(row["difference"]),
                percent_interval(row["interval_95"]),
                row["verdict"],
            )
        console.print(table)


def print_diagnose(result: dict[str, Any], console: Console | None = None) -> None:
    """Print the result of `wakeword diagnose`."""
    console = console or stderr_console()
    _say(console, result["note"])
    table = Table(title=Text(f"{result['model']}, one threshold: {result['threshold']:.4f}"))
    for name in ("split", "FRR", "95 % (by voice)", "misses", "takes", "voices", "FA/h", "negatives"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for name, row in result["splits"].items():
        if row is None:
            table.add_row(name, "unknown", *[""] * 6)
            continue
        table.add_row(
            name,
            percent(row["frr"]),
            percent_interval(row.get("by_voice_95")),
            f"{row['misses']}/{row['words']}" if "words" in row else "",
            str(row.get("takes", "")),
            str(row.get("voices", "")),
            "" if row.get("fa_per_hour") is None else f"{row['fa_per_hour']:.2f}",
            "" if row.get("hours") is None else f"{row['hours']:.2f} h",
        )
    console.print(table)
    gaps = Table(title="Gaps", title_justify="left", show_lines=True)
    for name in ("gap", "size", "95 %", "verdict", "remedy"):
        gaps.add_column(name)
    for row in result["gaps"]:
        gaps.add_row(
            f"{row['name']}\n({row['between']})",
            percent(row["gap"]),
            percent_interval(row["interval_95"]),
            row["verdict"],
            row["remedy"] or "",
        )
    console.print(gaps)


def print_benchmark(result: dict[str, Any], console: Console | None = None) -> None:
    """Print the result of `wakeword benchmark`: each engine at its best within the limit."""
    console = console or stderr_console()
    _say(console, result["note"])
    _say(
        console,
        f"{result['phrase']!r} on {result['split']}: {result['takes']} takes of {result['voices']} voices, "
        f"{result['hours']:.2f} h of negatives; fewest misses at ≤ {result['fa_per_hour']:g} FA/h",
    )
    engines = result["engines"]
    conditions = next(iter(engines.values()))["default"]["conditions"]
    table = Table(title="FRR at equal false accepts", title_justify="left")
    table.add_column("engine", no_wrap=True)
    for name in (*map(condition_label, conditions), "FA/h", "latency p50", "p95", "CPU", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for engine in engines.values():
        best = engine["best"]
        cells = [percent(best["conditions"][c]["frr"]) if best else "–" for c in conditions]
        cells += [f"{best['fa_per_hour']:.2f}" if best else "–"]
        cells += [seconds(best[key] if best else None) for key in ("latency_p50_s", "latency_p95_s")]
        cells += [f"{100 * engine['cpu_share']:.2f} %", f"{engine['peak_mb']:.0f}"]
        table.add_row(Text(f"{engine['name']} {engine['version']}"), *cells)
    console.print(table)
    for engine, rows in result["paired"].items():
        told = ", ".join(
            f"{condition_label(c)} {row['ours']} to {row['theirs']}{'*' if row['significant'] else ''}"
            for c, row in rows.items()
        )
        _say(console, f"misses, ours to {engine}'s: {told} (* the paired interval excludes zero)")
