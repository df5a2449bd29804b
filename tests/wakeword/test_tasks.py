import numpy as np
import polars as pl
import torch

from asr_pretrain.phonemes import PHONES, phone_ids
from asr_pretrain.targets import Targets
from wakeword.spans import Placed
from wakeword.tasks import MOST_PHONES, UNKNOWN, TaskConfig, TaskHeads, TaskTargets, keep_phones, speaking

CONFIG = TaskConfig(words=["alexa", "jarvis"], words_weight=1, voice_activity_weight=1, phones_weight=1)
FRAME_S, N_FRAMES = 0.04, 80


def frame() -> pl.DataFrame:
    labels = [{"alexa": 1, "jarvis": 0}, {"alexa": 0, "jarvis": None}, {"alexa": None, "jarvis": None}]
    return pl.DataFrame(
        {
            "labels": labels,
            "noise_kind": [None, None, "rain"],
            "text": ["alexa", None, None],
        },
        schema_overrides={"labels": pl.Struct({"alexa": pl.Int64, "jarvis": pl.Int64})},
    )


def placed(rows: list[int], whole: list[float]) -> Placed:
    speech = np.zeros((len(rows), 51200), dtype=np.float32)
    speech[:, 16000:24000] = 0.1
    n = len(rows)
    return Placed(speech, np.full((n, 2), -1.0), np.array(rows), np.array(whole), np.ones(n))


def test_unknown_is_not_negative() -> None:
    word = np.zeros(16000, dtype=np.int16)
    word[4000:12000] = 3000
    cuts = placed([0, 0, 1, 2, -1], [1.0, -1, 0.5, 0.5, -1])
    batch = TaskTargets(frame(), CONFIG).of(cuts, [word] * 3, FRAME_S, N_FRAMES)
    assert batch["words_label"].tolist() == [[1, 0], [UNKNOWN, 0], [0, UNKNOWN], [UNKNOWN] * 2, [0, 0]]
    assert batch["words_start"][0].tolist() == [31, UNKNOWN] and batch["words_end"][0].tolist()[0] == 44
    spelled = phone_ids("alexa")
    assert batch["phones"][0].tolist() == spelled + [0] * (MOST_PHONES - len(spelled))
    assert not batch["phones"][1:].any()  # in part, without text, or noise
    assert (batch["active"][3] == UNKNOWN).all()  # a recorded noise may hold voices
    assert batch["active"][0].sum() == 13 and batch["active"][0, 25:37].all()


def test_masked_labels_move_nothing() -> None:
    torch.manual_seed(0)
    heads = TaskHeads(CONFIG, 8)
    encoded = torch.randn(2, N_FRAMES, 8, requires_grad=True)
    unknown = {
        "words_label": torch.full((2, 2), UNKNOWN),
        "words_start": torch.full((2, 2), UNKNOWN),
        "words_end": torch.full((2, 2), UNKNOWN),
        "active": torch.full((2, N_FRAMES), UNKNOWN),
        "phones": torch.zeros((2, MOST_PHONES), dtype=torch.int64),
    }

    def word_loss(logits: torch.Tensor, end: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        return logits.square().mean()

    assert float(heads(encoded, unknown, word_loss).detach()) == 0
    known = {**unknown, "phones": unknown["phones"].clone(), "active": unknown["active"].clone()}
    known["phones"][0, :3] = torch.tensor([1, 2, 3])
    known["active"][1] = 1
    loss = heads(encoded, known, word_loss)
    loss.backward()
    assert float(loss.detach()) > 0 and encoded.grad is not None and heads.words.weight.grad is None


def test_silence_is_nobody_speaking() -> None:
    assert not speaking(np.zeros(16000), FRAME_S, 25).any()
    loud = np.zeros(16000)
    loud[3200:6400] = 0.2
    assert speaking(loud, FRAME_S, 30).tolist() == [0] * 5 + [1] * 5 + [0] * 20


def test_the_phone_output_is_the_recognisers() -> None:
    heads = TaskHeads(CONFIG, 4)
    tensors = {"output.weight": torch.ones(len(PHONES) + 1, 4), "output.bias": torch.ones(len(PHONES) + 1)}
    keep_phones(heads, tensors, {"kind": "recogniser", **Targets().card()})
    assert bool((heads.phones.weight == 1).all())
