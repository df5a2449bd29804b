import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from asr_pretrain.logmel import N_MELS
from data_splits.audio import read_audio
from data_splits.manifest import read_manifest
from wakeword.cli import main
from wakeword.readers import Reader, Spoken, change_towards
from wakeword.voices import VoiceChange, draw_voice, speak
from wakeword.world import Analysed, analyse

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyworld") is None, reason="pyworld is not installed"
)
SAME = VoiceChange(
    seed=0,
    pitch_ratio=1.0,
    pitch_range=1.0,
    warp_low=1.0,
    warp_high=1.0,
    vowel_drift=0.0,
    tilt_db_per_octave=0.0,
    equaliser_db=(0.0,) * 6,
    breath=1.0,
    whispered=False,
    pace=(1.0, 1.0, 1.0, 1.0),
)


@pytest.fixture(scope="module")
def take() -> Analysed:
    t = np.arange(16000) / 16000
    tone = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 30))  # a buzz at 120 Hz
    return analyse((tone * 4000 * np.hanning(16000)).astype(np.int16))


def test_pitch_pace_and_breath_are_those_drawn(take: Analysed) -> None:
    assert take.mean_pitch_hz == pytest.approx(120, rel=0.02)
    same = speak(take, SAME)
    assert abs(len(same) - 16000) < 400
    high = analyse(speak(take, replace(SAME, pitch_ratio=1.5)))
    assert high.mean_pitch_hz == pytest.approx(180, rel=0.03)
    assert len(speak(take, replace(SAME, pace=(1.5,) * 4))) == pytest.approx(1.5 * len(same), rel=0.02)
    whisper = analyse(speak(take, replace(SAME, whispered=True)))
    assert (whisper.pitch_hz > 0).mean() < 0.3


def test_formants_move_with_the_tract(take: Analysed) -> None:
    def centroid_hz(voice: VoiceChange) -> float:
        power = analyse(speak(take, voice)).envelope.mean(0)
        return float((power * np.linspace(0, 8000, len(power))).sum() / power.sum())

    short, long = (centroid_hz(replace(SAME, warp_low=w, warp_high=w)) for w in (1.25, 0.8))
    assert short > centroid_hz(SAME) > long


def test_a_voice_repeats_from_its_seed_and_is_human(take: Analysed) -> None:
    voices = [draw_voice(np.random.default_rng(n), 120) for n in range(200)]
    assert voices[3] == draw_voice(np.random.default_rng(3), 120)
    assert np.array_equal(speak(take, voices[3]), speak(take, voices[3]))
    pitches = [120 * voice.pitch_ratio for voice in voices]
    assert min(pitches) >= 60 and max(pitches) < 400 and np.std(pitches) > 50


def test_new_takes_name_their_parent(tiny_corpus: Path, tmp_path: Path) -> None:
    words = ["voices", str(tiny_corpus), "--per-take", "2", "--out", str(tmp_path / "v")]
    assert main(words) == 0
    made = read_manifest(tmp_path / "v" / "recordings.parquet")
    takes = read_manifest(tiny_corpus).filter(
        (pl.col("split") == "train") & (pl.col("labels").struct.field("smart mirror") == 1)
    )
    assert len(made) == 2 * len(takes) and set(made["clean_parent"]) == set(takes["id"])
    parents = dict(takes.select("id", "speaker").iter_rows())
    assert all(parents[p] == s for p, s in made.select("clean_parent", "speaker").iter_rows())
    assert made["pcm_sha256"].n_unique() == len(made) and set(made["split"]) == {"train"}
    samples = read_audio(made["audio"][0], tmp_path / "v")
    assert len(samples) / 16000 == pytest.approx(made["duration_s"][0])
    said = {path: path.stat().st_mtime_ns for path in (tmp_path / "v").glob("*.flac")}
    lost = min(said)
    lost.unlink()
    assert main(words) == 0  # goes on where it was cut off: one take is said again
    assert read_manifest(tmp_path / "v" / "recordings.parquet").equals(made)
    assert {path for path, at in said.items() if path.stat().st_mtime_ns != at} == {lost}


def test_a_take_moves_towards_a_reader_and_keeps_its_level(take: Analysed) -> None:
    rng = np.random.default_rng(0)

    def spoken(log_mel: np.ndarray) -> Spoken:
        features = rng.standard_normal((len(log_mel), 8))
        return Spoken(features / np.linalg.norm(features, axis=1, keepdims=True), log_mel)

    flat = np.full((200, N_MELS), 10.0)
    bright = flat + np.linspace(-2, 2, N_MELS)
    mine = spoken(flat[:25])
    change = change_towards(Reader("bright", spoken(bright), 200.0), mine, take)
    assert change.shape == take.envelope.shape
    assert (change[:, -20:] > 1).all() and (change[:, 1:10] < -1).all()
    assert np.abs(change_towards(Reader("same", spoken(flat), 200.0), mine, take)).max() < 1e-6
    extreme = change_towards(Reader("far", spoken(bright * 50), 200.0), mine, take)
    assert np.abs(extreme).max() <= 18 * np.log(10) / 10 + 1e-9


def test_readers_lend_their_voices(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wakeword.readers.FEWEST_FRAMES", 10)  # the tiny corpus has a sentence a voice
    words = ["voices", str(tiny_corpus), "--per-take", "0", "--readers", "1", "--out", str(tmp_path / "v")]
    assert main(words) == 0
    made = read_manifest(tmp_path / "v" / "recordings.parquet")
    assert set(made["source"]) == {"readers"} and made["pcm_sha256"].n_unique() == len(made)
    assert set(made["voice"]) <= set(read_manifest(tiny_corpus)["speaker"])
    assert main([*words[:2], "--per-take", "0", "--out", str(tmp_path)]) == 2


def test_what_is_missing_is_said(
    tiny_corpus: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["voices", str(tiny_corpus), "--per-take", "0", "--out", str(tmp_path)]) == 2
    assert "--per-take 0" in capsys.readouterr().err
