import errno
import os
from pathlib import Path

import pytest
import torch

from asr_pretrain.training import checkpoint, state
from asr_pretrain.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from asr_pretrain.training.state import PREVIOUS, STATE, State, read_state, write_state


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"w": torch.arange(6.0).view(2, 3).t()}, {"step": 3})
    tensors, sidecar = load_checkpoint(path)
    assert torch.equal(tensors["w"], torch.arange(6.0).view(2, 3).t())
    assert sidecar == {"step": 3}
    assert '"step": 3' in path.with_suffix(".json").read_text()


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "foreign", "folder"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.safetensors"
    if damage != "missing":
        save_checkpoint(path, {"w": torch.zeros(1000)}, {})
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "foreign":
        path.write_bytes(os.urandom(5000))
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    with pytest.raises(CheckpointError, match="a.safetensors"):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"w": torch.ones(1)}, {"step": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, {"w": torch.zeros(1)}, {"step": 2})
    assert load_checkpoint(path)[1] == {"step": 1}
    assert not list(tmp_path.glob("*.tmp"))


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"w": torch.ones(100), "b": torch.ones(3, dtype=torch.bfloat16)}, {})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a.safetensors: damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("links", [True, False])
def test_the_state_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:

        def refuse(*names: object) -> None:
            raise PermissionError("no links here")

        monkeypatch.setattr(state.os, "link", refuse)
    for step in (1, 2, 3):
        write_state(tmp_path, State({"w": torch.full((4,), float(step))}, {"step": step}))
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".safetensors") == [PREVIOUS, STATE]
    assert load_checkpoint(tmp_path / PREVIOUS)[1]["step"] == 2
    content, note = read_state(tmp_path)
    assert content == (tmp_path / STATE).read_bytes() and not note
    (tmp_path / STATE).unlink()
    assert read_state(tmp_path)[0] == (tmp_path / PREVIOUS).read_bytes()
