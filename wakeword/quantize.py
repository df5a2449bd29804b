"""Static int8: uint8 activations, int8 per-channel weights, calibrated on train rows heard in the car.

The running mean stays float, as does the search for the phrase's phones: 0.1 % of the work, and they need the
range.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from asr_pretrain.loading.batches import build_car
from asr_pretrain.logmel import LogMel
from asr_pretrain.training.recipe import Surroundings
from mirror_device.logmel import STEP_FRAMES
from wakeword.cuts import CutBatches
from wakeword.export import StreamingTrigger, device_metadata, export_float, write_model
from wakeword.model import TriggerModel, load_trigger

QUANTIZED_OPERATORS = ["Conv", "Add", "Relu", "Concat", "Slice"]


class _Steps(CalibrationDataReader):
    """Feeds single steps of real streams, each with the state it truly met."""

    def __init__(self, feeds: Iterator[dict[str, np.ndarray]]):
        self.feeds = feeds

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


@torch.inference_mode()
def _feeds(model: TriggerModel, cuts: np.ndarray, keep: float, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Streams ``cuts`` (n, samples) float32 through the float model and yields a share of the steps."""
    streaming = StreamingTrigger(model).eval()
    rng = np.random.default_rng(seed)
    names = ["log_mel", *streaming.state_names()]
    log_mels = LogMel()(torch.from_numpy(cuts))
    for log_mel in log_mels:
        state = streaming.initial_state()
        for start in range(0, log_mel.shape[0] - STEP_FRAMES + 1, STEP_FRAMES):
            step = log_mel[None, start : start + STEP_FRAMES]
            if rng.random() < keep:
                yield {k: v.numpy() for k, v in zip(names, [step, *state], strict=True)}
            state = list(streaming(step, *state)[1:])


def calibration_cuts(
    sidecar: dict[str, Any], manifests: list[Path], count: int
) -> tuple[np.ndarray, list[str]]:
    """``count`` training cuts as waveforms in the car, and the ids of the train rows they came from."""
    recipe = sidecar["recipe"]
    surroundings = Surroundings.model_validate(recipe["surroundings"])
    car = build_car(manifests, surroundings, "train", [recipe["phrase"]])
    batches = CutBatches.of(manifests, recipe, car, torch.nn.Identity(), batch_size=count)
    rng = np.random.default_rng([recipe["optimisation"]["seed"], 4])
    placed = batches.place(rng)
    speech, rows = placed.speech, placed.rows.tolist()
    heard = car.apply(torch.from_numpy(speech), car.draw(rng, count, speech.shape[1])).numpy()
    return heard, sorted({batches.ids[row] for row in rows if row >= 0})


def quantize(
    checkpoint: Path,
    manifests: list[Path],
    out: Path,
    cuts: int = 96,
    version: str = "1.0.0",
    float_out: Path | None = None,
) -> Path:
    """Writes the int8 device model of a trained ``checkpoint`` to ``out`` (and the float one).

    Raises CheckpointError, RecipeError, ManifestError.
    """
    model, sidecar = load_trigger(checkpoint)
    metadata = device_metadata(sidecar, version)
    waveforms, ids = calibration_cuts(sidecar, manifests, cuts)
    logging.getLogger().setLevel(logging.ERROR)  # onnxruntime advises pre-processing that is done below
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, quantized = (Path(folder) / f"{n}.onnx" for n in ("float", "prepared", "int8"))
        export_float(model, plain, metadata)
        if float_out is not None:
            export_float(model, float_out, metadata)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(quantized),
            _Steps(_feeds(model, waveforms, keep=0.15, seed=0)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=QUANTIZED_OPERATORS,
            nodes_to_exclude=_float_nodes(onnx.load(str(prepared))),
        )
        write_model(onnx.load(str(quantized)), out, {**metadata, "precision": "int8", "calibration_ids": ids})
    return out


def _float_nodes(proto: onnx.ModelProto) -> list[str]:
    """Names of the nodes that stay float: those before the stem's first convolution (floor, running mean,
    transpose), and all that follow the phones' probabilities, whose sums need the precision."""
    names: list[str] = []
    follows: set[str] = set()
    for node in proto.graph.node:
        if node.op_type == "LogSoftmax" or follows & set(node.input):
            follows |= set(node.output)
            names.append(node.name)
    for node in proto.graph.node:
        if node.op_type == "Conv":
            break
        if node.op_type != "Concat" or "state_stem" not in node.input:
            names.append(node.name)
    return names


def add_parser(sub: Any) -> None:
    parser = sub.add_parser(
        "quantize",
        help="write the int8 device model",
        epilog="example: wakeword quantize runs/smart_mirror/trigger.safetensors --manifest plan.parquet "
        "--out smart_mirror.onnx",
    )
    parser.add_argument("checkpoint", type=Path, help="a run's trigger.safetensors")
    parser.add_argument(
        "--manifest", type=Path, action="append", required=True, help="the manifests it was trained on"
    )
    parser.add_argument("--out", type=Path, required=True, help="device model (.onnx)")
    parser.add_argument("--float-out", type=Path, help="also write the float model here, for comparison")
    parser.add_argument("--model-version", default="1.0.0", help="version in the model's metadata")
    parser.add_argument("--cuts", type=int, default=96, help="training cuts to calibrate on")


def run(args: argparse.Namespace) -> int:
    path = quantize(args.checkpoint, args.manifest, args.out, args.cuts, args.model_version, args.float_out)
    print(f"{path} ({path.stat().st_size / 1e3:.0f} kB); its threshold is 0.5 until `wakeword tune` sets it")
    return 0
