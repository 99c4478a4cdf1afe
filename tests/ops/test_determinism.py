"""Every op gives the same bits in every run and on any number of threads, forward and backward.

The sample calls of the table are enlarged until they are worth several threads: all axes longer than one grow
by the same factor, so that axes which must agree still do.
"""

import numpy as np
import pytest

import versant as vs
from versant import testing
from versant.ops import table

RECORDS = list(table.values())
ENOUGH = 70_000  # elements of the largest input
MOST = 300_000  # elements of a result, about


def grown(call, factor):
    def grow(array):
        return array._replace(shape=tuple(n * factor if n > 1 else n for n in array.shape))

    return testing.replace(tuple(call), grow)


def elements(record, call):
    """How many elements the results of a call have."""
    (args, kwargs), _ = testing.differentiable_inputs(call, np.random.default_rng(1), "float32")
    results = record.call(*args, **kwargs)
    return sum(r.numel() for r in (results if isinstance(results, (tuple, list)) else [results]))


def enlarged(record, call):
    """The call with larger arrays; None where its numbers belong to the sizes of its arrays."""
    largest = max((array.shape for array in testing.arrays_of(call)), key=np.prod, default=())
    axes = sum(n > 1 for n in largest)
    if not axes or 0 in largest:
        return None
    factor = (ENOUGH / np.prod(largest)) ** (1 / axes)
    try:
        small, double = elements(record, grown(call, 1)), elements(record, grown(call, 2))
    except (ValueError, IndexError, TypeError, RuntimeError, AttributeError):
        return None
    if double > small > 0:
        factor = min(factor, (MOST / small) ** (1 / np.log2(double / small)))
    return grown(call, max(1, int(factor)))


def results_of(record, args, kwargs, leaves):
    """The results and the gradients of the leaves, as bytes."""
    vs.manual_seed(0)
    results = record.call(*args, **kwargs)
    results = list(results) if isinstance(results, (tuple, list)) else [results]
    results = [r for r in results if isinstance(r, vs.Tensor)]
    recorded = [r for r in results if r.requires_grad]
    if recorded:
        weights = [vs.linspace(-1, 1, r.numel()).reshape(r.shape).to(r.dtype) for r in recorded]
        results += [
            g for g in vs.autograd.grad(recorded, leaves, weights, allow_unused=True) if g is not None
        ]
    return [r.detach()._to_bytes() for r in results]


@pytest.fixture
def threads():
    before = vs.get_num_threads()
    yield vs.set_num_threads
    vs.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_threads_and_runs_give_the_same_bits(record, dtype, threads):
    for call in testing.samples_of(record)[:3]:
        larger = enlarged(record, call)
        if larger is None:
            continue
        arguments, leaves = testing.differentiable_inputs(larger, np.random.default_rng(1), dtype)
        args, kwargs = arguments
        try:
            threads(1)
            expected = results_of(record, args, kwargs, leaves)
        except (ValueError, IndexError, TypeError, RuntimeError):
            continue  # its numbers belong to the sizes of the sample, or it does not take this dtype
        for count in (1, 2, 4):
            threads(count)
            assert results_of(record, args, kwargs, leaves) == expected, (record.name, call, count)
