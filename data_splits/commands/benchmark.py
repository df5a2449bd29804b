"""`data-splits benchmark`: time and memory of the audit and the plan on made-up manifests."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_MIRROR_SHARE = 26  # one row in 26 is a mirror's, as in 500,000 + 20,000


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Declare the subcommand's arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "benchmark",
        help="time the audit and the plan on made-up manifests",
        description="Generate a manifest of each size, then read it, apply every rule that needs no audio "
        "and plan it again, each in a process of its own. Prints wall and processor seconds and peak memory.",
        epilog="example: data-splits benchmark --rows 5000 50000 520000 5000000",
    )
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[5_000, 50_000, 520_000], help="default: %(default)s"
    )
    parser.add_argument("--rules", action="store_true", help="time each rule as well")
    parser.add_argument("--one", type=Path, metavar="MANIFEST", help=argparse.SUPPRESS)
    parser.add_argument("--what", choices=("audit", "plan"), help=argparse.SUPPRESS)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the table, or time one manifest for it."""
    if args.one:
        print(json.dumps(_audit(args.one) if args.what == "audit" else _plan(args.one)))
        return 0
    from data_splits.generate import generate
    from data_splits.manifest import write_manifest

    print("| rows | what | wall s | processor s | peak GB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="data-splits-") as folder:
        path = Path(folder) / "manifest.parquet"
        for rows in args.rows:
            write_manifest(generate(rows - rows // _MIRROR_SHARE, max(200, rows // _MIRROR_SHARE)), path)
            for what in ("audit", "plan"):
                for name, (wall_s, cpu_s, peak_gb) in _measured(path, what).items():
                    if args.rules or not name.startswith("  "):
                        print(
                            f"| {rows:,} | {name} | {wall_s:.2f} | {cpu_s:.2f} | {peak_gb:.2f} |", flush=True
                        )
    return 0


def _measured(path: Path, what: str) -> dict[str, tuple[float, float, float]]:
    command = [sys.executable, "-m", "data_splits", "benchmark", "--one", str(path), "--what", what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    found: dict[str, tuple[float, float, float]] = json.loads(done.stdout)
    return found


class _Clock:
    """Wall and processor seconds and the peak memory of this process, line by line."""

    def __init__(self) -> None:
        self.lines: dict[str, tuple[float, float, float]] = {}
        self.restart()

    def restart(self) -> None:
        import time

        self._wall_s, self._cpu_s = time.monotonic(), time.process_time()

    def note(self, name: str) -> None:
        import resource
        import time

        peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        self.lines[name] = (time.monotonic() - self._wall_s, time.process_time() - self._cpu_s, peak_gb)
        self.restart()


def _audit(path: Path) -> dict[str, tuple[float, float, float]]:
    from data_splits.audit import RULES, Audited
    from data_splits.manifest import read_manifest

    clock = _Clock()
    frame = read_manifest(path)
    clock.note("read")
    audited = Audited(frame)
    for name, rule in RULES.items():
        list(rule(audited, name))
        clock.note(f"  {name}")
    each = list(clock.lines.values())[1:]
    clock.lines["all rules"] = (sum(line[0] for line in each), sum(line[1] for line in each), each[-1][2])
    return clock.lines


def _plan(path: Path) -> dict[str, tuple[float, float, float]]:
    from data_splits.plan import make_plan
    from data_splits.recipe import PlanRecipe

    clock = _Clock()
    make_plan(PlanRecipe(sources=[str(path)]), Path.cwd(), path.parent)
    clock.note("plan")
    return clock.lines
