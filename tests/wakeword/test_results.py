"""The README's table comes from score files, and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wakeword import cli, results

ROOT = Path(__file__).resolve().parents[2]


def score(path: str = "somewhere/smart_mirror.onnx") -> dict[str, Any]:
    condition = {
        "words": 38,
        "takes": 38,
        "voices": 6,
        "misses": 2,
        "frr": 2 / 38,
        "wilson_95": [0.0146, 0.1729],
        "by_voice_95": None,
        "misses_by_voice": {"a": [2, 7]},
        "latency_p50_s": 0.1,
    }
    point = {
        "threshold": 0.83,
        "false_accepts": 1,
        "fa_per_hour": 0.5,
        "fa_per_hour_95": [0.01, 2.8],
        "mean_frr_but_quiet": 2 / 38,
        "conditions": {"quiet": condition, "-5": condition},
    }
    model = {
        "model": path,
        "name": "smart_mirror",
        "version": "1.0.0",
        "precision": "int8",
        "sha256": "ab",
        "tuned_for_fa_per_hour": 0.5,
        "own_threshold": point,
        "read_off_this_split": {"0.5": point},
        "det": {},
    }
    return {
        "format": "rearview-score/1",
        "note": "The car is simulated.",
        "phrase": "smart mirror",
        "split": "test",
        "seed": 0,
        "draws": 1,
        "takes": 38,
        "voices": 6,
        "manifest": "recordings.parquet",
        "manifest_sha256": "cd",
        "negatives": {"hours": 2.0, "recordings": 900, "by_source": {"x": 2.0}},
        "models": [model],
    }


def test_table_shows_rates_intervals_and_what_they_rest_on(tmp_path: Path) -> None:
    readme, source = tmp_path / "README.md", tmp_path / "test.json"
    readme.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n", encoding="utf-8")
    source.write_text(json.dumps(score("/some/where/smart_mirror.onnx")), encoding="utf-8")
    words = ["--readme", str(readme), "--results", str(tmp_path / "r.json")]
    assert cli.main(["results", str(source), *words]) == 0
    text = readme.read_text(encoding="utf-8")
    assert "| FRR | quiet | -5 dB | FA/h |" in text
    assert "5.3 % (1–17)" in text
    assert "0.50 (0.01–2.80)" in text
    assert "38 takes of “smart mirror” by 6 voices; 2.00 h of negatives (900 recordings)" in text
    assert "simulated" in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "/some/where" not in (tmp_path / "r.json").read_text(encoding="utf-8")
    assert cli.main(["results", *words, "--check"]) == 0  # from the condensed file alone
    source.write_text(json.dumps({**score(), "generator": "unseen", "noise": "recorded"}), encoding="utf-8")
    assert cli.main(["results", str(source), *words]) == 0
    car = "**test part, cabins and noise made by methods that training never heard, recorded noise alone**"
    assert car in (text := readme.read_text(encoding="utf-8"))
    readme.write_text(text.replace("5.3 %", "0.0 %"), encoding="utf-8")
    assert cli.main(["results", *words, "--check"]) == 1


def test_a_benchmark_stands_below_the_scores(tmp_path: Path) -> None:
    def engine(name: str, frr: float) -> dict[str, Any]:
        point = {"frr": frr, "by_voice_95": None}
        best = {"conditions": {"quiet": point, "0": point}, "fa_per_hour": 0.28}
        best |= {"latency_p50_s": 0.1, "latency_p95_s": 0.2}
        return {
            "name": name,
            "version": "1",
            "cpu_share": 0.004,
            "peak_mb": 39.6,
            "default": best,
            "best": best,
        }

    paired = {name: {"ours": 1, "theirs": 9, "significant": name == "0"} for name in ("quiet", "0")}
    benchmark = {"format": "rearview-benchmark/1", "phrase": "smart mirror", "split": "test", "hours": 3.58}
    benchmark |= {"takes": 38, "voices": 6, "fa_per_hour": 0.5, "paired": {"other": paired}}
    benchmark |= {"engines": {"ours": engine("ours", 0.026), "other": engine("other", 0.237)}}
    benchmark["engines"]["other"]["best"] = None
    readme, kept = tmp_path / "README.md", tmp_path / "r.json"
    readme.write_text(f"{results.BEGIN}\n{results.END}", encoding="utf-8")
    files = {"score.json": score(), "benchmark.json": benchmark}
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    words = [str(tmp_path / name) for name in files]
    assert cli.main(["results", *words, "--readme", str(readme), "--results", str(kept)]) == 0
    text = readme.read_text(encoding="utf-8")
    assert "| ours 1 | 2.6 % | 2.6 % | 0.28 | 0.10 s / 0.20 s | 0.40 % | 40 |" in text
    assert "| other 1 | – | – | – | – | 0.40 % | 40 |" in text
    assert "ours to other's: quiet 1 to 9, 0 dB 1 to 9\\*." in text
    assert cli.main(["results", "--readme", str(readme), "--results", str(kept), "--check"]) == 0


def test_readme_without_markers_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme, source = tmp_path / "README.md", tmp_path / "test.json"
    readme.write_text("nothing here\n", encoding="utf-8")
    source.write_text(json.dumps(score()), encoding="utf-8")
    words = [str(source), "--readme", str(readme), "--results", str(tmp_path / "r.json")]
    assert cli.main(["results", *words]) == 2
    assert "markers" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "something else"}'])
def test_what_is_no_score_is_refused_by_name(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "broken.json"
    source.write_text(content, encoding="utf-8")
    assert cli.main(["results", str(source), "--readme", str(ROOT / "README.md"), "--check"]) == 2
    assert "broken.json" in capsys.readouterr().err


@pytest.mark.skipif(not (ROOT / "docs/results.json").exists(), reason="no score has been written yet")
def test_readme_shows_the_results_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(["results", "--check"]) == 0, "run `wakeword results`"
