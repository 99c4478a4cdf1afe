"""Every op of the table compiled: value, gradient and gradient of the gradient are eager's, bit for bit."""

from functools import partial

import numpy as np
import pytest

import versant as vs
from versant import testing
from versant.ops import table
from versant.ops.samples import Call

RECORDS = [record for record in table.values() if testing.samples_of(record)]
CALLS = 3  # samples tried of each record


def tensors_in(results: object) -> list[vs.Tensor]:
    found = results if isinstance(results, (tuple, list)) else [results]
    return [result for result in found if isinstance(result, vs.Tensor)]


def gradients(results: list[vs.Tensor], leaves: list[vs.Tensor], graph: bool) -> list[vs.Tensor]:
    recorded = [result for result in results if result.requires_grad]
    if not recorded or not leaves:
        return []
    weights = [vs.linspace(-1, 1, r.numel()).reshape(r.shape).to(r.dtype) for r in recorded]
    found = vs.autograd.grad(recorded, leaves, weights, create_graph=graph, allow_unused=True)
    return [gradient for gradient in found if gradient is not None]


def bytes_of(tensors: list[vs.Tensor]) -> list[bytes]:
    return [tensor.detach()._to_bytes() for tensor in tensors]


def drawn(call: Call, dtype: str):
    return testing.differentiable_inputs(call, np.random.default_rng(1), dtype)


def results_to(order, record, args, kwargs, leaves):
    """Values and gradients up to an order, without history."""
    found = values = tensors_in(record.call(*args, **kwargs))
    for degree in range(1, order + 1):
        values = gradients(values, leaves, degree < order)
        found = [*found, *values]
    return [tensor.detach() for tensor in found]


def eager(record, sample):
    """A function that can be compared, of the highest order that the op has, and its results; or None."""
    for dtype in ("float32", "int64"):
        for order in (2, 1, 0):
            try:
                (args, kwargs), leaves = drawn(sample, dtype)
                function = partial(results_to, order, record, args, kwargs, leaves)
                vs.manual_seed(0)
                return function, bytes_of(function())
            except (RuntimeError, TypeError, ValueError):
                continue  # test_table.py of the ops holds which dtypes and orders there are
    return None


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_compiled_equals_eager(record):
    compared = 0
    for sample in testing.samples_of(record)[:CALLS]:
        found = eager(record, sample)
        if found is None:
            continue
        function, expected = found
        compiled = vs.compile(lambda function=function: function())
        for _ in range(3):
            vs.manual_seed(0)
            assert bytes_of(compiled()) == expected, sample
        assert compiled.stats()["traces"] == 1, compiled.explain()
        compared += 1
    assert compared > 0, f"no sample of {record.name} runs"
