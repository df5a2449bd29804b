"""Configuration, level and ring: the daemon's small parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mirror_device.service.config import Config, ConfigError, load_config, parse_config
from mirror_device.service.decision import Rules
from mirror_device.service.level import Level, level_dbfs
from mirror_device.service.ring import Ring

YAML = """
models: [smart_mirror, other.onnx]
words: {smart mirror: {threshold: 0.8}}
source: {kind: socket, address: "unix:///run/x"}
decision: {by_noise_dbfs: [[-60, 0], [-30, -0.1]], near_miss: 0.4}
outlets:
  wyoming: {address: "tcp://0.0.0.0:10400"}
  mqtt: {host: broker}
  hook: {command: [aplay, ding.wav]}
  metrics: "tcp://127.0.0.1:9464"
capture: {folder: /var/lib/mirror, most_mb: 10}
"""
TOML = """
models = ["smart_mirror"]
[source]
kind = "stdin"
[outlets.wyoming]
"""


def test_both_languages(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(YAML)
    (tmp_path / "b.toml").write_text(TOML)
    (tmp_path / "c.yaml").write_text("")
    config = load_config(tmp_path / "a.yaml")
    assert config.words["smart mirror"].threshold == 0.8 and config.outlets.json_lines
    assert config.decision.rules().by_noise_dbfs == [(-60.0, 0.0), (-30.0, -0.1)]
    assert load_config(tmp_path / "b.toml").outlets.wyoming.address == "tcp://127.0.0.1:10400"  # type: ignore[union-attr]
    assert load_config(tmp_path / "c.yaml") == Config()
    assert Config().decision.rules() == Rules(by_noise_dbfs=[], by_speed_kmh=[])


@pytest.mark.parametrize(
    "text, words",
    [
        ("model: [x]", "unknown field `model`"),
        ("models: []", "models: Expected `array` of length >= 1"),
        ("models: smart_mirror", "models: Expected `array`, got `str` \\(found 'smart_mirror'\\)"),
        ("words: {a: {threshold: 2}}", r"words.a.threshold: Expected `float` <= 1.0 \(found '2'\)"),
        ("words: {a: {threshold: .nan}}", "words.a: threshold = nan"),
        ("source: {kind: tape}", "source.kind: Invalid enum value 'tape'"),
        ("source: {kind: wav}", "needs path"),
        ("source: {kind: socket}", "needs address"),
        ("source: {kind: socket, address: 'http://x'}", "source.address"),
        ("decision: {smoothing_steps: 0}", "smoothing_steps"),
        ("decision: {smoothing_steps: 1.5}", "smoothing_steps"),
        ("decision: {by_speed_kmh: [[100, 0], [50, 0]]}", "must ascend"),
        ("decision: {by_speed_kmh: [[0, 7]]}", "by_speed_kmh"),
        ("outlets: {mqtt: {}}", "outlets.mqtt: Object missing required field `host`"),
        ("outlets: {mqtt: {host: a, port: 70000}}", "port"),
        ("outlets: {mqtt: {host: a, topic: 'a/#'}}", "topic"),
        ("outlets: {hook: {command: []}}", "command"),
        ("outlets: {hook: {command: rm}}", "command"),
        ("reference: {source: {kind: stdin}}", "a reference cannot be of kind stdin"),
        ("reference: {}", "reference: Object missing required field `source`"),
        ("preroll_s: -1", "preroll_s"),
        ("preroll_s: .inf", "preroll_s"),
        ("capture: {most_mb: 3}", "capture: Object missing required field `folder`"),
        ("- a", "keys and values are wanted, not list"),
        ("a: [", "not YAML"),
        ("models: &a [x]\nwords: *a", "aliases"),
        ("!!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_config(text.encode(), "mirror.yaml", toml=False)
    assert str(caught.value).startswith("mirror.yaml: ") and len(str(caught.value)) < 2000


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "x.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(tmp_path / "x.toml")
    (tmp_path / "y.yaml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigError, match="more than"):
        load_config(tmp_path / "y.yaml")


@pytest.mark.parametrize("toml", [False, True])
def test_any_bytes_are_a_configuration_or_a_clear_error(toml: bool) -> None:
    rng, text = np.random.default_rng(0), (TOML if toml else YAML).encode()
    for number in range(400):
        content = bytearray(text if number % 2 else rng.bytes(int(rng.integers(200))))
        for _ in range(int(rng.integers(1, 6)) if content else 0):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        try:
            parse_config(bytes(content), "x", toml)
        except ConfigError as error:
            assert str(error).startswith("x: ")


def test_levels() -> None:
    assert level_dbfs(np.full(1280, 32767, np.int16)) == pytest.approx(0, abs=0.01)
    assert level_dbfs(np.zeros(1280, np.int16)) == level_dbfs(np.zeros(0, np.int16)) == -100
    rng, level = np.random.default_rng(0), Level()
    for step in range(60):
        loud = 3000 if 40 <= step < 46 else 30
        level.hear((rng.standard_normal(1280) * loud).astype(np.int16))
        if step == 39:
            assert level.voice_db < 3
        if step == 45:
            assert level.voice_db > 30
    assert level.noise_dbfs == pytest.approx(20 * np.log10(30 / 32768), abs=1.5)


@pytest.mark.parametrize("seed", range(50))
def test_the_ring_holds_what_came_last(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes, asked, back = (
        rng.integers(0, 51, rng.integers(0, 21)).tolist(),
        int(rng.integers(61)),
        int(rng.integers(31)),
    )
    ring, everything = Ring(32 / 16000), np.arange(sum(sizes), dtype=np.int16)
    start = 0
    for size in sizes:
        ring.hear(everything[start : start + size])
        start += size
    until = max(0, start - back)
    low = max(until - asked, start - 32, 0)
    assert ring.last(asked, until).tolist() == everything[low : max(low, until)].tolist()
    ring.forget()
    assert len(ring.last(10)) == 0
    ring.hear(np.array([7], np.int16))
    assert ring.last(10).tolist() == [7]
