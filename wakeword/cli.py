"""``wakeword``: from the recogniser's layers to a trigger that is scored, explained and quantized."""

from __future__ import annotations

import sys

from asr_pretrain.launcher import Command, launch

COMMANDS = {
    "train": Command("wakeword.train", "fine-tune a pretrained encoder on the wake word, in the car"),
    "align": Command("wakeword.align", "where in each take the word is, by the general recogniser"),
    "inspect": Command("wakeword.inspect", "what in a manifest would teach the wrong thing"),
    "voices": Command("wakeword.takes", "takes of the wake word in voices that nobody recorded"),
    "average": Command("wakeword.average", "one model from several seeds' weights"),
    "sketch": Command("wakeword.sketch", "a detector for any phrase, without one recording of it"),
    "quantize": Command("wakeword.quantize", "write the int8 device model"),
    "mine": Command("wakeword.mine", "the training negatives that a model takes for its word"),
    "tune": Command("wakeword.tune", "choose the threshold on the dev part"),
    "score": Command("wakeword.score", "FRR and FA/h on continuous streams"),
    "slices": Command("wakeword.slices", "misses by seat, voice, pace, place in a sentence, company"),
    "worst": Command("wakeword.worst", "the worst misses and false accepts, to look at and listen to"),
    "compare": Command("wakeword.compare", "two models on the same streams, paired"),
    "benchmark": Command("wakeword.benchmark", "our model and other engines over the same streams"),
    "cost": Command("wakeword.cost", "processor time of the daemon and of other engines"),
    "latency": Command("wakeword.latency", "how long after the word the daemon says so, in real time"),
    "diagnose": Command("wakeword.diagnose", "bias, variance, mismatch, dev overfitting"),
    "transfer": Command("wakeword.transfer", "what pretraining buys, cross-validated over voices"),
    "results": Command("wakeword.results", "write the README's results table"),
    "card": Command("wakeword.card", "write the model card"),
    "demo": Command("wakeword.demo", "the whole chain at small scale"),
}


def main(argv: list[str] | None = None) -> int:
    return launch(
        "wakeword",
        "Turn a pretrained recogniser into a wake word that works in a driving car.",
        "wakeword score recordings.parquet --split dev",
        COMMANDS,
        argv,
    )


if __name__ == "__main__":
    sys.exit(main())
