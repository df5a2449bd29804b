"""Import a CUDA-linked torchaudio beside a CPU-only torch, without changing a file.

PyPI's torchaudio wheel is linked to CUDA, so `import torchaudio` (and speechbrain, which imports it) fails
where torch is the CPU build: `libc10_cuda.so: cannot open shared object file`. Nothing that this project uses
lives in that compiled part. `install()` puts an empty module in its place, only where the real one fails.

Lost where it acts: forced_align and rnnt_loss; lfilter falls back to Python.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_EXTENSION = "torchaudio._extension"


def install() -> str:
    """Call it before the first import of torchaudio or speechbrain; a second call changes nothing.

    Returns:
        What was found: `no torchaudio`, `already imported`, `extension loads`, or `stand-in: <why>`.
    """
    if _EXTENSION in sys.modules:
        return "already imported"
    spec = importlib.util.find_spec("torchaudio")
    if spec is None or spec.origin is None:
        return "no torchaudio"
    import torch  # noqa: F401  (the extension links to torch's libraries, which must be in memory first)

    reason = _load_error(Path(spec.origin).parent / "lib")
    if reason is None:
        try:
            importlib.import_module("torchaudio")
            return "extension loads"
        except RuntimeError as error:  # it was built for another CUDA than this torch
            reason = str(error)
            for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
                del sys.modules[name]
    sys.modules[_EXTENSION] = _stand_in(reason)
    return f"stand-in: {reason}"


def _load_error(folder: Path) -> str | None:
    """Why a compiled library of the wheel does not load; None when all do."""
    for library in sorted([*folder.glob("_torchaudio*.so"), *folder.glob("libtorchaudio*.so")]):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return str(error)
    return None


def _stand_in(reason: str) -> types.ModuleType:
    def fail_if_no_align(function: Callable[..., object]) -> Callable[..., NoReturn]:
        def refuse(*args: object, **kwargs: object) -> NoReturn:
            raise RuntimeError(
                f"{function.__name__} needs torchaudio's compiled part, which does not load here ({reason}); "
                "install torch and torchaudio from the same index"
            )

        return refuse

    module = types.ModuleType(_EXTENSION, "Stands in for the compiled part of torchaudio.")
    vars(module).update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        fail_if_no_align=fail_if_no_align,
        _check_cuda_version=lambda: None,
    )
    return module
