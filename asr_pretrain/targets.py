"""What the recogniser spells: phones, characters or sub-words.

The CTC class of a unit is its place in ``units`` + 1; class 0 is the blank.

Whatever it spells is scored in phones: characters and sub-words are read by espeak-ng as any text is.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import polars as pl

from asr_pretrain.loading.ragged import Ragged
from asr_pretrain.phonemes import PHONES, PhonemeError, phone_ids, to_phones
from asr_pretrain.synthesis.numbers import number_words

Kind = Literal["phones", "characters", "subwords"]

CHARACTERS = (" ", "'", *"abcdefghijklmnopqrstuvwxyz")
MAX_SUBWORDS = 255
"""A class is a byte."""
_SPACE = "▁"  # sentencepiece's
_ID = pl.Series(range(1, len(PHONES) + 1), dtype=pl.UInt8)


class TargetError(ValueError):
    """Texts or phones that give no targets; the message says which and what to do."""


def spelled(text: str) -> str:
    """``text`` in a to z, apostrophe and single spaces: accents dropped, numbers up to 999,999 in words.

    >>> spelled("Café No. 21")
    'cafe no twenty one'
    """
    text = re.sub(r"\d{1,6}", lambda found: f" {number_words(int(found[0]))} ", text)
    plain = unicodedata.normalize("NFKD", text.lower().replace("’", "'"))
    return " ".join(re.sub(r"[^a-z' ]", "", re.sub(r"[\s\-–—/]", " ", plain)).split())


@dataclass(frozen=True)
class Targets:
    """One alphabet of CTC classes."""

    kind: Kind = "phones"
    units: tuple[str, ...] = PHONES
    subwords: bytes = b""
    """The sentencepiece model that splits texts, needed to train alone."""

    @classmethod
    def fit(cls, kind: Kind, texts: Iterable[str], subwords: int = 200) -> Targets:
        """The alphabet of ``kind``; sub-words are the most frequent byte pairs of ``texts``.

        Raises TargetError when the texts are too few for that many sub-words.
        """
        if kind == "phones":
            return cls()
        if kind == "characters":
            return cls(kind, CHARACTERS)
        import sentencepiece

        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sorted({spelled(text) for text in texts} - {""})),
                model_writer=model,
                vocab_size=subwords + 1,
                model_type="bpe",
                character_coverage=1.0,
                normalization_rule_name="identity",
                bos_id=-1,
                eos_id=-1,
                unk_id=0,
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise TargetError(f"{subwords} sub-words cannot be had from these texts: {error}") from error
        pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        return cls(kind, tuple(pieces.id_to_piece(i) for i in range(1, len(pieces))), model.getvalue())

    @classmethod
    def of(cls, sidecar: dict[str, Any]) -> Targets:
        """What the recogniser with this sidecar spells. Raises TargetError when it names no alphabet."""
        kind = sidecar.get("targets", "phones")
        units: Any = sidecar.get("units", sidecar.get("phones"))
        known = isinstance(units, list) and kind in get_args(Kind) and 0 < len(units) <= MAX_SUBWORDS
        if not known or not all(isinstance(unit, str) for unit in units):
            raise TargetError(
                f"targets {kind!r} with units {str(units)[:60]}: not a recogniser that can be read"
            )
        return cls(kind, tuple(units))

    def card(self) -> dict[str, Any]:
        """For the sidecar."""
        return {"targets": self.kind, "units": list(self.units)}

    def classes(self, frame: pl.DataFrame, where: str) -> Ragged:
        """CTC classes of each row, from its ``phones`` or its ``text``; none where it cannot be spoken.

        Raises TargetError when a ``phones`` column holds something else.
        """
        if self.kind == "phones":
            return _phone_classes(frame, where)
        texts = [spelled(text) for text in frame["text"].to_list()]
        if self.kind == "characters":
            table = {character: place + 1 for place, character in enumerate(self.units)}
            return Ragged.of(bytes(map(table.__getitem__, text)) for text in texts)
        import sentencepiece

        # Without control symbols but the unknown one at 0, a piece's number is its class.
        pieces = sentencepiece.SentencePieceProcessor(model_proto=self.subwords)
        return Ragged.of(bytes(pieces.encode(text)) for text in texts)

    def to_phones(self, classes: Sequence[int]) -> list[int]:
        """Phone ids (1 to 39) of what was spelled."""
        if self.kind == "phones":
            return list(classes)
        text = "".join(self.units[number - 1] for number in classes).replace(_SPACE, " ").strip()
        try:
            return phone_ids(text)
        except PhonemeError:
            return []


def _phone_classes(frame: pl.DataFrame, where: str) -> Ragged:
    if "phones" not in frame.columns or frame.schema["phones"] == pl.Null:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias("phones"))
    if frame.schema["phones"] != pl.String:
        raise TargetError(
            f"{where}: column phones holds {frame.schema['phones']}; give text, as in 'S M AA R T'"
        )
    unread = frame["phones"].is_null()
    if unread.any():
        read = {text: _read(text) for text in frame.filter(unread)["text"].unique().to_list()}
        texts = frame["text"].to_list()
        filled = [read[text] if missing else None for text, missing in zip(texts, unread, strict=True)]
        frame = frame.with_columns(pl.col("phones").fill_null(pl.Series(filled, dtype=pl.String)))
    symbols = frame["phones"].str.extract_all(r"\S+")
    classes = symbols.explode().drop_nulls().replace_strict(pl.Series(PHONES), _ID, default=0)
    if (classes == 0).any():
        rows = frame.filter(symbols.list.eval(~pl.element().is_in(PHONES)).list.any())
        raise TargetError(
            f"{where}: id {rows['id'][0]!r} has phones {rows['phones'][0][:60]!r}, which are not all of "
            "CMUdict's 39; write the column as `asr-pretrain synthesize` does, or leave it out"
        )
    return Ragged(classes.to_numpy(), symbols.list.len().to_numpy())


def _read(text: str) -> str:
    try:
        return " ".join(to_phones(text))
    except PhonemeError:
        return ""
