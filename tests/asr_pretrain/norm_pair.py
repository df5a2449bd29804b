"""Run twice at once, RANK 0 and 1: batch norm over both halves of a batch against torch's over the whole.

Prints the largest differences as JSON; see test_norm.py.
"""

from __future__ import annotations

import json
import os
import sys

import torch
from torch import distributed, nn

from asr_pretrain.training.norm import SharedBatchNorm1d


def differences(shape: tuple[int, ...], cut: int, offset: float, autocast: bool) -> dict[str, float]:
    """``cut`` rows go to rank 0; the input lies around ``offset``."""
    torch.manual_seed(1)
    whole_input = torch.randn(shape) * 3 + offset
    weight_of_loss = torch.randn(shape)
    whole, shared = nn.BatchNorm1d(shape[1]), SharedBatchNorm1d(shape[1])
    with torch.no_grad():
        whole.weight.normal_()
        whole.bias.normal_()
    shared.load_state_dict(whole.state_dict())
    rank = distributed.get_rank()
    rows = slice(0, cut) if rank == 0 else slice(cut, None)
    found = {}
    for norm, part in ((whole, slice(None)), (shared, rows)):
        x = whole_input[part].clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = norm(x.bfloat16() if autocast else x)
        (y.float().square() * weight_of_loss[part]).sum().backward()
        found[norm] = (y.detach().float(), x.grad)
    for parameter in shared.parameters():
        distributed.all_reduce(parameter.grad)

    def largest(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a.double() - b.double()).abs().max() / b.double().abs().max())

    names = dict(whole.named_buffers())
    return {
        "output": largest(found[shared][0], found[whole][0][rows]),
        "gradient": largest(found[shared][1], found[whole][1][rows]),
        "weight": largest(shared.weight.grad, whole.weight.grad),
        "bias": largest(shared.bias.grad, whole.bias.grad),
        **{name: largest(buffer, names[name]) for name, buffer in shared.named_buffers()},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    distributed.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
    cases = {
        "2-D": differences((40, 5), 20, 0.0, False),
        "3-D, uneven": differences((7, 5, 30), 2, 0.0, False),
        "far from zero": differences((40, 5), 20, 100.0, False),
        "bfloat16": differences((8, 5, 30), 4, 0.0, True),
    }
    if rank == 0:
        print(json.dumps(cases))
    distributed.destroy_process_group()
