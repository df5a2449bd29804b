"""Static int8: the weights and the input of each convolution in 8 bits, all that lies between them float.

What is added up over blocks, the running mean and the search for the phrase's phones stay float: 1 % of the
work, and they need the range. Weights are signed, symmetric, with a scale for each output; inputs are
unsigned, with one scale and zero point, from the least to the most that training cuts give in streams.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from asr_pretrain.loading.batches import build_car
from asr_pretrain.logmel import LogMel
from asr_pretrain.training.checkpoint import file_sha256
from asr_pretrain.training.recipe import Surroundings
from mirror_device.logmel import STEP_FRAMES
from wakeword.cuts import CutBatches
from wakeword.export import StreamingTrigger, device_metadata, export_float, write_model
from wakeword.model import load_trigger

Range = tuple[float, float]


@torch.inference_mode()
def input_ranges(streaming: StreamingTrigger, cuts: np.ndarray) -> dict[str, Range]:
    """The least and the most of each convolution's input while ``cuts`` (n, samples) float32 are streamed.

    Zero is always within: streams begin with it.
    """
    found = dict.fromkeys(streaming.convolutions(), (0.0, 0.0))
    hooks = []
    for name, conv in streaming.convolutions().items():

        def note(module: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
            low, high = found[name]
            found[name] = (min(low, float(inputs[0].min())), max(high, float(inputs[0].max())))

        hooks.append(conv.register_forward_pre_hook(note))
    log_mel = LogMel()(torch.from_numpy(cuts))
    state = [s.expand(len(cuts), *s.shape[1:]) for s in streaming.initial_state()]
    for start in range(0, log_mel.shape[1] - STEP_FRAMES + 1, STEP_FRAMES):
        state = list(streaming(log_mel[:, start : start + STEP_FRAMES], *state)[1:])
    for hook in hooks:
        hook.remove()
    return found


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


def quantized(proto: onnx.ModelProto, streaming: StreamingTrigger, ranges: dict[str, Range]) -> None:
    """Puts 8-bit weights and inputs before each convolution of ``proto``, in place.

    The initializers are NAME.weight (int8), NAME.weight_scale, NAME.bias (float), NAME.input_scale and
    NAME.input_zero_point (uint8), by the names of `StreamingTrigger.convolutions`.
    """
    graph, nodes = proto.graph, []
    convolutions = streaming.convolutions()
    kept = [t for t in graph.initializer if t.name.rpartition(".")[0] not in convolutions]
    for node in graph.node:
        name = node.input[1].removesuffix(".weight") if node.op_type == "Conv" else None
        if name is not None:
            conv = convolutions[name]
            weight, scale = int8_weights(conv.weight.detach().numpy())
            step, zero = scale_and_zero(ranges[name])
            bias = np.zeros(len(weight), np.float32) if conv.bias is None else conv.bias.detach().numpy()
            arrays = {
                "weight": weight,
                "weight_scale": scale,
                "weight_zero_point": np.zeros(len(weight), np.int8),
                "input_scale": step,
                "input_zero_point": zero,
                "bias": bias,
            }
            kept += [numpy_helper.from_array(array, f"{name}.{key}") for key, array in arrays.items()]
            scaled = [f"{name}.input_scale", f"{name}.input_zero_point"]
            nodes += [
                helper.make_node("QuantizeLinear", [node.input[0], *scaled], [f"{name}.input_int8"]),
                helper.make_node("DequantizeLinear", [f"{name}.input_int8", *scaled], [f"{name}.input"]),
                helper.make_node(
                    "DequantizeLinear",
                    [f"{name}.{key}" for key in ("weight", "weight_scale", "weight_zero_point")],
                    [f"{name}.weight_float"],
                    axis=0,
                ),
            ]
            del node.input[:]
            node.input.extend([f"{name}.input", f"{name}.weight_float", f"{name}.bias"])
        nodes.append(node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def int8_weights(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Float weights (outputs, …) to int8 in [-127, 127] and a scale (outputs,) for each output."""
    most = np.abs(weight).reshape(len(weight), -1).max(1)
    scale = np.where(most > 0, most / 127, 1.0).astype(np.float32)
    steps = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(steps, -127, 127).astype(np.int8), scale


def scale_and_zero(bounds: Range) -> tuple[np.ndarray, np.ndarray]:
    """Scale (float32) and zero point (uint8) with which 0 to 255 covers ``bounds``; zero is exact."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    scale = np.float32((high - low) / 255 or 1.0)
    return np.array(scale), np.array(np.clip(np.rint(-low / scale), 0, 255), np.uint8)


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
    metadata = {**device_metadata(sidecar, version), "checkpoint_sha256": file_sha256(checkpoint)}
    waveforms, ids = calibration_cuts(sidecar, manifests, cuts)
    streaming = StreamingTrigger(model).eval()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "float.onnx"
        export_float(model, plain, metadata)
        if float_out is not None:
            export_float(model, float_out, metadata)
        proto = onnx.load(str(plain))
    quantized(proto, streaming, input_ranges(streaming, waveforms))
    int8 = {"precision": "int8", "network": streaming.layout(), "calibration_ids": ids}
    write_model(proto, out, {**metadata, **int8})
    return out


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
