"""Other people's corpora as manifests and shards: one small reader a corpus kind, found by name in `CORPORA`.

    from data_splits.corpora import CORPORA, prepare
    prepare(CORPORA["librispeech"], Path("LibriSpeech"), Path("prepared/librispeech"))

A reader knows how a corpus lies on disk and nothing else: it yields `Utterance`s. Decoding, shards, the
manifest and resuming are the same for all and live in `prepare`. A new kind of corpus is a module with a
`Corpus`, and a line here.
"""

from __future__ import annotations

from typing import Final

from data_splits.corpora import common_voice, lhotse, librispeech, speechbrain
from data_splits.corpora.corpus import Corpus, CorpusError, Place, Utterance
from data_splits.corpora.prepare import Prepared, Wish, prepare

__all__ = ["CORPORA", "Corpus", "CorpusError", "Place", "Prepared", "Utterance", "Wish", "prepare"]

CORPORA: Final[dict[str, Corpus]] = {
    corpus.kind: corpus
    for corpus in (librispeech.CORPUS, common_voice.CORPUS, speechbrain.CORPUS, lhotse.CORPUS)
}
