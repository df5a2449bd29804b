"""``mirror-device listen``: the daemon's loop, from sound to one JSON event a line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirror_device.capture import Block
    from mirror_device.detector import Detection, Detector
    from mirror_device.stop import Stop

EPILOG = """\
examples:
  mirror-device listen                                    the default microphone
  mirror-device listen --backend pyaudio --device USB     another one, by a part of its name
  mirror-device listen drive.wav                          a recording, as fast as it can be read
  arecord -q -t raw -f S16_LE -r 16000 -c 1 | mirror-device listen -

Each detection is one line of JSON on standard output, written at once:
  {"event": "detection", "keyword": "smart mirror", "time_s": 12.32, "score": 0.97, "model": "...", "seq": 1}
time_s is the end of the 80 ms step that fired, counted from the first sample heard. At the end of a file or
of standard input, zeros fill the last, partial step. Warnings go to standard error.
Exit: 0 at the end of the sound, on SIGTERM, SIGINT or a closed output; 2 for unusable input.
"""


def add_parser(sub: Any) -> None:
    """Declare the subcommand."""
    parser = sub.add_parser(
        "listen",
        help="hear the wake word in a WAV file, standard input or a microphone",
        description="Listen for the wake word and print one JSON event a line.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_arguments(parser)
    parser.add_argument(
        "--threshold", type=float, help="fire from this score, 0 to 1, instead of the model's own"
    )
    parser.add_argument("--json", action="store_true", help="JSON lines: the default, and the only output")
    parser.set_defaults(run=run)


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """What `open_blocks` opens, and the model that hears it."""
    parser.add_argument(
        "source",
        nargs="?",
        metavar="FILE.wav | -",
        help="- is raw int16 16 kHz mono; without it, a microphone",
    )
    parser.add_argument(
        "--model", default="smart_mirror", help="a shipped model or an .onnx file (%(default)s)"
    )
    parser.add_argument(
        "--backend",
        choices=("sounddevice", "pyaudio"),
        default="sounddevice",
        help="microphone (%(default)s)",
    )
    parser.add_argument("--device", help="microphone: its number or a part of its name")


def run(args: argparse.Namespace) -> int:
    """Returns the exit status. Raises ValueError (ModelError, SoundError) for unusable input."""
    from mirror_device.stop import Stop

    with Stop() as stop:  # before the slow imports: a signal may come at any time
        from mirror_device.detector import Detector

        detector = Detector(args.model, threshold=args.threshold)
        model = f"{detector.metadata['name']} {detector.metadata['version']}"
        try:
            for seq, detection in enumerate(detections(detector, open_blocks(args, stop), stop), start=1):
                _write_line(event_line(detection, model, seq))
        except BrokenPipeError:
            let_go_of_output()
    return 0


def let_go_of_output() -> None:
    """Its reader went away, which is how a pipe ends; nothing may be flushed into it at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def detections(detector: Detector, blocks: Iterator[Block], stop: Stop) -> Iterator[Detection]:
    """Detections as the sound comes; at its end, zeros fill the last, partial step."""
    from mirror_device.capture import padding

    for block in blocks:
        yield from detector.process(block)
        if stop.requested:
            break
    if not stop.requested:
        yield from detector.process(padding(detector.pending_samples))


def event_line(detection: Detection, model: str, seq: int) -> str:
    """One detection as a line of JSON, newline included."""
    event = {
        "event": "detection",
        "keyword": detection.keyword,
        "time_s": round(detection.time_s, 3),
        "score": round(detection.score, 4),
        "model": model,
        "seq": seq,
    }
    return json.dumps(event, ensure_ascii=False) + "\n"


def _write_line(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def open_blocks(args: argparse.Namespace, stop: Stop) -> Iterator[Block]:
    """Open the source that the arguments name. Raises ValueError: two, or one that is unusable."""
    from mirror_device import capture

    if args.device is not None and args.source is not None:
        raise ValueError(f"--device {args.device} and the source {args.source}: give only one of them")

    if args.source == "-":
        return capture.stdin_blocks(stop, capture.warn)
    if args.source is not None:
        from mirror_device.wav import WavFile

        return WavFile(Path(args.source)).blocks()
    from mirror_device.portaudio import BACKENDS

    microphone = capture.Microphone(BACKENDS[args.backend](), args.device, capture.warn)
    print(f"listening to {microphone.name!r} at {microphone.rate_hz} Hz", file=sys.stderr, flush=True)
    return microphone.blocks(stop)
