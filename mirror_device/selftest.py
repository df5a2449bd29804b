"""``mirror-device selftest``: does the model compute what it should here, and hear its word."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mirror_device.update import FOLDER

if TYPE_CHECKING:
    from mirror_device.detector import Detector

EPILOG = """\
examples:
  mirror-device selftest                                   the shipped model, without a recording of its word
  mirror-device selftest --word said.wav --other drive.wav
  mirror-device selftest slot:smart_mirror                 on the recordings that came with an update
  mirror-device selftest new.onnx --json

Exit: 0 where all is well, 1 where something fails, 2 for unusable input.
"""
NOISE_S = 20.0
ENGINES: tuple[Literal["native"], Literal["numpy"]] = ("native", "numpy")


def add_parser(sub: Any) -> None:
    """Declare the subcommand."""
    parser = sub.add_parser(
        "selftest",
        help="try a model on this machine, on recordings too",
        description="Try a model on this machine: its arithmetic, its silence, its word.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", nargs="?", default="smart_mirror", help="shipped, file, or slot:NAME")
    parser.add_argument("--word", type=Path, action="append", default=[], metavar="WAV", help="says the word")
    parser.add_argument("--other", type=Path, action="append", default=[], metavar="WAV", help="does not")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of slots (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Returns the exit status. Raises ValueError (ModelError, SoundError) for unusable input."""
    from mirror_device.detector import Detector

    source, words, others = _material(args)
    detector = Detector(source)
    results = dict(checks(detector, words, others))
    failed = [name for name, problem in results.items() if problem]
    model = f"{detector.metadata['name']} {detector.metadata['version']}"
    if args.json:
        print(json.dumps({"model": model, "passed": not failed, "checks": results}, ensure_ascii=False))
    else:
        print(model)
        for name, problem in results.items():
            print(f"  {'FAIL' if problem else 'ok  '}  {name}{': ' + problem if problem else ''}")
        if not words:
            print("no recording of the word was given (--word), so none was listened to", file=sys.stderr)
    return 1 if failed else 0


def checks(detector: Detector, words: list[Path], others: list[Path]) -> Iterator[tuple[str, str]]:
    """Name of each check, and what is wrong, empty where nothing is."""
    from mirror_device.trial import failures

    yield "C and numpy give the same scores", _engines(detector)
    yield "any chunks give the same scores", _chunks(detector)
    yield f"quiet in {3 * NOISE_S:.0f} s of silence, noise and a square wave", _noise(detector)
    for kind, paths in (("the word", words), ("other sound", others)):
        for path in paths:
            wrong = failures(detector, [path] if paths is words else [], [path] if paths is others else [])
            yield f"{path.name} ({kind})", "; ".join(wrong)


def _material(args: argparse.Namespace) -> tuple[str, list[Path], list[Path]]:
    """Model and recordings."""
    if not args.model.startswith("slot:"):
        return args.model, args.word, args.other
    from mirror_device.update.slots import Slots

    slots = Slots(args.folder, args.model.removeprefix("slot:"))
    active = slots.state().active
    if active is None:
        raise ValueError(f"{slots.folder}: nothing is installed; the shipped model is in use")
    words, others = slots.recordings(active)
    return str(slots.model(active)), [*words, *args.word], [*others, *args.other]


def _engines(detector: Detector) -> str:
    import numpy as np

    from mirror_device import native
    from mirror_device.logmel import STEP_SAMPLES, LogMel
    from mirror_device.model import Model

    if detector.metadata.get("network") is None or not native.AVAILABLE:
        return ""  # there is only one
    sound = np.random.default_rng(0).normal(0, 1000, (12, STEP_SAMPLES)).astype(np.int16)
    front_end = LogMel()
    frames = [front_end.process(step) for step in sound]
    compiled, plain = (Model(detector.path, engine) for engine in ENGINES)
    off = max(float(np.abs(compiled.step(step) - plain.step(step)).max()) for step in frames)
    return f"they differ by {off:g}" if off else ""


def _chunks(detector: Detector) -> str:
    import numpy as np

    sound = np.random.default_rng(1).normal(0, 1000, 32000).astype(np.int16)
    detector.reset()
    whole = detector.scores(sound)
    detector.reset()
    pieces = np.concatenate([detector.scores(sound[at : at + 777]) for at in range(0, len(sound), 777)])
    return "" if np.array_equal(whole, pieces) else "they differ"


def _noise(detector: Detector) -> str:
    import numpy as np

    n = round(NOISE_S * 16000)
    rng = np.random.default_rng(2)
    square = np.where(np.arange(n) // 40 % 2, 32767, -32768)
    sounds = {"silence": np.zeros(n), "noise": rng.normal(0, 3000, n), "a square wave": square}
    for name, sound in sounds.items():
        detector.reset()
        if found := detector.process(sound.astype(np.int16)):
            return f"heard {found[0].keyword!r} in {name} at {found[0].time_s:.2f} s"
    return ""
