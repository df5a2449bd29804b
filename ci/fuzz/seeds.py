"""What fuzzing starts from: one good input for each parser."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import onnx
from onnx import helper

from mirror_device.logmel import frontend_constants
from mirror_device.metadata import ModelMetadata
from mirror_device.service.wyoming import Event
from mirror_device.update.archive import pack

SOUND = {"rate": 16000, "width": 2, "channels": 1}


def seeds() -> dict[str, list[bytes]]:
    """By target."""
    stream = b"".join(
        event.encoded()
        for event in (
            Event("describe"),
            Event("detect", {"names": ["smart mirror"]}),
            Event("audio-start", SOUND),
            Event("audio-chunk", SOUND, b"\1\0" * 20),
            Event("audio-stop", {"timestamp": 7}),
        )
    )
    yaml = b"models: [a]\nsource: {kind: wav, path: x}\ndecision: {by_speed_kmh: [[0, 0], [9, 0.1]]}\n"
    toml = b'models = ["a"]\n[source]\nkind = "stdin"\n[outlets.mqtt]\nhost = "h"\n'
    return {
        "wyoming": [b"\xff" + stream, b"\x03" + stream],
        "control": [
            b'{"command": "mute"}\n{"command": "events", "preroll": true}\n',
            b"GET /metrics\r\n\r\n",
        ],
        "config": [yaml, toml, b"words: {a: {threshold: 0.5}}\ncapture: {folder: x}\n"],
        "model": [_model()],
        "bundle": [pack(ModelMetadata("tiny", "1.0", (), 1, 1.5, {}), b"model", [_wav(1, 16)], [b"other"])],
        "wav": [_wav(1, 16), _wav(3, 32), _wav(1, 24)],
    }


def _model() -> bytes:
    metadata = {
        "format": "rearview-wakeword/1",
        "name": "tiny",
        "version": "1.0",
        "keywords": [{"phrase": "a", "threshold": 0.5}],
        "step_samples": 1280,
        "smoothing_steps": 2,
        "refractory_s": 1.5,
        "frontend": frontend_constants(),
        "network": {"blocks": []},
    }
    array = onnx.numpy_helper.from_array(np.zeros((2, 3), np.int8), "w")
    model = helper.make_model(helper.make_graph([], "g", [], [], [array]))
    helper.set_model_props(model, {"rearview": json.dumps(metadata)})
    return bytes(model.SerializeToString())


def _wav(code: int, bits: int) -> bytes:
    form = struct.pack("<HHIIHH", code, 1, 16000, 16000 * bits // 8, bits // 8, bits)
    body = io.BytesIO()
    body.write(b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", 48) + b"\1" * 48)
    return b"RIFF" + struct.pack("<I", 4 + len(body.getvalue())) + b"WAVE" + body.getvalue()
