"""Elementwise ops over random shapes, strides, dtypes and scalars.

They equal numpy's, and give the same bits for every memory layout and number of threads.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import versant as vs

DTYPES = [
    vs.bool,
    vs.uint8,
    vs.int8,
    vs.int16,
    vs.int32,
    vs.int64,
    vs.float16,
    vs.bfloat16,
    vs.float32,
    vs.float64,
]
NUMPY = {
    vs.bool: np.bool_, vs.uint8: np.uint8, vs.int8: np.int8, vs.int16: np.int16, vs.int32: np.int32,
    vs.int64: np.int64, vs.float16: np.float16, vs.float32: np.float32, vs.float64: np.float64,
}  # fmt: skip

sizes = st.sampled_from([0, 1, 1, 2, 3, 4, 5, 7])
shapes = st.lists(sizes, max_size=5).map(tuple)


def bits(x: vs.Tensor) -> bytes:
    """The elements' bytes row by row; every NaN reads the same."""
    if x.is_floating_point():
        x = vs.where(x != x, vs.full((), math.nan, dtype=x.dtype), x)
    return x._to_bytes()


def as_numpy(x: vs.Tensor) -> np.ndarray:
    """The values for numpy, which has no bfloat16."""
    return (x.float() if x.dtype is vs.bfloat16 else x).numpy()


@dataclass
class Layout:
    """A way to lay a shape out: the order of axes in memory, steps between elements, strides of 0."""

    order: list[int]
    steps: list[int]
    expanded: list[bool]

    def fill(self, values: np.ndarray, dtype: vs.dtype) -> vs.Tensor:
        """A tensor of the values (those of the first index where an axis is expanded) in this layout."""
        values = values[
            tuple(
                slice(0, 1) if e and n else slice(None)
                for e, n in zip(self.expanded, values.shape, strict=True)
            )
        ]
        shape = values.shape
        room = vs.zeros([shape[a] * self.steps[a] for a in self.order], dtype=dtype)
        back = [self.order.index(a) for a in range(len(shape))]
        x = room.permute(back)[tuple(slice(None, None, s) for s in self.steps)]
        x.copy_(vs.tensor(values).to(dtype))
        return x


@st.composite
def layouts(draw: st.DrawFn, rank: int) -> Layout:
    return Layout(
        order=draw(st.permutations(range(rank))),
        steps=draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=rank, max_size=rank)),
        expanded=draw(st.lists(st.sampled_from([False, False, True]), min_size=rank, max_size=rank)),
    )


def numbers(draw: st.DrawFn, shape: tuple[int, ...], dtype: vs.dtype) -> np.ndarray:
    """Values that the dtype holds exactly, small enough that products of two do not overflow."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if dtype is vs.bool:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if not dtype.is_floating_point:
        low = 0 if dtype is vs.uint8 else -11
        return rng.integers(low, 12, shape).astype(NUMPY[dtype])
    values = np.asarray(rng.integers(-64, 65, shape) / 8.0)
    special = rng.random(shape) < 0.05
    return np.where(special, rng.choice([math.nan, math.inf, -math.inf, -0.0, 0.0], shape), values)


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...], dtype: vs.dtype) -> tuple[vs.Tensor, vs.Tensor]:
    """The same values twice: in a random layout (expanded over `shape`) and row by row."""
    layout = draw(layouts(len(shape)))
    strided = layout.fill(numbers(draw, shape, dtype), dtype).expand(shape)
    return strided, strided.contiguous().clone()


@st.composite
def pairs(draw: st.DrawFn, dtypes: list[vs.dtype] = DTYPES) -> list[tuple[vs.Tensor, vs.Tensor]]:
    """Two operands whose shapes broadcast, each as (strided, contiguous)."""
    shape = draw(shapes)
    cut = draw(st.integers(0, len(shape)))
    ones = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    other = tuple(1 if one else n for n, one in zip(shape, ones, strict=True))[cut:]
    both = [shape, other] if draw(st.booleans()) else [other, shape]
    return [draw(tensors(s, draw(st.sampled_from(dtypes)))) for s in both]


BINARY = {
    "add": (lambda a, b: a + b, np.add),
    "mul": (lambda a, b: a * b, np.multiply),
    "lt": (lambda a, b: a < b, np.less),
    "ge": (lambda a, b: a >= b, np.greater_equal),
    "eq": (lambda a, b: a == b, np.equal),
    "maximum": (vs.maximum, np.maximum),
}


@pytest.mark.parametrize("name", BINARY)
@given(operands=pairs())
@settings(max_examples=60)
def test_two_operands(name: str, operands) -> None:
    ours, theirs = BINARY[name]
    (a, plain_a), (b, plain_b) = operands
    result = ours(a, b)
    assert bits(result) == bits(ours(plain_a, plain_b)) == bits(ours(a, plain_b)) == bits(ours(plain_a, b))
    common = vs.result_type(plain_a, plain_b)
    assert result.dtype is (common if name in ("add", "mul", "maximum") else vs.bool)
    with np.errstate(all="ignore"):
        expected = theirs(as_numpy(plain_a.to(common)), as_numpy(plain_b.to(common)))
    rounded = vs.tensor(expected).to(result.dtype)
    np.testing.assert_array_equal(as_numpy(result), as_numpy(rounded))


@given(data=st.data(), shape=shapes, dtype=st.sampled_from(DTYPES), other=st.sampled_from(DTYPES))
@settings(max_examples=100)
def test_where(data, shape, dtype, other) -> None:
    condition, plain_condition = data.draw(tensors(shape, vs.bool))
    a, plain_a = data.draw(tensors(shape, dtype))
    b, plain_b = data.draw(tensors(shape, other))
    result = vs.where(condition, a, b)
    assert bits(result) == bits(vs.where(plain_condition, plain_a, plain_b))
    expected = np.where(
        plain_condition.numpy(), as_numpy(plain_a.to(result.dtype)), as_numpy(plain_b.to(result.dtype))
    )
    np.testing.assert_array_equal(as_numpy(result), expected)


@given(data=st.data(), shape=shapes, dtype=st.sampled_from(DTYPES))
@settings(max_examples=100)
def test_tanh(data, shape, dtype) -> None:
    x, plain = data.draw(tensors(shape, dtype))
    result = x.tanh()
    assert bits(result) == bits(plain.tanh())
    assert result.dtype is (dtype if dtype.is_floating_point else vs.float32)
    tolerance = {vs.float16: 1e-3, vs.bfloat16: 1e-2, vs.float64: 1e-14}.get(dtype, 1e-6)
    np.testing.assert_allclose(
        as_numpy(result).astype(np.float64),
        np.tanh(as_numpy(plain).astype(np.float64)),
        rtol=tolerance,
        atol=1e-30,
    )


@given(data=st.data(), shape=shapes, source=st.sampled_from(DTYPES), target=st.sampled_from(DTYPES))
@settings(max_examples=150)
def test_cast(data, shape, source, target) -> None:
    x, plain = data.draw(tensors(shape, source))
    result = x.to(target)
    assert bits(result) == bits(plain.to(target))
    values = as_numpy(plain)
    if source.is_floating_point and not target.is_floating_point and target is not vs.bool:
        keep = np.isfinite(values) & (
            (values >= 0) | (target is not vs.uint8)
        )  # what others become is not promised
        np.testing.assert_array_equal(as_numpy(result)[keep], values[keep].astype(NUMPY[target]))
    elif target is vs.bfloat16:
        np.testing.assert_array_equal(
            as_numpy(result), values.astype(np.float32)
        )  # 8 bits hold all the values
    else:
        np.testing.assert_array_equal(as_numpy(result), values.astype(NUMPY[target]))


@given(
    data=st.data(),
    shape=shapes,
    dtype=st.sampled_from(DTYPES),
    number=st.sampled_from([True, 3, -2, 0.5, math.nan]),
)
@settings(max_examples=100)
def test_numbers_as_operands(data, shape, dtype, number) -> None:
    x, plain = data.draw(tensors(shape, dtype))
    difference = [] if dtype is vs.bool else [lambda t: number - t]  # bools have none
    for ours in (lambda t: t * number, lambda t: t > number, *difference):
        assert bits(ours(x)) == bits(ours(plain))
    common = as_numpy(plain.to(vs.result_type(plain, number)))
    with np.errstate(all="ignore"):
        expected = common * np.asarray(number).astype(common.dtype)
    np.testing.assert_array_equal(as_numpy(x * number), expected)


@given(data=st.data(), shape=shapes, dtype=st.sampled_from([d for d in DTYPES if d is not vs.bool]))
@settings(max_examples=100)
def test_in_place_on_views(data, shape, dtype) -> None:
    layout = data.draw(layouts(len(shape)))
    layout.expanded = [False] * len(shape)
    base = layout.fill(numbers(data.draw, shape, dtype), dtype)
    plain = base.clone()
    other, plain_other = data.draw(tensors(shape, dtype))
    version = base._version
    for change in (
        lambda t, o: t.add_(o),
        lambda t, o: t.mul_(2),
        lambda t, o: t.__isub__(o),
        lambda t, o: t.copy_(o),
        lambda t, o: t.fill_(3),
    ):
        assert change(base, other) is base
        assert bits(base) == bits(change(plain, plain_other))
    assert base._version == version + 5


@given(data=st.data(), shape=shapes)
@settings(max_examples=60)
def test_in_place_with_itself_as_operand(data, shape) -> None:
    layout = data.draw(layouts(len(shape)))
    layout.expanded = [False] * len(shape)
    values = numbers(data.draw, shape, vs.float32)
    x = layout.fill(values, vs.float32)
    expected = bits(x * x)
    x.mul_(x)
    assert bits(x) == expected


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_overlapping_views_are_read_before_they_are_written(steps: int) -> None:
    x = vs.arange(100_000.0)
    expected = x.clone()
    expected[steps:] = x[steps:].clone() + x[:-steps].clone()
    x[steps:] += x[:-steps]
    assert bits(x) == bits(expected)
    y = vs.arange(300 * 300.0).reshape(300, 300)
    transposed = y.t().clone()
    y.copy_(y.t())
    assert bits(y) == bits(transposed)


LARGE = {
    "rows": lambda x: x,
    "columns": lambda x: x.t().contiguous().t(),
    "steps": lambda x: vs.stack([x, x], -1).reshape(x.shape[0], -1)[:, ::2],
}
PROGRAMS = {
    "add": lambda a, b: a + b,
    "tanh": lambda a, b: a.tanh(),
    "where": lambda a, b: vs.where(a > b, a, b),
    "broadcast": lambda a, b: a * b[0] + b[:, :1],
    "cast": lambda a, b: (a * 100).to(vs.int16),
    "half": lambda a, b: a.half() + b.half(),
    "in place": lambda a, b: a.clone().mul_(b).add_(0.5),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("layout", LARGE)
def test_large_tensors_on_one_and_two_threads(layout: str, program: str) -> None:
    rng = np.random.default_rng(0)
    rows = [vs.tensor(rng.normal(size=(513, 1031)).astype(np.float32)) for _ in range(2)]
    threads = vs.get_num_threads()
    try:
        vs.set_num_threads(1)
        expected = bits(PROGRAMS[program](*rows))
        a, b = (LARGE[layout](t) for t in rows)
        for count in (1, 2, 3):
            vs.set_num_threads(count)
            assert bits(PROGRAMS[program](a, b)) == expected
    finally:
        vs.set_num_threads(threads)


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64])
@pytest.mark.parametrize("extra", [0, 1, 777])
def test_large_results_are_those_of_their_parts(dtype, extra) -> None:
    # Results of many megabytes are written past the caches.
    n = (4 << 20) + extra
    x = vs.linspace(-3, 3, n + 1, dtype=dtype)
    for source in (x[:-1], x[1:]):
        whole = (source * 1.5).tanh() - source
        parts = [(part * 1.5).tanh() - part for part in source.split(100_000)]
        assert vs.equal(whole, vs.cat(parts))
        out = vs.empty(n + 3, dtype=dtype)[3:]  # begins anywhere
        assert vs.equal(vs.tanh(source, out=out), source.tanh())
