"""What takes bytes from outside, as functions of bytes; an exception that is not declared is a defect."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirror_device.errors import ModelError, SoundError
from mirror_device.metadata import METADATA_KEY, parse_metadata
from mirror_device.network_file import network_of
from mirror_device.onnx_file import DamagedFile, read_onnx
from mirror_device.service.config import ConfigError, parse_config
from mirror_device.service.connection import ProtocolError
from mirror_device.service.doors import ControlPeer, MetricsPeer
from mirror_device.service.voice import VoicePeer
from mirror_device.service.wyoming import Event
from mirror_device.update.archive import BundleError, unpack
from mirror_device.wav import WavFile


class Client:
    """A connection whose other end takes everything."""

    def send(self, content: bytes) -> None:
        pass

    def finish(self) -> None:
        pass


def wyoming(content: bytes) -> None:
    """A client of the Wyoming socket; the first byte says in which pieces it sends."""
    peer = VoicePeer(Client(), list, lambda: Event("info"))  # type: ignore[arg-type]
    size = content[0] + 1 if content else 1
    with contextlib.suppress(ProtocolError):
        for start in range(1, len(content), size):
            peer.received(content[start : start + size])


def control(content: bytes) -> None:
    """A client of the control socket, and one of the metrics' socket."""
    peers: list[Any] = [
        ControlPeer(Client(), lambda asked: {"event": "answer"}),  # type: ignore[arg-type]
        MetricsPeer(Client(), str),  # type: ignore[arg-type]
    ]
    for peer in peers:
        with contextlib.suppress(ProtocolError):
            peer.received(content)


def config(content: bytes) -> None:
    """A configuration, in both languages."""
    for toml in (False, True):
        with contextlib.suppress(ConfigError):
            parse_config(content, "fuzz", toml)


def model(content: bytes) -> None:
    """A model file: container, metadata, network."""
    with contextlib.suppress(DamagedFile, ModelError):
        file = read_onnx(content)
        metadata = parse_metadata("fuzz", file.metadata.get(METADATA_KEY))
        network_of("fuzz", metadata.raw.get("network"), file.arrays, len(metadata.keywords))


def bundle(content: bytes) -> None:
    """An update bundle, its signature taken for granted."""
    with contextlib.suppress(BundleError):
        unpack(content)


def wav(content: bytes) -> None:
    """A WAV file."""
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, content)
        with contextlib.suppress(SoundError):
            for _ in WavFile(Path(f"/proc/self/fd/{descriptor}")).blocks():
                pass
    finally:
        os.close(descriptor)


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function for function in (wyoming, control, config, model, bundle, wav)
}
