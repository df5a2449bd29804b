import argparse
import json

import numpy as np
import polars as pl
import pytest

from data_splits.manifest import read_manifest, write_manifest
from wakeword import diagnose
from wakeword.blocks import StreamError
from wakeword.diagnose import Tally, diagnosis


def made(misses, words=200, voices=10, **more):
    names = tuple(f"take-{i}" for i in range(words))
    return Tally(
        np.random.default_rng(0).permutation(words) < misses,
        names,
        tuple(f"voice-{i % voices}" for i in range(words)),
        **more,
    )


def gaps(result):
    return {row["name"]: row for row in result["gaps"]}


def test_each_gap_is_named_with_its_remedy():
    tallies = {"train": made(40), "train_dev": made(90), "dev": made(150), "test": made(195)}
    result = gaps(diagnosis(tallies, (1, 200), 0.5))
    for name, size in (
        ("avoidable bias", 0.195),
        ("variance", 0.25),
        ("data mismatch", 0.3),
        ("dev overfitting", 0.225),
    ):
        row = result[name]
        assert row["gap"] == pytest.approx(size)
        assert row["interval_95"][0] > 0
        assert row["verdict"] == name
        assert row["remedy"]


def test_no_verdict_where_the_interval_holds_zero():
    tallies = {"train": made(40), "train_dev": made(42), "dev": made(39), "test": made(40)}
    result = gaps(diagnosis(tallies, (38, 200), 0.5))
    for row in result.values():
        assert row["verdict"].startswith("no verdict") and row["remedy"] is None
        assert row["interval_95"][0] <= 0 <= row["interval_95"][1]
    assert "negative" in result["data mismatch"]["verdict"]


def test_negative_gap_is_named_as_such():
    tallies = {"train": made(100), "train_dev": made(100), "dev": made(10), "test": made(10)}
    row = gaps(diagnosis(tallies, None, 0.5))["data mismatch"]
    assert row["verdict"].startswith("negative gap: dev is easier than train_dev")
    assert row["remedy"] is None


def test_without_people_bias_is_unknown():
    row = gaps(diagnosis({"train": made(40)}, None, 0.5))
    assert row["avoidable bias"]["verdict"] == "unknown: no human error was measured"
    assert row["variance"]["verdict"] == "unknown: no train_dev error was measured"


def test_one_voice_gives_no_verdict():
    tallies = {"train": made(0), "train_dev": made(200, voices=1)}
    assert "one voice" in gaps(diagnosis(tallies, None, 0.5))["variance"]["verdict"]


def test_fa_per_hour_stands_beside_each_split():
    rows = diagnosis({"train": made(1, false_accepts=3, hours=0.5), "dev": made(1)}, None, 0.5)["splits"]
    assert rows["train"]["fa_per_hour"] == 6
    assert rows["dev"]["fa_per_hour"] is None
    assert rows["human"] is None and rows["test"] is None


def test_human_file(tmp_path):
    path = tmp_path / "human.json"
    path.write_text('{"misses": 2, "takes": 190, "who": "two listeners"}')
    assert diagnose.read_human(path) == (2, 190)
    for text in ("", "[]", '{"misses": 1}', '{"misses": 3, "takes": 2}', '{"misses": 0.5, "takes": 2}'):
        path.write_text(text)
        with pytest.raises(StreamError, match=r"human\.json"):
            diagnose.read_human(path)


def call(*words):
    parser = argparse.ArgumentParser()
    diagnose.add_parser(parser.add_subparsers())
    return diagnose.run(parser.parse_args(["diagnose", *map(str, words)]))


def test_end_to_end(corpus, loud_model, quiet_car, tmp_path, capsys):
    frame = read_manifest(corpus).with_columns(
        domain=pl.when(pl.col("split").is_in(["dev", "test"]))
        .then(pl.lit("mirror"))
        .otherwise(pl.lit("general"))
    )
    plan, human = tmp_path / "plan.parquet", tmp_path / "human.json"
    write_manifest(frame, plan)
    human.write_text('{"misses": 0, "takes": 4}')
    assert call("--model", loud_model(), "--plan", plan, "--human", human, "--json") == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    for split in ("train", "train_dev", "dev", "test"):
        row = result["splits"][split]
        assert (row["misses"], row["words"], row["voices"], row["false_accepts"]) == (1, 4, 2, 1)
        assert row["hours"] == pytest.approx(80 / 3600)
    assert all(row["verdict"].startswith("no verdict") for row in result["gaps"])
    assert "simulated" in captured.err and "avoidable bias" in captured.err
    # one threshold for all
    assert call("--model", loud_model(), "--plan", plan, "--threshold", "1", "--max-rows", 2, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert {result["splits"][s]["words"] for s in ("train", "train_dev", "dev", "test")} == {2}
    assert result["threshold"] == 1


def test_bad_arguments(corpus, loud_model, quiet_car):
    for words, message in ((("--threshold", "2"), "0..1"), (("--max-rows", "0"), "--max-rows 0")):
        with pytest.raises(StreamError, match=message):
            call("--model", loud_model(), "--plan", corpus, *words)
