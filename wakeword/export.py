"""The trained model as the device's streaming ONNX graph: one call, one 80 ms step, explicit state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from asr_pretrain.encoder import folded
from asr_pretrain.training.checkpoint import write_atomically
from mirror_device.logmel import N_MELS, STEP_FRAMES, STEP_SAMPLES, frontend_constants
from wakeword.model import HeadConfig, TriggerModel

FORMAT = "rearview-wakeword/1"
OPSET = 18


class StreamingTrigger(nn.Module):
    """(log-mels (1, 8, 40), *state) to (scores (1, keywords), *next state); batch norms are folded.

    A step's score is the largest sigmoid of its encoder frames.
    """

    lower: Tensor
    carry: Tensor
    weights: Tensor

    def __init__(self, model: TriggerModel, n_frames: int = STEP_FRAMES):
        super().__init__()
        self.encoder = folded(model.encoder)
        self.head, self.spotter = model.head, model.spotter
        self.phones: nn.Conv1d | None = None
        if model.spotter is not None:  # a convolution, as all that is quantized
            linear = model.spotter.phones
            self.phones = nn.Conv1d(linear.in_features, linear.out_features, 1)
            weights = {"weight": linear.weight[:, :, None], "bias": linear.bias}
            self.phones.load_state_dict(weights)
        mean = self.encoder.normalise
        self.floor = mean.floor
        lower, carry = mean.kernel(n_frames, torch.zeros(1))
        self.register_buffer("lower", lower)
        self.register_buffer("carry", carry)
        self.register_buffer("weights", lower.sum(1, keepdim=True))

    def initial_state(self) -> list[Tensor]:
        state = self.encoder.initial_state(1)
        return state if self.spotter is None else [*state, *self.spotter.initial_state()]

    def forward(self, log_mel: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        x = log_mel.clamp_min(self.floor)
        total = self.lower @ x + self.carry * state[0]
        weight = self.weights + self.carry * state[1]
        normalised = x - total / weight
        spotting = 0 if self.spotter is None else len(self.spotter.units)
        inner, reach = list(state[2 : len(state) - spotting]), list(state[len(state) - spotting :])
        y, states = self.encoder.encode_step(normalised.transpose(1, 2), inner)
        logits = self.head(y) if len(self.head) else None
        if self.spotter is not None and self.phones is not None:
            spotted, reach = self.spotter.stream(self.phones(y).transpose(1, 2).log_softmax(-1), reach)
            logits = spotted if logits is None else logits + spotted
        assert logits is not None, "HeadConfig has a head or a spotter"
        return (torch.sigmoid(logits).amax(2), total[:, -1:], weight[:, -1:], *states, *reach)

    def convolutions(self) -> dict[str, nn.Conv1d]:
        """All of them by name: the stem, each block's two, the head's, the phones'."""
        return {name: module for name, module in self.named_modules() if isinstance(module, nn.Conv1d)}

    def layout(self) -> dict[str, Any]:
        """What a runtime must know beside the weights, which bear the names of `convolutions`."""
        config = self.encoder.config
        spotter = self.spotter
        return {
            **config.model_dump(
                mode="json", include={"channels", "kernel", "dilations", "stem_kernel", "floor"}
            ),
            "mean_decay": self.encoder.normalise.decay,
            "head": [name for name in self.convolutions() if name.startswith("head.")],
            "phrases": None
            if spotter is None
            else [
                {"units": units, "sharpness": sharpness, "even_cost": cost}
                for units, sharpness, cost in zip(
                    spotter.units, spotter.sharpness.tolist(), spotter.even_cost.tolist(), strict=True
                )
            ],
        }

    def state_names(self) -> list[str]:
        """Of all states, in their order."""
        spotting = 0 if self.spotter is None else len(self.spotter.units)
        blocks = len(self.encoder.initial_state(1)) - 3
        names = ["state_mean_sum", "state_mean_weight", "state_stem"]
        names += [f"state_block{i}" for i in range(blocks)]
        return names + [f"state_phrase{i}" for i in range(spotting)]


def export_float(model: TriggerModel, path: Path, metadata: dict[str, Any]) -> None:
    """Writes the float graph with its metadata (the device's contract) to ``path``, atomically."""
    streaming = StreamingTrigger(model).eval()
    state = streaming.initial_state()
    names = streaming.state_names()
    program = torch.onnx.export(
        streaming,
        (torch.zeros(1, STEP_FRAMES, N_MELS), *state),
        input_names=["log_mel", *names],
        output_names=["scores", *(f"next_{n}" for n in names)],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError(f"{path}: torch.onnx.export gave no program")
    write_model(program.model_proto, path, {**metadata, "precision": "float32"})


def write_model(proto: onnx.ModelProto, path: Path, metadata: dict[str, Any]) -> None:
    """Attaches ``metadata`` as the property ``rearview`` and writes the file atomically."""
    del proto.metadata_props[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.helper.set_model_props(proto, {"rearview": json.dumps(metadata, sort_keys=True)})
    proto.producer_name = "rearview-wakeword"
    onnx.checker.check_model(proto)
    write_atomically(path, proto.SerializeToString())


def device_metadata(sidecar: dict[str, Any], version: str) -> dict[str, Any]:
    """The model file's metadata before a threshold is tuned, from a checkpoint's sidecar."""
    return {
        "format": FORMAT,
        "name": sidecar["name"],
        "version": version,
        "keywords": [{"phrase": k, "threshold": 0.5, "fa_per_hour": None} for k in sidecar["keywords"]],
        "step_samples": STEP_SAMPLES,
        "smoothing_steps": HeadConfig.model_validate(sidecar.get("head", {})).smoothing_steps,
        "refractory_s": 1.5,
        "frontend": frontend_constants(),
        "training_manifest_sha256": ",".join(sidecar["manifest_sha256"]),
        "audit": sidecar.get("audit"),
        "lineage": sidecar.get("lineage", []),
        "calibration_ids": [],
        "git_revision": sidecar["git_revision"],
    }
