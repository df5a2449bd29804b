import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from asr_pretrain.augment.level import noise_level_db
from data_splits.manifest import read_manifest
from wakeword import streams as st
from wakeword.blocks import BLOCK_S, Segment, join_blocks, kind_of, take_of, voice_of

PHRASE = "smart mirror"


def playlist(corpus, split="dev", **more):
    return st.Playlist(read_manifest(corpus), corpus.parent, split, PHRASE, **more)


def test_truth_spans_lie_on_the_tones(corpus):
    (stream,) = playlist(corpus).positives("quiet", 1, None)
    assert len(stream.words) == 4
    loudness = np.abs(stream.samples.astype(float))
    for word in stream.words[:4]:
        inside = loudness[int(word.start_s * 16000) : int(word.end_s * 16000)]
        if word.take != "dev/take-3":  # 50 is no louder than the noise around it would allow
            assert word.end_s - word.start_s == pytest.approx(0.5, abs=0.03)
            assert inside.max() > 7900
    outside = loudness.copy()
    for word in stream.words:
        outside[int(word.start_s * 16000) : int(word.end_s * 16000)] = 0
    assert outside.max() < 100


def test_gaps_are_one_and_a_half_to_three_seconds_of_faint_noise_and_no_zeros(corpus):
    (stream,) = playlist(corpus).positives("quiet", 1, None)
    for before, after in pairwise(stream.words):
        # the recordings hold 0.3 s before their tone and 0.4 s after it
        if "dev/take-3" not in (before.take, after.take):
            assert 1.5 - 0.05 <= after.start_s - before.end_s - 0.7 <= 3.0 + 0.05
    frames = stream.samples[: stream.samples.size // 320 * 320].reshape(-1, 320).astype(float)
    rms = np.sqrt((frames**2).mean(axis=1))
    assert rms.min() > 1.0
    gap_db = 20 * math.log10(np.median(rms) / 32768)
    assert gap_db == pytest.approx(-75, abs=3)


def test_same_seed_same_streams_other_seed_others(corpus):
    def render(seed):
        return [s.samples for s in playlist(corpus, seed=seed).positives("quiet", 2, None)]

    first, again, other = render(1), render(1), render(2)
    assert len(first) == 2
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(a.size == b.size and np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert not np.array_equal(first[0][:16000], first[1][:16000])  # draws differ from each other


def test_negatives_play_once_with_what_they_are(corpus, quiet_car):
    (stream,) = playlist(corpus).negatives(quiet_car)
    assert stream.words == ()
    assert sorted(piece.id for piece in stream.pieces) == ["dev/burst", "dev/music", "dev/other"]
    kinds = {piece.id: piece.kind for piece in stream.pieces}
    assert kinds == {"dev/burst": "speech", "dev/music": "music", "dev/other": "other wake words"}
    seconds = sum(piece.end_s - piece.start_s for piece in stream.pieces)
    assert seconds == pytest.approx(80.0)


def test_unknown_labels_are_no_negatives_and_other_splits_stay_out(corpus, quiet_car):
    ids = {piece.id for s in playlist(corpus, "test").negatives(quiet_car) for piece in s.pieces}
    assert ids == {"test/burst", "test/music", "test/other"}


def test_negative_hours_can_be_capped(corpus, quiet_car):
    few = playlist(corpus, max_negative_hours=55 / 3600)
    assert few.negative_seconds() < 60


def test_drives_come_in_thirds(corpus, quiet_car):
    row = playlist(corpus).negative_rows[0]
    many = playlist(corpus)
    many.negative_rows = [row | {"id": f"row-{i}", "duration_s": 1.0} for i in range(150)]
    many.root = corpus.parent
    drives = [piece.drive for stream in many.negatives(quiet_car) for piece in stream.pieces]
    for name in ("as it is", "cabin"):
        assert 0.2 < drives.count(name) / len(drives) < 0.47
    levels = [float(d.removesuffix(" dB")) for d in drives if d.endswith("dB")]
    assert min(levels) >= -5 and max(levels) <= 20


def test_blocks_bound_the_memory():
    row = {"id": "x", "audio": "x.wav"}
    segments = (Segment(np.zeros(16000 * 60, np.float32), 0.2, 59.6, row) for _ in range(25))
    blocks = list(join_blocks(segments, "n", "negatives", np.random.default_rng(0)))
    assert len(blocks) == 3
    assert all(block.samples.size <= (BLOCK_S + 2) * 16000 for block in blocks)
    assert sum(len(block.pieces) for block in blocks) == 25


def test_conditions():
    assert st.parse_conditions("quiet, cabin,10,-5,10") == ("quiet", "cabin", "10", "-5")
    for bad in ("loud", "nan", "inf", ""):
        with pytest.raises(st.StreamError, match=f"'{bad}'" if bad else "no condition"):
            st.parse_conditions(bad)


def test_errors_name_what_is_missing(corpus):
    frame = read_manifest(corpus)
    with pytest.raises(st.StreamError, match="labels no 'hey you', only smart mirror, alexa"):
        st.Playlist(frame, corpus.parent, "dev", "hey you")
    with pytest.raises(st.StreamError, match="'dev' holds no take"):
        st.Playlist(frame.filter(pl.col("speaker").is_null()), corpus.parent, "dev", PHRASE)
    with pytest.raises(st.StreamError, match="no negative"):
        st.Playlist(frame.filter(pl.col("speaker").is_not_null()), corpus.parent, "dev", PHRASE)
    with pytest.raises(st.StreamError, match="needs a car"):
        list(playlist(corpus).positives("10", 1, None))


def test_an_utterance_rendered_in_noise_is_speech_of_its_clean_take():
    row = {"id": "drive-1", "clean_parent": "take-1", "noise_kind": "road", "speaker": "v", "labels": {}}
    assert kind_of(row, PHRASE) == "speech"
    assert (take_of(row), voice_of(row)) == ("take-1", "v")
    assert kind_of({"id": "n", "noise_kind": "road", "labels": None}, PHRASE) == "noise"
    assert voice_of({"id": "n", "source": "corpus"}) == "unknown (corpus)"


def test_silent_take_is_named():
    with pytest.raises(st.StreamError, match="take-9"):
        st.word_span_of({"id": "take-9", "domain": "general"}, np.zeros(1600, np.float32))


def test_span_from_the_manifest_wins_and_noisy_rows_without_one_count_whole():
    row = {"id": "x", "domain": "mirror", "word_start_s": 0.1, "word_end_s": 0.4}
    assert st.word_span_of(row, np.ones(16000)) == (0.1, 0.4)
    assert st.word_span_of({"id": "x", "domain": "mirror"}, np.ones(16000)) == (0.0, 1.0)


def test_the_simulated_car_keeps_time_and_sets_the_snr(corpus):
    frame = read_manifest(corpus)
    car = st.SimulatedCar(frame, corpus.parent, "dev", 0, cabins=2, procedural=3)
    (stream,) = st.Playlist(
        frame.filter(pl.col("id") != "dev/take-3"), corpus.parent, "dev", PHRASE
    ).positives("0", 1, car)
    x = stream.samples.astype(np.float32) / 32768
    import torch

    for word in stream.words:
        start, end = int(word.start_s * 16000), int(word.end_s * 16000)
        spoken = float(noise_level_db(torch.from_numpy(x[start:end])))
        noise = float(noise_level_db(torch.from_numpy(x[start - 9600 : start - 3200])))
        # at 0 dB the word's stretch holds as much tone as noise: 3 dB above the noise before it
        assert 0.5 < spoken - noise < 8


def test_recorded_noise_alone_is_asked_for_only_where_there_is_some(corpus):
    frame = read_manifest(corpus)
    with pytest.raises(st.StreamError, match="dev part has no recorded car noise"):  # it has music alone
        st.SimulatedCar(frame, corpus.parent, "dev", 0, cabins=2, procedural=3, noises="recorded")
    burst = pl.when(pl.col("source") == "bursts").then(pl.lit("road"))
    recorded = frame.with_columns(burst.alias("noise_kind"))
    rng = np.random.default_rng(0)
    for noises in ("recorded", "simulated"):
        car = st.SimulatedCar(recorded, corpus.parent, "dev", 0, cabins=2, procedural=3, noises=noises).car
        parents = {p for drive in car.draw(rng, 20, 16000, snr_db=0.0) for p in drive.noise.parents}
        assert all(p.startswith("procedural") == (noises == "simulated") for p in parents)
