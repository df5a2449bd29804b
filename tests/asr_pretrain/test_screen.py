import json
from pathlib import Path

import pytest
import yaml

from asr_pretrain.cli import main
from asr_pretrain.screen import RESULT, merged
from asr_pretrain.train import PretrainRecipe, load_recogniser


@pytest.fixture
def screen(tiny_recipe: PretrainRecipe, tiny_corpus: Path, tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(json.loads(tiny_recipe.model_dump_json())))
    path = tmp_path / "screen.yaml"
    document = {
        "base": "base.yaml",
        "out": str(tmp_path / "screen"),
        "common": {"optimisation": {"steps": 2}},
        "variants": {
            "residual": {},
            "characters": {"targets": "characters", "encoder": {"dilations": [1]}},
            "intermediate": {"intermediate_weight": 0.3},
        },
        "scored": {"dev": {"manifest": str(tiny_corpus)}},
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_a_screen_tells_its_price_then_trains_and_scores_each_variant_once(
    screen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["screen", str(screen), "--dry-run"]) == 0
    assert "3 of 3 runs to do" in capsys.readouterr().out and not (tmp_path / "screen").exists()
    assert main(["screen", str(screen), "--only", "residual", "--only", "characters"]) == 0
    assert "| characters | 0 |" in capsys.readouterr().out
    made = tmp_path / "screen" / "characters" / "seed-0"
    model, sidecar = load_recogniser(made / "encoder.safetensors")
    assert sidecar["targets"] == "characters" and model.output.out_features == 29
    assert len(model.encoder.blocks) == 1 and sidecar["recipe"]["encoder"]["channels"] == 16
    facts = json.loads((made / RESULT).read_text())
    assert facts["per"]["dev"] > 0 and facts["cpu_h"] >= 0
    assert main(["screen", str(screen)]) == 0
    output = capsys.readouterr().out
    assert "1 of 3 runs to do" in output and output.splitlines()[-1].startswith("| intermediate | 0 |")


def test_a_screen_names_the_variant_that_is_wrong(screen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["screen", str(screen), "--only", "other"]) == 2
    assert "no variant 'other'; there are residual, characters, intermediate" in capsys.readouterr().err
    document = yaml.safe_load(screen.read_text())
    document["variants"]["residual"] = {"encoder": {"colour": "red"}}
    screen.write_text(yaml.safe_dump(document, sort_keys=False))
    assert main(["screen", str(screen)]) == 2
    assert "screen.yaml: residual: encoder.colour" in capsys.readouterr().err


def test_merging_goes_into_mappings_only() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2]}) == {
        "a": {"b": 3, "c": 2},
        "d": [2],
    }
