"""Every op of the table under the transforms, in eager and in compiled code.

Forward derivatives are held against reverse ones, batches against one sample after the other.
"""

from functools import partial

import numpy as np
import pytest

import versant as vs
from versant import func, testing
from versant.ops import table

RECORDS = [record for record in table.values() if testing.samples_of(record)]
CALLS = 3  # samples tried of each record

# What vmap refuses, as results differ in size between samples or are Python's.
REFUSES = frozenset(
    [
        "nonzero",
        "nonzero.rows",
        "argwhere",
        "unique",
        "unique.values",
        "unique_consecutive",
        "masked_select",
        "masked_scatter",
        "equal",
        "allclose",
        "bincount",
        "repeat_interleave.tensor",
        "is_nonzero",
        "combinations",
        "isin",
        "histc",
        "histogram",
    ]
)


def tensors_in(value):
    if isinstance(value, vs.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


class Sampled:
    """A sample call of a record as a function of its floating-point tensors."""

    def __init__(self, record, call, dtype="float64"):
        self.record, self.call, self.dtype = record, call, dtype
        (self.args, self.kwargs), self.leaves = testing.differentiable_inputs(
            call, np.random.default_rng(1), dtype
        )
        self.points = [leaf.detach() for leaf in self.leaves]

    def __call__(self, *values):
        places = {id(leaf): value for leaf, value in zip(self.leaves, values, strict=True)}
        args, kwargs = testing.replace(
            (self.args, self.kwargs),
            lambda t: places[id(t)] if id(t) in places else t.detach(),
        )
        return tuple(tensors_in(self.record.call(*args, **kwargs)))

    def smooth(self, *values):
        """Those of the results that have derivatives."""
        return tuple(y for y in self(*values) if y.is_floating_point() or y.is_complex())

    def another(self):
        """The leaves of another sample of the same domains."""
        _, leaves = testing.differentiable_inputs(self.call, np.random.default_rng(2), self.dtype)
        return [leaf.detach() for leaf in leaves]


def random_like(tensors, seed):
    generator = np.random.default_rng(seed)
    return [
        vs.tensor(generator.normal(size=tuple(t.shape))).to(t.dtype)
        + (1j * vs.tensor(generator.normal(size=tuple(t.shape))) if t.is_complex() else 0)
        for t in tensors
    ]


def inner(a, b):
    """The real inner product of tensors."""
    total = 0.0
    for x, y in zip(a, b, strict=True):
        product = (x.conj() * y).sum() if x.is_complex() or y.is_complex() else (x * y).sum()
        total += float(product.real if product.is_complex() else product)
    return total


def runs(record):
    """Samples of a record that have floating-point inputs and results, and draw nothing."""
    for call in testing.samples_of(record)[:CALLS]:
        sample = Sampled(record, call)
        if not sample.points:
            continue
        state = vs.get_rng_state()
        try:
            results = sample(*sample.points)
        except (RuntimeError, TypeError, ValueError):
            continue  # test_table.py of the ops holds which dtypes there are
        if not results or not vs.equal(state, vs.get_rng_state()):
            continue
        yield sample


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_forward_and_reverse_agree(record):
    """w . (J t) = (w J) . t for random w and t."""
    for sample in runs(record):
        points = tuple(sample.points)
        results = sample.smooth(*points)
        if not results or any(y.numel() == 0 for y in results):
            continue
        try:
            value, back = func.vjp(sample.smooth, *points)
            weights = tuple(random_like(results, 3))
            pulled = back(weights)
        except (RuntimeError, NotImplementedError):
            continue  # test_table.py of the ops holds which have gradients
        along = tuple(random_like(points, 4))
        value, pushed = func.jvp(sample.smooth, points, along)
        for y, again in zip(results, value, strict=True):
            testing.assert_close(again, y, 1e-12, record.name)
        a, b = inner(weights, pushed), inner(pulled, along)
        if np.isfinite(a) or np.isfinite(b):
            assert abs(a - b) <= 1e-7 * max(1.0, abs(a), abs(b)), (record.name, sample.call, a, b)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_batches_are_samples_side_by_side(record):
    for sample in runs(record):
        first, second = sample.points, sample.another()
        try:
            expected = [vs.stack(list(group)) for group in zip(sample(*first), sample(*second), strict=True)]
        except (RuntimeError, ValueError):
            if record.name in REFUSES:
                continue  # other sizes in each
            raise
        batches = [vs.stack([x, y]) for x, y in zip(first, second, strict=True)]
        try:
            found = func.vmap(sample)(*batches)
        except RuntimeError:
            if record.name in REFUSES:
                continue
            raise
        for got, want in zip(found, expected, strict=True):
            assert got.dtype is want.dtype
            testing.assert_close(got, want, 1e-9, f"{record.name} {sample.call}")
        if len(batches) > 1:  # only the first argument has a batch
            dims = (0, *[None] * (len(batches) - 1))
            found = func.vmap(sample, in_dims=dims)(batches[0], *first[1:])
            others = zip(sample(*first), sample(second[0], *first[1:]), strict=True)
            for got, (one, two) in zip(found, others, strict=True):
                testing.assert_close(got, vs.stack([one, two]), 1e-9, f"{record.name} {sample.call}")


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_gradients_of_batches(record):
    """vmap over vjp: gradients of every sample, and rows of a Jacobian."""
    if record.name in REFUSES:
        pytest.skip("vmap refuses the op: see REFUSES")
    for sample in runs(record):
        first, second = sample.points, sample.another()
        n = len(first)
        results = sample.smooth(*first)
        if not results:
            continue
        weights = random_like(results, 5)

        def gradient(*values, sample=sample, n=n):
            return func.vjp(sample.smooth, *values[:n])[1](values[n:])

        try:
            expected = [gradient(*first, *weights), gradient(*second, *weights)]
        except (RuntimeError, NotImplementedError):
            continue
        batches = [vs.stack([x, y]) for x, y in zip(first, second, strict=True)]
        dims = (*[0] * n, *[None] * len(weights))
        found = func.vmap(gradient, in_dims=dims)(*batches, *weights)
        for k, got in enumerate(found):
            testing.assert_close(
                got, vs.stack([e[k] for e in expected]), 1e-9, f"{record.name} {sample.call}"
            )
        back = func.vjp(sample.smooth, *first)[1]
        rows = func.vmap(lambda *w, back=back: back(w))(*[vs.stack([w, -2 * w]) for w in weights])
        for got, want in zip(rows, expected[0], strict=True):
            testing.assert_close(got, vs.stack([want, -2 * want]), 1e-9, f"{record.name} {sample.call}")


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_compiled_equals_eager(record):
    if record.name in REFUSES:
        pytest.skip("vmap refuses the op: see REFUSES")
    for sample in list(runs(record))[:1]:
        points, along = tuple(sample.points), tuple(random_like(sample.points, 6))
        batches = [vs.stack([x, y]) for x, y in zip(points, sample.another(), strict=True)]
        functions = {"vmap": partial(func.vmap(sample), *batches)}
        if sample.smooth(*points):
            functions["jvp"] = partial(func.jvp, sample.smooth, points, along)
        for name, function in functions.items():
            compiled = vs.compile(lambda function=function: function())
            expected = tensors_in(function())
            for _ in range(3):
                for got, want in zip(tensors_in(compiled()), expected, strict=True):
                    assert got._to_bytes() == want._to_bytes(), (record.name, name)
            assert compiled.stats()["traces"] == 1
