"""One recording twice is found, whatever was done to one of the two; another take is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from data_splits.audit.sound.copies import COPIES, babble_word, make_copy
from data_splits.audit.sound.exact import MARK, Cut, find_cuts, make_marks, shared_s
from data_splits.audit.sound.fingerprint import make_sketch
from data_splits.audit.sound.listen import listen
from data_splits.audit.sound.search import candidates, gather
from data_splits.audit.sound.spectrum import spectra

WORDS = 6


@pytest.fixture(scope="module")
def takes() -> list[np.ndarray]:
    """Two takes each of six words by one made-up voice, int16, 16 kHz."""
    return [babble_word(word, take) for word in range(WORDS) for take in range(2)]


def table(folder: Path, sounds: dict[str, np.ndarray]) -> pl.DataFrame:
    for name, samples in sounds.items():
        soundfile.write(folder / f"{name}.wav", samples, 16_000)
    return pl.DataFrame(
        {
            "id": list(sounds),
            "audio": [f"{name}.wav" for name in sounds],
            "duration_s": [len(samples) / 16_000 for samples in sounds.values()],
        }
    )


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found_and_another_take_is_not(tmp_path: Path, takes: list[np.ndarray], kind: str) -> None:
    sounds = {f"take{i}": samples for i, samples in enumerate(takes)}
    copies = {f"copy{i}": make_copy(kind, takes[i], seed=i) for i in range(0, len(takes), 2)}
    heard = listen(table(tmp_path, sounds | copies), tmp_path)
    found = {(row["id"], twin["id"]) for row in heard.iter_rows(named=True) for twin in row["twins"] or ()}
    wanted = {(f"take{i}", f"copy{i}") for i in range(0, len(takes), 2)}
    assert found == wanted | {(copy, take) for take, copy in wanted}


def test_a_twin_says_how_it_lies(tmp_path: Path, takes: list[np.ndarray]) -> None:
    sounds = {"whole": takes[0], "fast": make_copy("speed 1.02", takes[0], seed=0)}
    (twin,) = listen(table(tmp_path, sounds), tmp_path)["twins"][0]
    assert twin["id"] == "fast"
    assert twin["speed"] == pytest.approx(1 / 1.02, abs=0.01)
    assert twin["coherence"] > 0.8


def test_rows_of_the_same_samples_share_their_twins(tmp_path: Path, takes: list[np.ndarray]) -> None:
    sounds = {"a": takes[0], "b": takes[0], "louder": make_copy("gain", takes[0], seed=1)}
    twins = listen(table(tmp_path, sounds), tmp_path)["twins"].to_list()
    assert [[twin["id"] for twin in row] for row in twins] == [["louder"], ["louder"], ["a", "b"]]


def test_a_short_cut_lies_where_it_was_cut(tmp_path: Path, takes: list[np.ndarray]) -> None:
    loudest = int(np.abs(takes[0]).argmax())
    piece = takes[0][loudest - 1000 : loudest + 1001]
    twins = listen(table(tmp_path, {"whole": takes[0], "piece": piece, "other": takes[1]}), tmp_path)["twins"]
    (twin,) = twins[0]
    assert (
        twin["id"] == "piece" and twin["coherence"] == 1 and twin["overlap_s"] == pytest.approx(2001 / 16_000)
    )
    assert twins[2] is None


def test_a_jingle_before_two_recordings_does_not_make_them_one(
    tmp_path: Path, takes: list[np.ndarray]
) -> None:
    jingle = babble_word(99, 0)[:6000]
    sounds = {f"take{i}": np.concatenate([jingle, takes[2 * i], takes[2 * i + 1]]) for i in range(2)}
    marks = [make_marks(samples) for samples in sounds.values()]
    assert find_cuts(marks) == [] and shared_s(*sounds.values(), 0) == 0
    assert (
        find_cuts([marks[0], make_marks(jingle)]) == [Cut(0, 1, 0)]
        and shared_s(sounds["take0"], jingle, 0) > 0
    )
    assert listen(table(tmp_path, sounds), tmp_path)["twins"].null_count() == 2


def test_marks_of_a_long_recording_are_those_of_its_pieces() -> None:
    samples = np.random.default_rng(0).normal(0, 1000, 700_000).astype(np.int16)
    whole = np.frombuffer(make_marks(samples), MARK)
    for start in (0, 123_457, 261_000, 500_000):
        piece = np.frombuffer(make_marks(samples[start : start + 30_000]), MARK)
        assert len(piece) > 20 and np.isin(piece["hash"], whole["hash"]).all()
        assert np.isin(piece["at"] + start, whole["at"]).all()
    assert make_marks(samples[:100]) == b"" and shared_s(samples, samples[-9:], 0) == 0


def test_silence_and_stationary_noise_are_nobodys_twin(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hiss = {f"hiss{i}": rng.normal(0, 1000, 32_000).astype(np.int16) for i in range(8)}
    hum = np.rint(5000 * np.sin(2 * np.pi * 120 * np.arange(32_000) / 16_000)).astype(np.int16)
    sounds = hiss | {"silence": np.zeros(32_000, np.int16), "short": np.ones(5, np.int16), "hum": hum}
    assert listen(table(tmp_path, sounds), tmp_path)["twins"].null_count() == len(sounds)


def test_a_bucket_that_all_share_is_not_compared_all_with_all(takes: list[np.ndarray]) -> None:
    sketch = make_sketch(spectra(takes[0])[0])
    found = candidates(gather([sketch] * 300))
    assert len({(pair.first, pair.second) for pair in found}) < 300 * 299 / 2
    linked = {0}
    for pair in sorted(found):
        if pair.first in linked or pair.second in linked:
            linked |= {pair.first, pair.second}
    assert len(linked) == 300
