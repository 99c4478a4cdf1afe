"""Every instruction set that this processor runs gives the results of the best one; the same bits where no
product and no approximation takes part: sums are cut into lanes by sizes, not by the width of vectors."""

from collections.abc import Iterator

import numpy as np
import pytest

import versant as vs
from versant import _core, testing
from versant.ops import table

BEST, *OTHERS = _core.instruction_sets()

# Families of records without products and approximations, and records of that kind in other families.
EXACT_FAMILIES = {
    "arithmetic",
    "comparison",
    "copies",
    "indexing",
    "joining",
    "ordered",
    "parts",
    "pooling",
    "rearranging",
    "rounding",
    "shape",
    "tables",
}
EXACT = {
    "sum",
    "mean",
    "var",
    "std",
    "amax",
    "argmax",
    "cumsum",
    "cumprod",
    "layer_norm",
    "rms_norm",
    "group_norm",
    "instance_norm",
    "batch_norm",
    "batch_norm.whole",
    "mse_loss",
    "l1_loss",
    "nll_loss",
    "sort",
    "topk",
    "embedding_bag",
}
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}


@pytest.fixture(params=OTHERS)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
    _core.use_instruction_set(BEST)


def results_on(instruction_set, record, call, dtype):
    """Results and gradients; None where the record does not take the dtype."""
    _core.use_instruction_set(instruction_set)
    vs.manual_seed(0)
    try:
        (args, kwargs), leaves = testing.differentiable_inputs(call, np.random.default_rng(1), dtype)
        results = record.call(*args, **kwargs)
    except (TypeError, ValueError, RuntimeError):
        return None
    results = list(results) if isinstance(results, (tuple, list)) else [results]
    tensors = [r for r in results if isinstance(r, vs.Tensor)]
    recorded = [r for r in tensors if r.requires_grad]
    if recorded:
        weights = [vs.linspace(-1, 1, r.numel()).reshape(r.shape).to(r.dtype) for r in recorded]
        found = vs.autograd.grad(recorded, leaves, weights, allow_unused=True)
        tensors += [g for g in found if g is not None]
    return [t.detach() for t in tensors]


@pytest.mark.parametrize("record", table.values(), ids=lambda r: r.name)
def test_instruction_sets_agree(record, instruction_set):
    exact = record.family.rpartition(".")[2] in EXACT_FAMILIES or record.name in EXACT
    for dtype, tolerance in TOLERANCE.items():
        if record.kind == "elementwise" and dtype not in testing.dtypes_of(record):
            continue
        for call in testing.samples_of(record):
            expected = results_on(BEST, record, call, dtype)
            if expected is None:
                continue
            actual = results_on(instruction_set, record, call, dtype)
            assert actual is not None
            message = f"{record.name}{call.args}{call.kwargs or ''} in {dtype}"
            for x, y in zip(actual, expected, strict=True):
                if exact:
                    testing.assert_same(x, y, message)
                else:
                    testing.assert_close(x, y, tolerance, message)
