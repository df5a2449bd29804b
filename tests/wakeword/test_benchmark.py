import argparse
import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wakeword import benchmark as module
from wakeword import peers
from wakeword.benchmark import Heard, best_within, operating_point, versus
from wakeword.blocks import Piece, Stream, Word
from wakeword.peers import Peer, PeerError

WORD = Word("take", "voice", 1.0, 1.5)


def stream(name: str, condition: str, peaks: dict[float, int]) -> Stream:
    """Ten seconds, silent but for one loud step at each of these times."""
    samples = np.zeros(160_000, np.int16)
    for at_s, height in peaks.items():
        samples[int(at_s * 16000)] = height
    words = (WORD,) if condition != "negatives" else ()
    pieces = () if words else (Piece("n", "source", "speech", "as it is", 0.0, 10.0),)
    return Stream(name, condition, samples, words, pieces)


def loud(settings: tuple[float, ...] = ()) -> Peer:
    def score() -> Callable[[np.ndarray], list[float]]:
        return lambda block: [float(block.max()) / 100]

    def fire(setting: float) -> Callable[[np.ndarray], bool]:
        return lambda block: bool(block.max() >= 100 * (1 - setting)) and bool(block.max())

    chosen = {"fire": fire, "settings": settings} if settings else {"score": score}
    return Peer("loud", "1", "w", 1280, default=0.5, **chosen)  # type: ignore[arg-type]


STREAMS = [
    stream("q", "quiet", {1.6: 60}),
    stream("t", "10", {1.6: 40}),
    stream("n", "negatives", {3.0: 50, 7.0: 30}),
]


@pytest.mark.parametrize("settings", [(), (0.3, 0.45, 0.5, 0.65, 0.8)])
def test_engines_are_read_off_at_the_same_false_accepts(settings: tuple[float, ...]) -> None:
    heard = Heard(loud(settings))
    for one in STREAMS:
        heard.listen(one)
    hours = 10 / 3600
    none = best_within(heard, hours, 0.0)
    assert none is not None and none["false_accepts"] == 0
    assert [none["conditions"][c]["misses"] for c in ("quiet", "10")] == [0, 1]
    one = best_within(heard, hours, 1 / hours)
    assert one is not None and one["false_accepts"] == 1
    assert [one["conditions"][c]["misses"] for c in ("quiet", "10")] == [0, 0]
    assert one["latency_p50_s"] == pytest.approx(0.18, abs=0.09)
    rows = versus(heard, heard, one["setting"], none["setting"])
    assert (rows["10"]["ours"], rows["10"]["theirs"]) == (0, 1)


def test_an_engine_that_is_never_within_the_limit_has_no_point() -> None:
    heard = Heard(loud((0.9,)))
    for one in STREAMS:
        heard.listen(one)
    assert best_within(heard, 10 / 3600, 0.5) is None
    assert operating_point(heard, 0.9, 10 / 3600)["false_accepts"] == 2


def test_a_benchmark_of_our_models(
    corpus: Path, loud_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from wakeword.cli import main

    a, b, out = loud_model("a.onnx"), loud_model("b.onnx", offset=25), tmp_path / "b.json"
    words = ["benchmark", str(corpus), "--conditions", "quiet", "--json", str(out), "--engine", str(a)]
    drawn = tmp_path / "b.svg"
    assert main([*words, "--engine", str(b), "--plot", str(drawn)]) == 0
    assert "missed at ≤ 0.5 FA/h" in drawn.read_text() or drawn.stat().st_size > 4000
    result = json.loads(out.read_text())
    assert set(result["engines"]) == {str(a), str(b)} and result["hours"] > 0
    assert all(0 < e["cpu_share"] < 1 and e["peak_mb"] > 10 for e in result["engines"].values())
    assert str(b) in result["paired"] and "FRR at equal false accepts" in capsys.readouterr().err


def test_unknown_words_are_said(monkeypatch: pytest.MonkeyPatch, loud_model: Callable[..., Path]) -> None:
    with pytest.raises(PeerError, match="hears smart mirror, not 'alexa'"):
        peers.find(str(loud_model()), "alexa")

    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(peers.importlib, "import_module", missing)
    with pytest.raises(PeerError, match=r"pvporcupine is not installed .*rearview-wakeword\[peers\]"):
        peers.find("porcupine", "smart mirror")


@pytest.mark.parametrize(
    ("engine", "phrase", "package"),
    [
        ("porcupine", "smart mirror", "pvporcupine"),
        ("pocketsphinx", "smart mirror", "pocketsphinx"),
        ("openwakeword", "alexa", "pyopen_wakeword"),
        ("microwakeword", "alexa", "pymicro_wakeword"),
    ],
)
def test_real_engines_hear_nothing_in_silence(engine: str, phrase: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    peer = peers.find(engine, phrase)
    silence = (np.random.default_rng(0).normal(size=64_000) * 5).astype(np.int16)
    heard = Heard(peer)
    heard.listen(Stream("s", "negatives", silence))
    setting = peer.default if peer.score else module.nearest(heard, peer.default)
    assert heard.false_accepts(setting) == 0 and math.isfinite(peer.default)
    with pytest.raises(PeerError, match="not 'xyzzy'|pronunciation of 'xyzzy'"):
        peers.find(engine, "xyzzy")


def test_the_parser_has_its_defaults() -> None:
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    args = parser.parse_args(["benchmark", "m.parquet"])
    assert args.fa_per_hour == 0.5 and args.engine is None
