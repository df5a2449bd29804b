"""Coverage-guided fuzzing of every parser that takes outside bytes, by Atheris (libFuzzer).

fuzz.py run TARGET FOLDER SECONDS     one target, from the kept corpus and the seeds; finds go to FOLDER
fuzz.py keep TARGET FOLDER            the smallest of what was found into tests/mirror_device/fuzz/TARGET.json

`make fuzz SECONDS=60` runs all targets; tests/mirror_device/test_fuzz_corpus.py replays the kept corpus.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent.parent / "tests" / "mirror_device" / "fuzz"
MOST_KEPT, MOST_BYTES = 40, 2000


def fuzz(target: str, folder: Path, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["mirror_device"], enable_loader_override=False):
        from targets import TARGETS
    from seeds import seeds

    corpus = folder / target
    corpus.mkdir(parents=True, exist_ok=True)
    for content in [*kept(target), *seeds()[target]]:
        (corpus / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    options = [f"-max_total_time={seconds}", "-max_len=16384", "-timeout=10", "-rss_limit_mb=1500"]
    artifacts = f"-artifact_prefix={folder}/{target}-"
    atheris.Setup([sys.argv[0], *options, artifacts, "-print_final_stats=1", str(corpus)], TARGETS[target])
    atheris.Fuzz()


def kept(target: str) -> list[bytes]:
    """The corpus in the repository."""
    path = KEPT / f"{target}.json"
    return [base64.b64decode(text) for text in json.loads(path.read_text())] if path.exists() else []


def keep(target: str, folder: Path) -> None:
    """Writes the smallest inputs of a run, each of which reached something new when it was found."""
    found = sorted({path.read_bytes() for path in (folder / target).iterdir()}, key=lambda c: (len(c), c))
    small = [content for content in found if len(content) <= MOST_BYTES]
    step = max(1, len(small) // MOST_KEPT)  # of all sizes
    KEPT.mkdir(exist_ok=True)
    texts = [base64.b64encode(content).decode() for content in small[::step][:MOST_KEPT]]
    (KEPT / f"{target}.json").write_text(json.dumps(texts, indent=0) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "run":
        fuzz(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        keep(sys.argv[2], Path(sys.argv[3]))
