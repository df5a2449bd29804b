"""`wakeword results`: the README's results table, from the JSON of `wakeword score` and `wakeword benchmark`.

    wakeword score recordings.parquet --split test --model smart_mirror --json test.json
    wakeword benchmark recordings.parquet --split test --json benchmark.json
    wakeword results test.json benchmark.json

Several such files are condensed into one file in the repository, and the table between the README's markers
is rewritten from that file; without files the table is rewritten from what is there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wakeword.benchmark import FORMAT as BENCHMARK_FORMAT
from wakeword.benchmark_page import markdown
from wakeword.streams import condition_label

FORMAT = "rearview-results/1"
SCORE_FORMAT = "rearview-score/1"
BEGIN = "<!-- results: written by `wakeword results`, not by hand -->"
END = "<!-- end of results -->"
_POINT_KEYS = ("threshold", "false_accepts", "fa_per_hour", "fa_per_hour_95", "mean_frr_but_quiet")
_CONDITION_KEYS = (
    "words",
    "takes",
    "voices",
    "misses",
    "frr",
    "wilson_95",
    "by_voice_95",
    "misses_by_voice",
)


class ResultsError(ValueError):
    """A score file or README that the table cannot be made from."""


def condense(score: dict[str, Any], name: str) -> dict[str, Any]:
    """What the table needs of one score: the curves and worst accepts are left out, and no local path stays.

    Raises:
        ResultsError: when the document is not a score over a manifest.
    """
    if score.get("format") != SCORE_FORMAT or "negatives" not in score:
        raise ResultsError(f"{name}: not the JSON of `wakeword score MANIFEST --json FILE`")
    keys: list[str] = ["note", "phrase", "split", "seed", "draws", "takes", "voices"]
    keys += ["manifest", "manifest_sha256", "generator", "noise"]
    negatives = {key: score["negatives"][key] for key in ("hours", "recordings", "by_source")}
    models = [
        {
            **{
                key: model.get(key)
                for key in ("name", "version", "precision", "sha256", "tuned_for_fa_per_hour")
            },
            "own_threshold": _point(model["own_threshold"]),
            "read_off_this_split": {k: _point(p) for k, p in model["read_off_this_split"].items()},
        }
        for model in score["models"]
    ]
    return {**{key: score.get(key) for key in keys}, "negatives": negatives, "models": models}


def _point(point: dict[str, Any]) -> dict[str, Any]:
    conditions = {
        name: {key: result[key] for key in _CONDITION_KEYS} for name, result in point["conditions"].items()
    }
    return {**{key: point[key] for key in _POINT_KEYS}, "conditions": conditions}


def table(results: dict[str, Any]) -> str:
    """The Markdown between the README's markers."""
    blocks = []
    for number, score in enumerate(results["scores"]):
        negatives = score["negatives"]
        conditions = list(score["models"][0]["own_threshold"]["conditions"])
        lines = [
            f"**{score['split']} part{_car(score)}**: {score['takes']} takes of “{score['phrase']}” by "
            f"{score['voices']} voices; {negatives['hours']:.2f} h of negatives "
            f"({negatives['recordings']} recordings).",
            "",
            "| FRR | " + " | ".join(map(condition_label, conditions)) + " | FA/h |",
            "|---|" + "---|" * (len(conditions) + 1),
        ]
        for label, point in _rows(score, read_off=number == 0):
            cells = [_rate(point["conditions"][name]) for name in conditions]
            low, high = point["fa_per_hour_95"]
            accepted = f"{point['fa_per_hour']:.2f} ({low:.2f}–{high:.2f})"
            lines.append(f"| {label} | " + " | ".join(cells) + f" | {accepted} |")
        blocks.append("\n".join(lines))
    blocks += [markdown(benchmark) for benchmark in results.get("benchmarks", [])]
    notes = {score["note"] for score in results["scores"] if score.get("note")}
    closing = (
        "In brackets: 95 % intervals, Wilson's over the distinct takes and Poisson's for FA/h; takes of one "
        "voice resemble each other, so the true uncertainty is wider."
    )
    return "\n\n".join([*blocks, " ".join([*sorted(notes), closing])])


def _car(score: dict[str, Any]) -> str:
    """What is unusual about the car."""
    told = ["cabins and noise made by methods that training never heard"] * (
        score.get("generator") == "unseen"
    )
    noise = score.get("noise") or "mixed"
    return "".join(f", {text}" for text in [*told, *[f"{noise} noise alone"] * (noise != "mixed")])


def _rows(score: dict[str, Any], read_off: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """(label, operating point) of each row: the model's own threshold, then what this split's curve gives."""
    for model in score["models"]:
        name = f"{model['name']} {model['version']}, {model['precision']}"
        own = model["own_threshold"]
        yield f"{name}, threshold {own['threshold']:.3f} chosen on dev", own
        for target, point in model["read_off_this_split"].items() if read_off else ():
            yield f"{name}, read off {score['split']} at ≤ {target} FA/h", point


def _rate(result: dict[str, Any]) -> str:
    low, high = result["wilson_95"]
    return f"{100 * result['frr']:.1f} % ({100 * low:.0f}–{100 * high:.0f})"


def rewrite(readme: str, content: str, name: str = "README.md") -> str:
    """The README with the text between the markers replaced.

    Raises:
        ResultsError: when the markers are not there, once each and in order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ResultsError(
            f"{name}: the markers {BEGIN!r} and {END!r} are missing; put both where the table goes"
        )
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{after}"


def add_parser(sub: Any) -> None:
    """Register the subcommand."""
    parser = sub.add_parser(
        "results",
        help="write the README's results table",
        description=__doc__,
        epilog="example: wakeword results test.json dev.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scores", type=Path, nargs="*", help="JSON of `wakeword score` and `benchmark`")
    parser.add_argument(
        "--results", type=Path, default=Path("docs/results.json"), help="default: %(default)s"
    )
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="default: %(default)s")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when the table is not up to date"
    )


def run(args: argparse.Namespace) -> int:
    """Condense, write, rewrite; 0 done, 1 `--check` found another table. Raises ResultsError, OSError."""
    if args.scores:
        documents = [(path.name, _read(path)) for path in args.scores]
        benchmarks = [document for _, document in documents if document.get("format") == BENCHMARK_FORMAT]
        scores = [condense(document, name) for name, document in documents if document not in benchmarks]
        results = {"format": FORMAT, "scores": scores, "benchmarks": benchmarks}
    else:
        results = read_results(args.results)
    readme = args.readme.read_text(encoding="utf-8")
    written = rewrite(readme, table(results), args.readme.name)
    if args.check:
        print(
            "up to date" if written == readme else f"{args.readme}: the table differs; run `wakeword results`"
        )
        return int(written != readme)
    if args.scores:
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    args.readme.write_text(written, encoding="utf-8")
    print(f"wrote the table of {args.readme} from {args.results}")
    return 0


def read_results(path: Path) -> dict[str, Any]:
    """What `wakeword results` kept. Raises ResultsError, OSError."""
    results = _read(path)
    if results.get("format") != FORMAT:
        raise ResultsError(f"{path}: not written by `wakeword results`; name the score files")
    return results


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path}: not JSON ({error})") from error
    if not isinstance(document, dict):
        raise ResultsError(f"{path}: a JSON object was expected, found {type(document).__name__}")
    return document
