"""``asr-pretrain``: the general recogniser whose layers are transferred."""

from __future__ import annotations

import sys

from asr_pretrain.launcher import Command, launch

COMMANDS = {
    "corpus": Command(
        "asr_pretrain.synthesis.corpus", "synthesize a small corpus, where there are no recordings"
    ),
    "render": Command(
        "asr_pretrain.augment.render", "hear recordings through the simulated car: mirror rows"
    ),
    "drives": Command("asr_pretrain.augment.drives", "a page of random drives to look at and listen to"),
    "synthesize": Command("asr_pretrain.synthesize", "hundreds of hours of speech from text, in shards"),
    "prepare": Command("asr_pretrain.prepare", "another's corpus as a manifest and shards"),
    "label": Command("asr_pretrain.label", "texts for recordings that have none, by pocketsphinx"),
    "train": Command("asr_pretrain.train", "pretrain the encoder by CTC on phonemes"),
    "screen": Command("asr_pretrain.screen", "variants of a recipe, trained and scored one by one"),
    "card": Command("asr_pretrain.card", "score a finished run and write its model card"),
    "score": Command("asr_pretrain.score", "phoneme error rate over a manifest"),
    "transcribe": Command("asr_pretrain.transcribe", "the phonemes of a recording"),
}


def main(argv: list[str] | None = None) -> int:
    return launch(
        "asr-pretrain",
        "Pretrain the general recogniser whose layers the wake word is built on.",
        "asr-pretrain train asr_pretrain/recipes/general.yaml",
        COMMANDS,
        argv,
    )


if __name__ == "__main__":
    sys.exit(main())
