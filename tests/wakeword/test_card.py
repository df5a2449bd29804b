import json
from pathlib import Path

import pytest
import yaml

from asr_pretrain.encoder import EncoderConfig
from asr_pretrain.training.recipe import Optimisation, Surroundings
from wakeword.cli import main
from wakeword.quantize import quantize
from wakeword.train import TriggerRecipe, train


def test_the_card_says_what_was_learnt_from_and_what_came_of_it(
    tiny_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = TriggerRecipe(
        manifests=[tiny_corpus],
        out=tmp_path / "run",
        encoder=EncoderConfig(channels=16, dilations=[1, 2]),
        batch_size=6,
        optimisation=Optimisation(steps=2, warmup_steps=1, checkpoint_every_steps=2, workers=0),
        surroundings=Surroundings(cabins=3, procedural_noises=3),
    )
    checkpoint, model = train(recipe), tmp_path / "word.onnx"
    quantize(checkpoint, [tiny_corpus], model, cuts=6)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(json.loads(recipe.model_dump_json())))
    card = {"rounds": ["recipe.yaml"], "model": str(model), "limits": ["It is a toy."]}
    card["results"] = str(Path(__file__).parents[2] / "docs" / "results.json")
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    assert main(["card", str(tmp_path / "card.yaml")]) == 0
    text = (tmp_path / "word.md").read_text()
    assert text.startswith("# “smart mirror”") and "- It is a toy." in text and "version 1.0.0, int8" in text
    assert "| takes | 35% |" in text and "M multiply-accumulates a second" in text and "FA/h" in text
    assert ": 2 steps; 12 cuts, " in text
    mean = recipe.model_copy(
        update={"out": tmp_path / "mean", "init": checkpoint, "runs": 2, "start_share": 0.2}
    )
    quantize(train(mean), [tiny_corpus], model, cuts=6)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(json.loads(mean.model_dump_json())))
    assert main(["card", str(tmp_path / "card.yaml")]) == 0
    text = (tmp_path / "word.md").read_text()
    assert ": the mean of 2 runs of 2 steps, and 20% of what they began from; 24 cuts, " in text
    other = recipe.model_copy(update={"optimisation": recipe.optimisation.model_copy(update={"seed": 1})})
    train(other.model_copy(update={"out": tmp_path / "other"}))
    recipe = other.model_copy(update={"out": tmp_path / "other"})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(json.loads(recipe.model_dump_json())))
    assert main(["card", str(tmp_path / "card.yaml")]) == 2
    assert "quantize them" in capsys.readouterr().err
