"""Measurements kept on disk, so that an interrupted audit goes on and a second one decodes what is new only.

A folder of Parquet parts, each written whole. A measurement belongs to a file's path, size and time of
change and to the version of the measures; of a member, to those of its tar. Whoever may write the folder
may write what the audit believes: keep it as safe as the manifest, or delete it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import polars as pl

from data_splits.audio import resolve
from data_splits.audit.sound.heard import SCHEMA, VERSION
from data_splits.errors import AudioError
from data_splits.files import whole_file

FOLDER: Final = ".sound"
"""Beside the manifest, unless another is named."""
_KEYED: Final = {"key": pl.String(), **SCHEMA}


def keys(references: Iterable[str], root: Path) -> list[str]:
    """What each recording's measurement is kept under; a missing file has size and time -1."""
    states: dict[str, str] = {}
    found = []
    for reference in references:
        name, _, member = reference.partition("::")
        if name not in states:
            states[name] = _state(name, root)
        found.append(f"{VERSION}|{states[name]}|{member}")
    return found


def _state(name: str, root: Path) -> str:
    try:
        path = os.path.abspath(resolve(name, root)[0])  # noqa: PTH100  (a link keeps its name)
        status = os.stat(path)  # noqa: PTH116  (half a million times)
    except (OSError, AudioError):
        return f"{name}|-1|-1"
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"


class Store:
    """The parts of one folder.

    Args:
        folder: made when the first part is written.

    Raises:
        OSError: when a part is written and the folder does not allow it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, wanted: Iterable[str]) -> pl.DataFrame:
        """The kept measurements of some keys: `key` and the columns of `heard.SCHEMA`, one row a key.

        A part that is damaged or of another form counts as not there.
        """
        parts = [pl.DataFrame(schema=_KEYED)]
        asked = pl.Series("key", wanted, dtype=pl.String).to_frame().unique()
        for path in sorted(self.folder.glob("*.parquet")):
            try:
                part = pl.read_parquet(path, glob=False, hive_partitioning=False)
            except (pl.exceptions.PolarsError, OSError):
                continue
            if part.schema == pl.Schema(_KEYED):
                parts.append(part.join(asked, on="key", how="semi"))
        return pl.concat(parts).unique("key", keep="last", maintain_order=True)

    def add(self, measured: list[tuple[str, dict[str, Any]]]) -> None:
        """Keep rows, in a part of their own."""
        rows = [{"key": key, **row} for key, row in measured]
        with whole_file(self.folder / f"{uuid.uuid4().hex}.parquet") as stream:
            pl.DataFrame(rows, schema=_KEYED, orient="row").write_parquet(stream)
