from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of a corpus of a few dozen synthetic recordings."""
    from asr_pretrain.synthesis.corpus import make_corpus

    return make_corpus(tmp_path_factory.mktemp("corpus") / "tiny", size="tiny", quiet=True)
