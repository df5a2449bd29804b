"""Other wake-word engines behind one small interface: what each makes of a stream, from a reset.

An engine that gives scores has one curve, like our own detector; one that only fires is asked again at each
of its settings. Engines are optional: `pip install 'rearview-wakeword[peers]'`.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from wakeword.blocks import SAMPLE_RATE_HZ

STEP_SAMPLES = 1280


class PeerError(ValueError):
    """An engine that is not installed, or does not know the word."""


@dataclass(frozen=True)
class Peer:
    """One engine for one word. Exactly one of ``score`` and ``fire`` is given.

    ``score`` is a new stream: a function of a block of int16 samples that returns the scores of the steps it
    completes. ``fire`` is a new stream at a setting: whether the engine fired at the end of a block.
    """

    name: str
    version: str
    phrase: str
    step_samples: int
    settings: tuple[float, ...] = ()
    """From the strictest to the most permissive; empty for an engine with scores."""
    default: float = math.nan
    """Its own threshold or setting."""
    refractory_s: float = 1.0
    score: Callable[[], Callable[[np.ndarray], list[float]]] | None = None
    fire: Callable[[float], Callable[[np.ndarray], bool]] | None = None

    def scores(self, samples: np.ndarray) -> np.ndarray:
        """(steps,) float32 of a whole stream."""
        assert self.score is not None
        stream = self.score()
        return np.array([s for block in self.blocks(samples) for s in stream(block)], dtype=np.float32)

    def times(self, samples: np.ndarray, setting: float) -> np.ndarray:
        """Seconds at which it fired over a whole stream."""
        assert self.fire is not None
        stream, step_s = self.fire(setting), self.step_samples / SAMPLE_RATE_HZ
        fired = [i for i, block in enumerate(self.blocks(samples)) if stream(block)]
        return (np.array(fired, dtype=np.float64) + 1) * step_s

    def blocks(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        whole = samples.size // self.step_samples * self.step_samples
        yield from samples[:whole].reshape(-1, self.step_samples)

    @property
    def step_s(self) -> float:
        return self.step_samples / SAMPLE_RATE_HZ


def ours(path: str, phrase: str) -> Peer:
    """A model of this project. Raises ModelError, PeerError."""
    from mirror_device import Detector

    words = [word["phrase"] for word in Detector(path).metadata["keywords"]]
    if phrase not in words:
        raise PeerError(f"{path}: hears {', '.join(words)}, not {phrase!r}")
    column = words.index(phrase)
    metadata = Detector(path).metadata

    def stream() -> Callable[[np.ndarray], list[float]]:
        detector = Detector(path)
        return lambda block: detector.scores(block)[:, column].tolist()

    return Peer(
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        phrase=phrase,
        step_samples=STEP_SAMPLES,
        default=float(metadata["keywords"][column]["threshold"]),
        refractory_s=float(metadata["refractory_s"]),
        score=stream,
    )


def porcupine(phrase: str) -> Peer:
    """Picovoice's engine; 1.9.5 is the last that runs without a key."""
    module = _module("pvporcupine")
    paths = dict(module.KEYWORD_PATHS)
    if phrase not in paths:
        raise PeerError(f"porcupine knows {', '.join(sorted(paths))}, not {phrase!r}")

    def stream(sensitivity: float) -> Callable[[np.ndarray], bool]:
        engine = module.create(keyword_paths=[paths[phrase]], sensitivities=[sensitivity])
        return lambda block: engine.process(block.tolist()) >= 0  # half the cost of an array's items

    settings = tuple(round(0.1 * n, 1) for n in range(11))
    version = importlib.metadata.version("pvporcupine")
    return Peer("porcupine", version, phrase, 512, settings, default=0.5, fire=stream)


def pocketsphinx(phrase: str) -> Peer:
    """CMU's recogniser in keyword mode."""
    module = _module("pocketsphinx")
    settings = tuple(10.0**-n for n in (1, 5, 10, 15, 20, 25, 30, 40, 50))

    def stream(threshold: float) -> Callable[[np.ndarray], bool]:
        decoder = module.Decoder(keyphrase=phrase, kws_threshold=threshold, loglevel="FATAL", lm=None)
        decoder.start_utt()

        def heard(block: np.ndarray) -> bool:
            decoder.process_raw(block.astype("<i2").tobytes())
            if decoder.hyp() is None:
                return False
            decoder.end_utt()
            decoder.start_utt()
            return True

        return heard

    dictionary = module.Decoder(loglevel="FATAL", lm=None)
    if any(dictionary.lookup_word(word) is None for word in phrase.split()):
        raise PeerError(f"pocketsphinx has no pronunciation of {phrase!r}")
    version = importlib.metadata.version("pocketsphinx")
    return Peer("pocketsphinx", version, phrase, STEP_SAMPLES, settings, default=1e-20, fire=stream)


def open_wake_word(phrase: str) -> Peer:
    """openWakeWord's models, by pyopen-wakeword."""
    module = _module("pyopen_wakeword")
    model = _builtin(module, phrase, "pyopen-wakeword")

    def stream() -> Callable[[np.ndarray], list[float]]:
        features, engine = module.OpenWakeWordFeatures.from_builtin(), module.OpenWakeWord.from_builtin(model)
        last = [0.0]

        def scores(block: np.ndarray) -> list[float]:
            for found in features.process_streaming(block.astype("<i2").tobytes()):
                last[:] = [float(p) for p in engine.process_streaming(found)][-1:] or last
            return last[-1:]  # one a block, the latest where it gives several

        return scores

    version = importlib.metadata.version("pyopen-wakeword")
    return Peer("openWakeWord", version, phrase, STEP_SAMPLES, default=0.5, score=stream)


def micro_wake_word(phrase: str) -> Peer:
    """microWakeWord's models, by pymicro-wakeword."""
    module = _module("pymicro_wakeword")
    model = _builtin(module, phrase, "pymicro-wakeword")
    default = float(module.MicroWakeWord.from_builtin(model).probability_cutoff)

    def stream() -> Callable[[np.ndarray], list[float]]:
        features, engine = module.MicroWakeWordFeatures(), module.MicroWakeWord.from_builtin(model)
        last = [0.0]

        def scores(block: np.ndarray) -> list[float]:
            found = features.process_streaming(block.astype("<i2").tobytes())
            heard = [engine.process_streaming_prob(frame) for frame in found]
            last[:] = [float(p) for p in heard if p][-1:] or last
            return last[-1:]

        return scores

    version = importlib.metadata.version("pymicro-wakeword")
    return Peer("microWakeWord", version, phrase, STEP_SAMPLES, default=default, score=stream)


ENGINES: dict[str, Callable[[str], Peer]] = {
    "porcupine": porcupine,
    "pocketsphinx": pocketsphinx,
    "openwakeword": open_wake_word,
    "microwakeword": micro_wake_word,
}


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise PeerError(
            f"{name} is not installed or does not run here; pip install 'rearview-wakeword[peers]'"
        ) from error


def _builtin(module: Any, phrase: str, package: str) -> Any:
    known = {model.value.replace("_", " "): model for model in module.Model}
    if phrase not in known:
        raise PeerError(f"{package} knows {', '.join(sorted(known))}, not {phrase!r}")
    return known[phrase]


def find(engine: str, phrase: str) -> Peer:
    """An engine by its name, or one of our models by name or path. Raises PeerError, ModelError."""
    return ENGINES[engine](phrase) if engine in ENGINES else ours(engine, phrase)
