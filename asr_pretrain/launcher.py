"""The command line of ``asr-pretrain`` and ``wakeword``: only the module that is asked for is imported."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import sys
from dataclasses import dataclass

TRAIN_MODULES = (
    "torch",
    "torchaudio",
    "speechbrain",
    "onnx",
    "onnxscript",
    "safetensors",
    "pyroomacoustics",
    "espeakng_loader",
    "matplotlib",
    "polars",
    "pydantic",
    "yaml",
    "rich",
    "soundfile",
    "scipy",
)


@dataclass(frozen=True)
class Command:
    """A subcommand: ``module`` has ``add_parser(subparsers)`` and ``run(args) -> int``."""

    module: str
    summary: str


def keep_freed_memory() -> None:
    """Asks glibc to keep what tensors free instead of handing it back to the kernel after every operation.

    Batches are tens of megabytes, above malloc's mmap threshold, so each operation paid page faults:
    a third of the time of an element-wise step on the CPU. Elsewhere than on glibc nothing happens.
    """
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in (
            (mmap_max, 0),
            (trim_threshold, 2**31 - 1),
            (top_pad, 64 << 20),
            (arena_max, 1),
        ):
            mallopt(option, value)


def launch(
    prog: str, description: str, example: str, commands: dict[str, Command], argv: list[str] | None
) -> int:
    """Runs one subcommand; 0 done, 1 the check failed, 2 unusable input, 130 interrupted."""
    words = sys.argv[1:] if argv is None else argv
    asked = words[0] if words else "--help"
    if asked not in commands:
        return _overview(prog, description, example, commands, asked)
    parser = argparse.ArgumentParser(prog=prog)
    subparsers = parser.add_subparsers(dest="command", required=True)
    keep_freed_memory()
    try:
        module = importlib.import_module(commands[asked].module)
        module.add_parser(subparsers)
        return int(module.run(parser.parse_args(words)))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in TRAIN_MODULES:
            raise
        print(
            f"error: '{prog} {asked}' needs the 'train' extra: pip install 'rearview-wakeword[train]'",
            file=sys.stderr,
        )
        return 2
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if type(error).__name__ != "TrainingStopped":
            raise
        print(f"stopped: {error}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


def _overview(prog: str, description: str, example: str, commands: dict[str, Command], asked: str) -> int:
    width = max(map(len, commands))
    lines = [f"usage: {prog} COMMAND …", "", description, "", "commands:"]
    lines += [f"  {name:<{width}}  {command.summary}" for name, command in commands.items()]
    lines += ["", f"`{prog} COMMAND --help` tells more.", "", f"example: {example}"]
    if asked in ("-h", "--help"):
        print("\n".join(lines))
        return 0
    print("\n".join([*lines, "", f"error: unknown command {asked!r}"]), file=sys.stderr)
    return 2
