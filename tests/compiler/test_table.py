"""Every op of the table compiled: value, gradient and gradient of the gradient are eager's, bit for bit."""

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


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_compiled_equals_eager(record):
    for sample in testing.samples_of(record)[:CALLS]:
        (args, kwargs), leaves = drawn(sample, "float32")

        def value_and_gradients(args=args, kwargs=kwargs, leaves=leaves):
            values = tensors_in(record.call(*args, **kwargs))
            first = gradients(values, leaves, True)
            second = gradients(first, leaves, False)
            return [tensor.detach() for tensor in (*values, *first, *second)]

        vs.manual_seed(0)
        try:
            expected = bytes_of(value_and_gradients())
        except (RuntimeError, TypeError, ValueError):
            continue  # takes no float32, or has no second derivative: test_table.py holds what it does
        compiled = vs.compile(value_and_gradients)
        for _ in range(3):
            vs.manual_seed(0)
            assert bytes_of(compiled()) == expected, sample
        assert compiled.stats()["traces"] == 1, compiled.explain()
