"""Whose rounding is nearer: errors of Versant's and PyTorch's narrow results against PyTorch's float64.

python tools/rounding.py nn.functional.normalize log_softmax

The reasons in tests/oracle/exceptions.toml that speak of 16 bits rest on what this prints.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from oracle import functions
from oracle.bridge import Bridge, to_torch
from oracle.judgement import each_tensor, widened


def compare(op: Any, dtype: torch.dtype) -> str:
    ours = theirs = 0.0
    worse = compared = 0
    for sample in functions.samples(op, dtype, False):
        arguments = (sample.input, sample.args, sample.kwargs)
        wide = each_tensor(arguments, widened)
        bridge = Bridge()
        input, args, kwargs = bridge.value(arguments)
        try:
            exact = op.op(wide[0], *wide[1], **wide[2])
            result = op.op(sample.input, *sample.args, **sample.kwargs)
            own = functions.ours(op)(input, *args, **kwargs)
        except Exception:
            continue  # the oracle itself tells of samples that either side refuses
        if not isinstance(exact, torch.Tensor):
            exact, result, own = exact[0], result[0], own[0]
        finite = exact.double().isfinite()
        own_error = (to_torch(own).double() - exact).abs()[finite]
        error = (result.double() - exact).abs()[finite]
        if error.numel():
            ours += own_error.mean().item()
            theirs += error.mean().item()
            worse += int(own_error.max() > error.max())
            compared += 1
    name = f"{functions.title(op)}, {str(dtype).removeprefix('torch.')}"
    means = f"mean error {ours / max(compared, 1):.3g}, PyTorch's {theirs / max(compared, 1):.3g}"
    return f"{name}: {means}; further off in {worse} of {compared} samples"


def main() -> None:
    warnings.simplefilter("ignore")
    for name in sys.argv[1:]:
        for op in functions.variants(name):
            for dtype in (torch.float16, torch.bfloat16):
                print(compare(op, dtype))


if __name__ == "__main__":
    main()
