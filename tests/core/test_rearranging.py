"""Joining, padding, moving and copying; sequences and searching: against numpy, and what they refuse."""

import numpy as np
import pytest
from core.arrays import leaf, numbers, pairs, refused, same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import versant as vs

# --- joining and rearranging --------------------------------------------------------------------------------


@given(st.data())
def test_cat_and_stack_agree_with_numpy(data):
    shape = data.draw(hnp.array_shapes(max_dims=4, min_side=0, max_side=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = []
    for _ in range(data.draw(st.integers(1, 4))):
        sizes = list(shape)
        sizes[axis] = data.draw(st.integers(0, 3))
        parts.append(data.draw(pairs(st.just(tuple(sizes)), st.just("int32"))))
    same(vs.cat([t for _, t in parts], axis), np.concatenate([x for x, _ in parts], axis))
    equal = [
        data.draw(pairs(st.just(shape), st.just("float32"))) for _ in range(data.draw(st.integers(1, 3)))
    ]
    place = data.draw(st.integers(-len(shape) - 1, len(shape)))
    same(vs.stack([t for _, t in equal], place), np.stack([x for x, _ in equal], place))


def test_cat_promotes_and_passes_over_empty_vectors():
    joined = vs.cat([vs.tensor([]), vs.tensor([[1, 2]]), vs.tensor([[0.5, 1.5]])])
    assert joined.dtype == vs.float32
    assert joined.tolist() == [[1, 2], [0.5, 1.5]]
    assert vs.cat([vs.tensor([1]), vs.tensor([True])]).dtype == vs.int64


def test_cat_keeps_channels_last():
    images = vs.zeros(2, 4, 5, 3).permute(0, 3, 1, 2)
    assert vs.cat([images, images], 1).permute(0, 2, 3, 1).is_contiguous()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: vs.cat([]), ValueError, "[cat] expected a non-empty list of tensors"),
        (
            lambda: vs.cat([vs.zeros(2, 3), vs.zeros(2, 4), vs.zeros(3, 3)], 1),
            vs.ShapeError,
            "the tensor at position 2 has shape (3, 3), the one at position 0 has shape (2, 3): they must "
            "agree in all dimensions but 1",
        ),
        (
            lambda: vs.cat([vs.zeros(2), vs.tensor(1.0)]),
            vs.ShapeError,
            "the tensor at position 1 has no dimensions",
        ),
        (lambda: vs.cat([vs.zeros(2)], 1), vs.AxisError, "[cat] Dimension out of range"),
        (lambda: vs.stack([vs.zeros(2), vs.zeros(3)]), vs.ShapeError, "the one at position 1 has shape (3,)"),
    ],
)
def test_what_does_not_join_raises(call, kind, message):
    with refused(kind, message):
        call()


def test_cat_casts_gradients_back():
    a = vs.ones(2, dtype=vs.float32, requires_grad=True)
    b = leaf([1.0])
    (vs.cat([a, b]) * vs.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert a.grad.dtype == vs.float32
    assert (a.grad.tolist(), b.grad.tolist()) == ([1, 2], [3])


@given(pairs(hnp.array_shapes(max_dims=3, min_side=0, max_side=4)), st.data())
def test_flip_roll_and_triangles_agree_with_numpy(pair, data):
    x, t = pair
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True))
    same(t.flip(axes), np.flip(x, axes))
    shifts = [data.draw(st.integers(-9, 9)) for _ in axes]
    if axes:
        same(t.roll(shifts, axes), np.roll(x, shifts, axes))
    same(t.roll(5), np.roll(x, 5))
    diagonal = data.draw(st.integers(-5, 5))
    if x.ndim >= 2:
        same(t.tril(diagonal), np.tril(x, diagonal))
        same(t.triu(diagonal), np.triu(x, diagonal))


@given(pairs(hnp.array_shapes(max_dims=3, max_side=4), st.just("float32")), st.data())
def test_padding_adds_and_cuts(pair, data):
    x, t = pair
    pads = [data.draw(st.integers(-(n - 1) // 2, 3)) for n in x.shape for _ in (0, 1)]
    cut = x[
        tuple(
            slice(max(-a, 0), n - max(-b, 0)) for n, a, b in zip(x.shape, pads[::2], pads[1::2], strict=True)
        )
    ]
    grown = [(max(a, 0), max(b, 0)) for a, b in zip(pads[::2], pads[1::2], strict=True)]
    last_axis_first = [p for pair in zip(pads[-2::-2], pads[-1::-2], strict=True) for p in pair]
    same(vs.nn.functional.pad(t, last_axis_first, value=7.0), np.pad(cut, grown, constant_values=7))


def test_cutting_more_than_there_is_raises():
    with refused(vs.ShapeError, "dimension 1 of size 3 cannot be padded by -2 and -2"):
        vs.nn.functional.pad(vs.zeros(2, 3), (-2, -2))


@given(pairs(), st.data())
def test_copies_of_any_strides_agree_with_numpy(pair, data):
    x, t = pair
    order = data.draw(st.permutations(range(x.ndim)))
    same(t.permute(order).contiguous(), x.transpose(order))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(130, 70), (3, 130, 70), (70, 3, 130)])
def test_transposing_copies_of_more_than_a_cache_line(shape, dtype):
    x = numbers(shape, dtype)
    for order in [(1, 0)] if len(shape) == 2 else [(0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)]:
        same(vs.tensor(x).permute(order).contiguous(), np.ascontiguousarray(x.transpose(order)))


# --- sequences, searching -----------------------------------------------------------------------------------


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-7, 7).filter(bool))
def test_arange_of_integers_agrees_with_numpy(start, end, step):
    if (end - start) * step < 0:
        with refused(ValueError, "leads away from the end"):
            vs.arange(start, end, step)
    else:
        same(vs.arange(start, end, step), np.arange(start, end, step))


def test_arange_counts_exactly_where_double_does_not():
    big = 2**60
    assert vs.arange(big, big + 3).tolist() == [big, big + 1, big + 2]
    assert vs.arange(0, 1, 0.1, dtype=vs.float64).tolist() == np.arange(0, 1, 0.1).tolist()


@pytest.mark.parametrize("n", [0, 1, 2, 5, 1000])
def test_linspace_is_symmetric(n):
    x = vs.linspace(-1, 1, n, dtype=vs.float64).numpy()
    np.testing.assert_allclose(x, np.linspace(-1, 1, n), rtol=1e-15, atol=1e-15)
    if n > 1:
        np.testing.assert_array_equal(x, -x[::-1])


@given(pairs(dtypes=st.sampled_from(["bool", "int32", "float32"])))
def test_nonzero_and_unique_agree_with_numpy(pair):
    x, t = pair
    same(t.nonzero(), np.argwhere(x).astype("int64"))
    same(t.unique(), np.unique(x))


def test_nonzero_of_many():
    flags = (np.arange(200_000) * 2654435761 % 7) == 0
    same(vs.tensor(flags).nonzero()[:, 0].clone(), np.nonzero(flags)[0])
    wide = flags.reshape(100, 20, 100)
    same(vs.tensor(wide).nonzero(), np.argwhere(wide))


def test_one_hot_refuses_classes_out_of_range():
    one_hot = vs.nn.functional.one_hot
    assert one_hot(vs.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    with refused(ValueError, "[one_hot] class values must be in [0, 2), got 2"):
        one_hot(vs.tensor([0, 2]), 2)
    with refused(ValueError, "[one_hot]"):
        one_hot(vs.tensor([-1]))
    with refused(ValueError, "for a tensor without elements"):
        one_hot(vs.tensor([], dtype=vs.int64))


@pytest.mark.parametrize("count", [10, 5000])
def test_unique_of_few_and_many(count):
    x = np.random.default_rng(0).integers(-300, 300, count)
    same(vs.tensor(x).unique(), np.unique(x))
    same(vs.tensor(x / 7).unique(), np.unique(x / 7))
