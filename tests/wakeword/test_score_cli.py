import argparse
import json

import numpy as np
import pytest
import soundfile

from data_splits.audio import to_int16
from data_splits.manifest import read_manifest
from mirror_device import Detector
from wakeword import compare as compare_module
from wakeword import score as score_module
from wakeword import scoring
from wakeword.blocks import StreamError
from wakeword.drive import read_truth, score_drive
from wakeword.evaluate import evaluate, listen, open_models
from wakeword.streams import Playlist


def run(module, *words):
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    return module.run(parser.parse_args([module.__name__.split(".")[-1], *map(str, words)]))


def score(corpus, *words):
    return run(score_module, corpus, "--split", "dev", *words)


def test_score_by_hand(corpus, loud_model, quiet_car, tmp_path, capsys):
    out, raw = tmp_path / "out.json", tmp_path / "raw.npz"
    model = loud_model()
    args = ("--model", model, "--conditions", "quiet,cabin", "--json", out, "--raw", raw, "--draws", 2)
    assert score(corpus, *args) == 0
    result = json.loads(out.read_text())
    assert "simulated" in result["note"]
    assert (result["takes"], result["voices"]) == (4, 2)
    own = result["models"][0]["own_threshold"]
    # three loud takes heard, the faint one missed, in each of the two draws
    quiet = own["conditions"]["quiet"]
    assert (quiet["words"], quiet["takes"], quiet["misses"], quiet["frr"]) == (8, 4, 2, 0.25)
    assert quiet["misses_by_voice"] == {"dev-voice-1": [2, 4], "dev-voice-0": [0, 4]}
    assert quiet["wilson_95"] == pytest.approx([0.0456, 0.6994], abs=1e-3)  # of 4 takes, not of 8
    # one burst in 80 s of negatives; gaps and positives do not enter the hours
    assert result["negatives"]["hours"] == pytest.approx(80 / 3600)
    assert result["negatives"]["by_source"]["bursts"] == pytest.approx(20 / 3600, abs=1e-4)
    assert own["false_accepts"] == 1
    assert own["fa_per_hour"] == pytest.approx(45)
    # every event below that rate needs a threshold above the burst, which is louder than the takes
    assert result["models"][0]["read_off_this_split"]["0.5"]["conditions"]["quiet"]["frr"] == 1.0
    worst = result["models"][0]["worst_false_accepts"][0]
    assert (worst["id"], worst["accepted"]) == ("dev/burst", True)
    assert worst["time_in_recording_s"] == pytest.approx(10, abs=0.5)
    stored = np.load(raw, allow_pickle=False)
    assert len(json.loads(str(stored["meta"]))["streams"]) == len([n for n in stored.files if n != "meta"])
    err = capsys.readouterr().err
    assert "simulated" in err and "misses by voice" in err.lower() and "read off" in err


def test_json_on_stdout_and_nothing_else(corpus, loud_model, quiet_car, capsys):
    assert score(corpus, "--model", loud_model(), "--conditions", "quiet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["split"] == "dev"


def test_bars_set_the_exit_code(corpus, loud_model, quiet_car, tmp_path):
    base = ("--model", loud_model(), "--conditions", "quiet")
    # one miss of four: P(X >= 1 | 4, 0.1) = 0.34 is no proof, P(X >= 1 | 4, 0.01) = 0.04 is
    assert score(corpus, *base, "--bar", "quiet=0.1") == 0
    assert score(corpus, *base, "--bar", "quiet=0.01") == 1
    assert score(corpus, *base, "--max-fa-per-hour", 50) == 0
    assert score(corpus, *base, "--max-fa-per-hour", 1) == 1
    for bar, words in (("quiet", "quiet=0.08"), ("quiet=2", "between 0 and 1"), ("10=0.2", "not played")):
        with pytest.raises(StreamError, match=words):
            score(corpus, *base, "--bar", bar)


def test_several_models_hear_the_same_streams(corpus, loud_model, quiet_car, tmp_path):
    out = tmp_path / "out.json"
    a, b = loud_model("a.onnx"), loud_model("b.onnx", offset=40)
    assert score(corpus, "--model", a, "--model", b, "--conditions", "quiet", "--json", out) == 0
    frr = [m["own_threshold"]["conditions"]["quiet"]["frr"] for m in json.loads(out.read_text())["models"]]
    assert frr == [0.25, 1.0]


def test_unusable_input_is_named(corpus, loud_model, quiet_car, tmp_path):
    with pytest.raises(ValueError, match="manifest"):
        run(score_module)
    with pytest.raises(ValueError, match=r"nowhere\.parquet"):
        run(score_module, tmp_path / "nowhere.parquet", "--model", loud_model())
    with pytest.raises(ValueError, match="hears smart mirror, not 'alexa'"):
        score(corpus, "--model", loud_model(), "--keyword", "alexa")
    with pytest.raises(ValueError, match="--draws 0"):
        score(corpus, "--model", loud_model(), "--draws", 0)


def test_events_are_those_of_the_device(loud_model):
    rng = np.random.default_rng(5)
    envelope = np.repeat(rng.uniform(0, 1, 120) ** 6, 4000) * 12000
    time_s = np.arange(envelope.size) / 16000
    sound = np.rint(envelope * np.sin(2 * np.pi * 900 * time_s)).astype(np.int16)
    for threshold in (0.3, 0.9, 0.97):
        detector = Detector(loud_model(), threshold=threshold)
        expected = [detection.time_s for detection in detector.process(sound)]
        detector.reset()
        scores = detector.scores(sound)[:, 0]
        found = scoring.events(scores, threshold, detector.metadata["refractory_s"], detector.step_s)
        assert len(expected) > 3
        assert found == pytest.approx(expected)


@pytest.fixture
def drive(tmp_path):
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 3, 30 * 16000)
    time_s = np.arange(sound.size) / 16000
    for start in (5.0, 15.0, 25.0):
        inside = (time_s >= start) & (time_s < start + 0.5)
        sound[inside] += 8000 * np.sin(2 * np.pi * 1000 * time_s[inside])
    soundfile.write(tmp_path / "drive.wav", to_int16(sound / 32768), 16000)
    return tmp_path / "drive.wav"


def test_anyones_own_drive(drive, loud_model, tmp_path, capsys):
    truth = tmp_path / "drive.csv"
    # the second word is silent; the burst at 15 s is somebody else's word
    truth.write_text("start_s,end_s,text\n5.0,5.5,Smart mirror!\n9.0,9.6\n\n15.0,15.5,hello there\n")
    args = ("--stream", drive, "--truth", truth, "--model", loud_model(), "--json")
    page = tmp_path / "drive.html"
    assert run(score_module, *args, "-", "--html", page) == 0
    (result,) = json.loads(capsys.readouterr().out)["models"]
    assert (result["words"], result["hits"], result["misses"], result["strays"]) == (2, 1, 1, 2)
    assert result["rest_hours"] == pytest.approx((30 - 1.5 - 1.6) / 3600, rel=0.01)
    assert result["rest_fa_per_hour"] == pytest.approx(2 / result["rest_hours"])
    assert result["events"][0]["heard_s"] == pytest.approx(5.08, abs=0.09)
    assert "<svg" in page.read_text()


def test_a_second_event_inside_a_word_is_a_stray_but_no_false_accept_of_the_rest(tmp_path):
    truth = tmp_path / "t.csv"
    truth.write_text("1.0;2.0\n")
    scores = np.zeros(100, np.float32)
    scores[[11, 28]] = 1
    result = score_drive(scores, read_truth(truth), "smart mirror", 0.5, scoring.Rule(0.1, 1.5))
    assert (result["hits"], result["strays"], result["rest_false_accepts"]) == (1, 1, 0)


@pytest.mark.parametrize(
    "row, words",
    [
        ("abc,2", "line 3.*'abc,2'"),
        ("1", "line 3.*start_s,end_s"),
        ("3,2", "line 3.*3 to 2 s"),
        ("-1,2", "line 3.*-1 to 2 s"),
        ("nan,2", "line 3"),
        ("50,51", "line 3.*50 s lies behind"),
    ],
)
def test_bad_truth_rows_are_named(tmp_path, row, words):
    path = tmp_path / "truth.csv"
    path.write_text(f"start,end\n1,2,smart mirror\n{row}\n")
    with pytest.raises(StreamError, match=words):
        read_truth(path, 30.0)


def test_truth_needs_no_header_and_a_missing_file_is_named(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("# mine\n4\t5\tsmart mirror\n1\t2\n", encoding="utf-8-sig")
    assert [row.start_s for row in read_truth(path)] == [1.0, 4.0]
    with pytest.raises(StreamError, match="none.csv"):
        read_truth(tmp_path / "none.csv")


def test_compare_is_paired(corpus, loud_model, quiet_car, tmp_path, capsys):
    a, b, out = loud_model("a.onnx"), loud_model("b.onnx", offset=25), tmp_path / "c.json"
    assert run(compare_module, a, b, corpus, "--conditions", "quiet,cabin", "--json", out) == 0
    result = json.loads(out.read_text())
    row = result["at_fa_per_hour"]["0.5"]["conditions"]["quiet"]
    # the same order of scores: equal at equal FA/h, whatever the offset
    assert row["difference"] == 0 and row["verdict"].startswith("no verdict")
    assert "all but quiet" not in result["at_fa_per_hour"]["0.5"]["conditions"]


def test_paired_row_gives_a_verdict_only_outside_zero():
    takes = [str(i) for i in range(30)]
    good, bad = np.zeros(30, bool), np.arange(30) < 20
    assert compare_module.paired_row(good, bad, takes, 0)["verdict"] == "B misses more"
    assert compare_module.paired_row(bad, good, takes, 0)["verdict"] == "B misses fewer"
    assert "no verdict" in compare_module.paired_row(good, np.arange(30) < 1, takes, 0)["verdict"]


def test_a_tenth_only_over_ten_hours(corpus, loud_model, quiet_car):
    listeners, phrase = open_models([str(loud_model())], None)
    playlist = Playlist(read_manifest(corpus), corpus.parent, "dev", phrase)
    listen(listeners, playlist.positives("quiet", 1, None))
    listen(listeners, playlist.negatives(quiet_car))
    assert set(evaluate(listeners[0])["read_off_this_split"]) == {"0.5", "1"}
    stretched = [
        heard if heard.words else heard.__class__(**{**vars(heard), "pieces": heard.pieces * 500})
        for heard in listeners[0].heard
    ]
    listeners[0].heard[:] = stretched
    assert set(evaluate(listeners[0])["read_off_this_split"]) == {"0.5", "1", "0.1"}
