import json
from pathlib import Path

import yaml

from asr_pretrain.card import SCORES
from asr_pretrain.cli import main
from asr_pretrain.train import PretrainRecipe, train


def test_the_card_says_what_was_heard_and_how_well(
    tiny_recipe: PretrainRecipe, tiny_corpus: Path, tmp_path: Path
) -> None:
    train(tiny_recipe)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(json.loads(tiny_recipe.model_dump_json())))
    card = {
        "stages": ["recipe.yaml"],
        "scored": {"toy dev": {"manifest": str(tiny_corpus)}},
        "snr_db": [None, 0.0],
        "limits": ["It is a toy."],
    }
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump(card))
    assert main(["card", str(path), "--out", str(tmp_path / "models")]) == 0
    text = (tmp_path / "models" / "encoder.md").read_text()
    assert "| toy dev | " in text and "- It is a toy." in text and "| clean | 0 dB |" in text
    assert "distinct recordings" in text and "| synthetic |" in text
    assert (tmp_path / "models" / "encoder.svg").read_text().lstrip().startswith("<?xml")
    rows = json.loads((tiny_recipe.out / SCORES).read_text())["rows"]
    assert len(rows) == 2 and all(row["per"] > 0 for row in rows.values())
    (tiny_recipe.out / SCORES).write_text(
        (tiny_recipe.out / SCORES).read_text().replace('"per": ', '"per": 1e9, "was": ')
    )
    assert main(["card", str(path), "--out", str(tmp_path / "models")]) == 0  # scored once, then read
    assert "100000000000" in (tmp_path / "models" / "encoder.md").read_text()
