"""What lets a rendering stop and go on: a log of finished rows, and the recipe they were made by."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from asr_pretrain.training.recipe import RecipeError, differences


class RenderLog:
    """Finished rows of a folder by id, from its manifest and from the log of an unfinished run.

    As a context manager it appends each added row to the log at once; a row whose file has gone is forgotten.
    """

    def __init__(self, folder: Path, manifest: str) -> None:
        self._folder = folder
        self._path = folder / f"{Path(manifest).stem}.partial.jsonl"
        self._stream: TextIO | None = None
        self.rows: dict[str, dict[str, Any]] = {}
        if (folder / manifest).exists():
            for row in pl.read_parquet(folder / manifest).to_dicts():
                self._take(row)
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    self._take(json.loads(line))
                except json.JSONDecodeError:  # the line that was being written when the run was killed
                    continue

    def _take(self, row: dict[str, Any]) -> None:
        if (self._folder / row["audio"]).is_file():
            self.rows[row["id"]] = row

    def __enter__(self) -> RenderLog:
        self._folder.mkdir(parents=True, exist_ok=True)
        # The newline ends a torn line, so that the next row stands on its own.
        self._stream = self._path.open("a", encoding="utf-8")
        self._stream.write("\n")
        return self

    def add(self, row: dict[str, Any]) -> None:
        """Keep a finished row."""
        if self._stream is None:
            raise RuntimeError("RenderLog.add: open the log first, with `with log:`")
        self._stream.write(json.dumps(row) + "\n")
        self._stream.flush()
        self.rows[row["id"]] = row

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def finish(self) -> None:
        """Remove the log once the manifest is written."""
        self._path.unlink(missing_ok=True)


def refuse_change(path: Path, made_by: dict[str, Any]) -> None:
    """Record what a folder is made by, or refuse when it was begun by something else.

    Raises RecipeError listing each key that differs, the folder's value and the new one.
    """
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise RecipeError(
                f"{path}: damaged ({error}); remove the folder's drives and render again"
            ) from error
        if changed := differences(before, made_by):
            raise RecipeError(
                f"{path.parent}: its drives were made otherwise ({'; '.join(changed)}); "
                "give another --out, or remove drives/, drives.parquet and drives.json"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(made_by, stream, indent=2)
    Path(name).replace(path)
