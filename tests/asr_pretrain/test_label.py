import json
import sys
import types
from pathlib import Path

import polars as pl
import pytest

from asr_pretrain import label
from asr_pretrain.cli import main
from data_splits.manifest import read_manifest, write_manifest


def test_only_plausible_texts_are_kept_and_nothing_is_read_twice(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speech = read_manifest(tiny_corpus).filter(
        (pl.col("split") == "train") & pl.col("noise_kind").is_null() & (pl.col("duration_s") > 0.8)
    )
    root = f"{tiny_corpus.parent}/"
    rows = speech.head(3).with_columns(pl.lit(None, dtype=pl.String).alias("text"), root + pl.col("audio"))
    manifest, out = tmp_path / "silent.parquet", tmp_path / "labelled.parquet"
    write_manifest(rows, manifest)
    ids = rows["id"].to_list()
    heard = {ids[0]: "turn left", ids[1]: "a" * 60, ids[2]: ""}
    out.with_suffix(".jsonl").write_text(
        "".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in heard.items()) + '{"id": "cut o'
    )
    monkeypatch.setitem(sys.modules, "pocketsphinx", types.SimpleNamespace())
    monkeypatch.setattr(label, "plausible", lambda text, seconds: text == "turn left")
    source = rows["source"][0]
    assert main(["label", str(manifest), "--source", source, "--out", str(out), "--jobs", "1"]) == 0
    assert "1 of 3 recordings have a text now" in capsys.readouterr().out
    made = read_manifest(out)
    assert made["text"].to_list() == ["turn left"] and made["id"].to_list() == [ids[0]]
    assert main(["label", str(manifest), "--source", "other", "--out", str(out)]) == 2
    assert "no train row of other is without a text" in capsys.readouterr().err


def test_a_text_takes_its_time() -> None:
    assert label.plausible("turn left on main street", 1.5)
    assert not label.plausible("turn left on main street", 0.5)
    assert not label.plausible("", 1.0) and not label.plausible("hm", 9.0)


def test_pocketsphinx_is_asked_for(
    tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    assert main(["label", str(tiny_corpus), "--source", "x", "--out", "x.parquet"]) == 2
    assert "rearview-wakeword[label]" in capsys.readouterr().err
