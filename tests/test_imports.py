"""The import ladder: data_splits and mirror_device stand alone, asr_pretrain uses both, wakeword all."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("data_splits", "asr_pretrain", "wakeword", "mirror_device")
# Package -> the modules (with all below them) of the other packages that it may import.
LADDER = {
    "data_splits": (),
    "mirror_device": (),
    "asr_pretrain": ("data_splits", "mirror_device.logmel"),
    "wakeword": ("data_splits", "asr_pretrain", "mirror_device"),
}
# What the mirror has installed: the base dependencies, and PyAudio where somebody wants it.
DEVICE = {"numpy", "onnxruntime", "sounddevice", "pyaudio", "mirror_device"}
# What its service may import beside them, by the `serve` extra.
SERVICE = {"msgspec", "yaml", "paho"}
# And its updates, by the `update` extra.
UPDATE = {"minisign"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import statement of a file, nested ones included."""
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package}/ holds no module"
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_from_higher_up_the_ladder(package: str) -> None:
    wrong = []
    for path in modules(package):
        for line, name in imports(path):
            other = name.split(".")[0]
            if other not in PACKAGES or other == package:
                continue
            if not any(name == allowed or name.startswith(allowed + ".") for allowed in LADDER[package]):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_device_imports_only_what_a_mirror_has_installed() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("mirror_device")
        for line, name in imports(path)
        if name.split(".")[0] not in DEVICE | sys.stdlib_module_names
        and not ("service" in path.parts and name.split(".")[0] in SERVICE)
        and not ("update" in path.parts and name.split(".")[0] in UPDATE)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_check_sees_nested_and_relative_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wakeword").mkdir()
    source = tmp_path / "wakeword" / "x.py"
    source.write_text("from . import model\nfrom .model import A\ndef f():\n    import torch.nn\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert list(imports(source)) == [(1, "wakeword.model"), (2, "wakeword.model.A"), (4, "torch.nn")]
