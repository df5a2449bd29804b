"""The folder of a synthetic corpus: what it was made of, which shards are whole, who is making one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr_pretrain.synthesis.engines import synthesizer
from asr_pretrain.synthesis.mixture import text_inputs
from asr_pretrain.synthesis.recipe import SynthesisRecipe
from asr_pretrain.training.recipe import differences

MANIFEST = "recordings.parquet"
COVERAGE = "coverage.json"
STAMP = "synthesis.json"
_VERSION = 2  # raise it when the same recipe gives other samples


class SynthesizeError(ValueError):
    """The corpus cannot be made so, or not there; the message says why and what to do."""


def shard_path(out: Path, shard: int) -> Path:
    """`speech-00000.tar` and so on."""
    return out / f"speech-{shard:05d}.tar"


def present_engines(recipe: SynthesisRecipe) -> dict[str, str]:
    """Versions of the recipe's synthesizers, without optional ones that are not installed.

    Raises:
        SynthesizeError: one that is not optional is missing, or all are.
    """
    versions: dict[str, str] = {}
    for name, given in recipe.engines.items():
        engine = synthesizer(name)
        version = engine.version()
        if version is not None:
            versions[name] = version
        elif not given.optional:
            raise SynthesizeError(
                f"engines.{name}: not installed; {engine.INSTALL}, or give it `optional: true` in the recipe"
            )
    if not versions:
        raise SynthesizeError(f"engines: none of {', '.join(recipe.engines)} is installed")
    return versions


def make_stamp(recipe: SynthesisRecipe) -> dict[str, Any]:
    """Everything that decides the samples: recipe, synthesizers and texts."""
    return {
        "version": _VERSION,
        "recipe": _values(recipe),
        "engines": present_engines(recipe),
        "texts": text_inputs(recipe),
    }


def _values(recipe: SynthesisRecipe) -> dict[str, Any]:
    # Where the transcripts lie decides nothing, what they say does; --out is not part of the corpus either.
    return recipe.model_dump(mode="json", exclude={"out", "recordings"})


def claim(out: Path, stamp: dict[str, Any]) -> None:
    """Write the stamp into a new folder, or compare it with the one that is there.

    Raises:
        SynthesizeError: the folder holds another corpus, with the differences, or something else.
    """
    path = out / STAMP
    if out.exists() and not out.is_dir():
        raise SynthesizeError(f"{out}: is a file; name a folder")
    out.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        if any(out.iterdir()):
            raise SynthesizeError(f"{out}: holds something else; name a new or empty folder")
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SynthesizeError(f"{path}: damaged ({error}); remove the folder and start anew") from error
    with contextlib.suppress(KeyError, TypeError, ValueError):  # a key that came later has its default
        before["recipe"] = _values(SynthesisRecipe.model_validate({**before["recipe"], "out": out}))
    changed = differences(before, stamp)
    if changed:
        raise SynthesizeError(
            f"{out}: was made with another recipe, other synthesizers or other texts: {'; '.join(changed)}. "
            "Put them back as they were, or give another --out"
        )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a shard while it is made; a killed process lets go of it.

    Raises:
        SynthesizeError: another process makes it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows, where nobody is kept from making a shard twice
        yield
        return
    lock = path.with_suffix(".lock")
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SynthesizeError(
                f"{path}: another run is making it; give each run its own --shards, or wait"
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
