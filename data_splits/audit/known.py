"""The user's list of public recordings, by the SHA-256 of their samples."""

from __future__ import annotations

from pathlib import Path

import polars as pl


def read_known_hashes(path: Path) -> pl.DataFrame:
    """Read one hash a line, with a name after it where there is one, as `sha256sum` writes them.

    The hash is that of `pcm_sha256`: the samples as 16 kHz mono 16-bit little-endian. `#` begins a comment.

    Returns:
        Columns `value` (lower case) and `name` (null where there is none).

    Raises:
        ValueError: naming the file and the line that is no hash.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; give one SHA-256 a line")
    lines = pl.read_csv(
        path, has_header=False, new_columns=["line"], separator="\n", quote_char=None, encoding="utf8-lossy",
        schema_overrides=[pl.String], raise_if_empty=False,
    ).with_row_index("number", offset=1) if path.stat().st_size else pl.DataFrame(
        schema={"number": pl.UInt32, "line": pl.String}
    )  # fmt: skip
    words = pl.col("line").str.strip_chars().str.extract_groups(r"^([0-9A-Fa-f]{64})(?:[\s*]+(.*))?$")
    lines = lines.drop_nulls("line").filter(~pl.col("line").str.contains(r"^\s*(#|$)"))
    read = lines.with_columns(
        words.struct[0].str.to_lowercase().alias("value"), words.struct[1].alias("name")
    )
    wrong = read.filter(pl.col("value").is_null())
    if wrong.height:
        row = wrong.row(0, named=True)
        raise ValueError(
            f"{path}: line {row['number']}: {row['line'][:80]!r} is no SHA-256 of 64 hexadecimal digits"
        )
    return read.select("value", "name").unique("value", keep="first", maintain_order=True)
