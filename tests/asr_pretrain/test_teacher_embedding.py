from pathlib import Path

import numpy as np
import pytest
import torch

from asr_pretrain.teachers import TeacherError
from asr_pretrain.teachers.speech_embedding import EMBEDDING, HOP_SAMPLES, LATENCY_SAMPLES, build


@pytest.fixture(scope="module")
def models() -> Path:
    pytest.importorskip("tflite")
    package = pytest.importorskip("pyopen_wakeword")
    return Path(package.__file__).parent / "models"


def test_the_embedding_is_what_its_own_runtime_computes(models: Path) -> None:
    from pyopen_wakeword import OpenWakeWordFeatures

    pcm = (np.random.default_rng(0).normal(size=48000) * 1000).astype(np.int16)
    runtime = OpenWakeWordFeatures.from_builtin()
    blocks = [pcm[i : i + 1280].astype("<i2").tobytes() for i in range(0, len(pcm) - 1279, 1280)]
    theirs = np.concatenate([f.reshape(-1, 96).copy() for b in blocks for f in runtime.process_streaming(b)])
    waveform = torch.from_numpy(pcm.astype(np.float32) / 32768)[None]
    late = torch.nn.functional.pad(waveform, (0, LATENCY_SAMPLES + 8 * HOP_SAMPLES))
    ours = build(models).freeze().features(late)[0].numpy()
    for row in ours[20:30]:
        assert np.abs(theirs - row).max(1).min() < 1e-2  # of values up to 60


def test_other_files_are_refused(models: Path, tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="no such file"):
        build(tmp_path)
    (tmp_path / EMBEDDING).write_bytes(b"no flatbuffer at all")
    with pytest.raises(TeacherError, match="not TFLite, or damaged"):
        build(tmp_path)
