"""The development recordings as a manifest.

A recordings manifest has `split` equal to the source's `part` and every row `general`: it is what
`asr-pretrain score` and `wakeword score` evaluate on, and one source of `data-splits plan`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import polars as pl

from data_splits.manifest import ManifestError, normalise

WAKE_WORDS: Final = ("smart mirror", "alexa", "computer", "jarvis", "snowboy")
# Their speakers are not named, so that each corpus counts as one group: `session` holds its name.
UNNAMED_SPEAKERS: Final = (
    "picovoice-speech-to-intent",
    "precise-community-data",
    "alphanumeric-audio-dataset",
    "english consistent confusion corpus 1.2",
    "custom-speech-commands-dataset",
)
SOURCE_COLUMNS: Final = ("path", "kind", "corpus", "speaker", "text", "label", "licence", "seconds", "part")
# First match wins. The patterns are searched in the file's path below its folder's name.
NOISE_KINDS: Final = (
    ("music", r"^music/|carousel|wind-chimes"),
    (
        "babble",
        r"crowd|cafe|coffee|restaurant|bar\.|supermarket|subway|church|temple|office|library|bab4|bmn3",
    ),
    ("road", r"road|traffic|city|night-village"),
    ("rain", r"(?:^|[^t])rain|storm|thunder|droplets"),
    ("wind", r"wind(?:\.|-in)|sailboat"),
    ("water", r"wave|river|waterfall|stream|underwater|bubbles|boiling|running_tap|boat|dishes"),
    ("fan", r"fan|dryer|washing|laundry|airplane|submarine|exercise_bike"),
    ("engine", r"train|helicopter|chainsaw|construction"),
    ("siren", r"siren|ambulance|fireworks"),
    ("static", r"pink|white|ssn|radio|vinyl|morse"),
    ("animal", r"animals|dog|rooster|birds|miaow|jungle|summer-night|forest"),
    ("fire", r"fire"),
    ("voice", r"baby|sneeze"),
)


def find_recordings() -> Path | None:
    """The folder of the development recordings: $REARVIEW_DATA, ./data, ../shared/data, or None.

    The first that holds a `manifest.jsonl` is taken.
    """
    named = os.environ.get("REARVIEW_DATA")
    candidates = [Path(named)] if named else []
    candidates += [Path("data"), Path("..") / "shared" / "data"]
    for folder in candidates:
        if (folder / "manifest.jsonl").is_file():
            return folder.resolve()
    return None


def collect(root: str | Path) -> pl.DataFrame:
    """A manifest of the recordings under `root`, one row a file, none of them decoded.

    Durations are those of the source's manifest. Labels: a take of a wake word is 1 for its own phrase and
    0 for the others; a row with text is 0 for every wake phrase that its text does not hold; a row without
    text is 0 for "smart mirror", which the makers of these corpora never asked anybody to say, and unknown
    for the other phrases unless the source's label names one.

    Raises:
        ManifestError: when `root` holds no `manifest.jsonl`, or one without the columns needed.
    """
    root = Path(root).resolve()
    source = root / "manifest.jsonl"
    if not source.is_file():
        raise ManifestError(
            f"{source}: no such file; name the folder of the recordings or set REARVIEW_DATA to it"
        )
    try:
        rows = pl.read_ndjson(source, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise ManifestError(f"{source}: not readable as JSON Lines: {error}") from error
    missing = [name for name in SOURCE_COLUMNS if name not in rows.columns]
    if missing:
        raise ManifestError(f"{source}: missing column {', '.join(missing)}")
    unnamed = pl.col("corpus").is_in(UNNAMED_SPEAKERS) & (pl.col("kind") == "speech")
    frame = rows.select(
        pl.col("path").str.replace(r"\.\w+$", "").alias("id"),
        (pl.lit(f"{root}/") + pl.col("path")).alias("audio"),
        pl.col("seconds").alias("duration_s"),
        pl.lit(16_000).alias("sample_rate_hz"),
        "text",
        pl.lit("general").alias("domain"),
        pl.col("corpus").alias("source"),
        "speaker",
        pl.when(unnamed).then(pl.col("corpus")).alias("session"),
        pl.struct([_label(phrase).alias(phrase) for phrase in WAKE_WORDS]).alias("labels"),
        _noise_kind().alias("noise_kind"),
        pl.col("part").alias("split"),
        "part",
        "licence",
        "kind",
        pl.col("label").alias("source_label"),
    )
    return normalise(frame, str(source))


def _label(phrase: str) -> pl.Expr:
    words = pl.lit(" ") + pl.col("text").str.to_lowercase().str.replace_all(r"[^a-z']+", " ") + " "
    said = words.str.contains(f" {phrase} ", literal=True)
    # Ids such as "heycomputer" hold the word as well.
    named = pl.col("label").str.to_lowercase().is_in([phrase, f"hey{phrase}"]).fill_null(False)
    label = pl.when(named | said.fill_null(False)).then(1).when(pl.col("text").is_not_null()).then(0)
    return label.otherwise(0 if phrase == WAKE_WORDS[0] else None).cast(pl.Int8)


def _noise_kind() -> pl.Expr:
    # Only the file's own name and its topmost folder say what is heard; the corpus's name would mislead.
    heard = pl.concat_str(
        pl.col("path").str.extract(r"^(\w+/)"), pl.col("path").str.extract(r"([^/]+)$")
    ).str.to_lowercase()
    kind = pl.lit("other")
    for name, pattern in reversed(NOISE_KINDS):
        kind = pl.when(heard.str.contains(pattern)).then(pl.lit(name)).otherwise(kind)
    return pl.when(pl.col("kind").is_in(["noise", "music"])).then(kind)
