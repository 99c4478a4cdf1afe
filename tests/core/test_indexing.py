"""Subscripts, gather and scatter: against numpy, their gradients, and what they refuse."""

import numpy as np
import pytest
from core.arrays import leaf, numbers, pairs, refused, same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import versant as vs

# --- what is drawn ------------------------------------------------------------------------------------------


@st.composite
def positions(draw, size, shape, negative=True):
    kind = draw(st.sampled_from(["int64", "int32"]))
    if size == 0:
        return np.zeros((0,), kind)
    return draw(hnp.arrays(kind, shape, elements=st.integers(-size if negative else 0, size - 1)))


@st.composite
def items(draw, sizes, advanced, common):
    """Items of a subscript that stand for consecutive axes."""
    key = []
    axis = 0
    while axis < len(sizes):
        kind = draw(
            st.sampled_from(["slice", "none", "array", "mask"] if advanced else ["slice", "none", "int"])
        )
        if kind == "none":
            key.append(None)
            continue
        span = 1
        if kind == "mask":
            span = draw(st.integers(1, len(sizes) - axis))
            key.append(draw(hnp.arrays(bool, sizes[axis : axis + span])))
        elif kind == "array":
            lead = draw(st.integers(0, len(common)))
            key.append(draw(positions(sizes[axis], common[lead:])))
        elif kind == "int" and sizes[axis] > 0:
            key.append(draw(st.integers(-sizes[axis], sizes[axis] - 1)))
        else:
            key.append(draw(st.slices(sizes[axis])))
        axis += span
    return key


@st.composite
def subscripts(draw, shape):
    """A key that numpy and PyTorch read alike.

    They differ on integers beside index arrays, which numpy counts among the arrays, and on an ellipsis that
    stands for no axis, which in numpy keeps the arrays on its sides apart.
    """
    advanced = draw(st.booleans())
    common = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    front = draw(st.integers(0, len(shape)))
    back = draw(st.integers(0, len(shape) - front))
    key = draw(items(shape[:front], advanced, common))
    if back or draw(st.booleans()):
        ellipsis = [] if advanced and front + back == len(shape) else [Ellipsis]
        key += [*ellipsis, *draw(items(shape[len(shape) - back :], advanced, common))]
    return tuple(key)


def as_tensors(key):
    return tuple(vs.tensor(item) if isinstance(item, np.ndarray) else item for item in key)


# --- x[...] -------------------------------------------------------------------------------------------------


@given(pairs(), st.data())
def test_reading_agrees_with_numpy(pair, data):
    x, t = pair
    key = data.draw(subscripts(x.shape))
    tensor_key = as_tensors(key) if data.draw(st.booleans()) else key
    try:
        expected = x[key]
    except IndexError:
        with pytest.raises(IndexError):
            t[tensor_key]
    else:
        same(t[tensor_key], expected)


@given(pairs(), st.data())
def test_assigning_agrees_with_numpy(pair, data):
    x, t = pair
    key = data.draw(subscripts(x.shape))
    x, t = x.copy(), t.clone()
    try:
        marks = np.zeros(x.shape, int)
        np.add.at(marks, key, 1)
    except IndexError:
        with pytest.raises(IndexError):
            t[as_tensors(key)] = 1
        return
    if marks.max(initial=0) > 1:
        return  # which value stays is another test
    shape = x[key].shape
    lead = data.draw(st.integers(0, len(shape)))
    value = np.asarray(numbers(shape[lead:], "int64") + 7, x.dtype)
    x[key] = value
    t[as_tensors(key)] = vs.tensor(value)
    same(t, x)


def test_a_reversed_slice_passes_its_gradient():
    x, y = leaf([1.0, 2.0, 3.0, 4.0]), leaf([5.0, 6.0])
    (x[2:0:-1] * vs.tensor([10.0, 20.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 20.0, 10.0, 0.0]
    z = x * 1
    z[::-2] = y
    assert z.tolist() == [1.0, 6.0, 3.0, 5.0]
    (z * vs.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert y.grad.tolist() == [4.0, 2.0]
    assert x.grad.tolist() == [1.0, 20.0, 13.0, 0.0]


@given(st.lists(st.integers(-5, 4), max_size=40))
def test_repeated_places_keep_the_last_value(places):
    x, t = np.zeros(5), vs.zeros(5, dtype=vs.float64)
    for place, value in zip(places, range(1, 99), strict=False):
        x[place] = value
    t[vs.tensor(places, dtype=vs.int64)] = vs.arange(1.0, len(places) + 1, dtype=vs.float64)
    same(t, x)


def test_a_number_under_a_mask():
    x = numbers((3, 4, 5))
    t = vs.tensor(x)
    rows = x[:, :, 0] % 2 == 0
    t[vs.tensor(rows)] = -1
    x[rows] = -1
    same(t, x)


def test_writing_a_part_of_the_tensor_under_a_mask_of_itself():
    t = vs.tensor([[3.0, 1.0], [0.0, 2.0]])
    t[t.t() > 0] = t[0, 0]
    assert t.tolist() == [[3, 1], [3, 3]]
    flags = vs.tensor([[True, True], [False, True]])
    flags[flags.t()] = False
    assert flags.tolist() == [[False, True], [False, False]]


def test_values_and_indices_may_be_views_of_the_target():
    t = vs.arange(6)
    t[vs.tensor([1, 2, 3])] = t[:3]
    assert t.tolist() == [0, 0, 1, 2, 4, 5]
    t = vs.tensor([2, 0, 1])
    t[t] = t
    assert t.tolist() == [0, 1, 2]


def test_uint8_tensors_are_masks():
    t = vs.arange(4)
    assert t[vs.tensor([1, 0, 0, 2], dtype=vs.uint8)].tolist() == [0, 3]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (vs.tensor([0, 7]), "[index] index 7 is out of bounds for dimension 0 with size 3"),
        (vs.tensor([-4]), "[index] index -4 is out of bounds for dimension 0 with size 3"),
        ((slice(None), vs.tensor([2**62])), f"index {2**62} is out of bounds for dimension 1 with size 4"),
        (vs.tensor([-(2**63)]), "out of bounds for dimension 0"),
        ((vs.tensor([0, 1]), vs.tensor([0, 1, 2])), "index tensors of shapes (2,), (3,) do not broadcast"),
        (vs.tensor([True, False]), "the shape of the mask (2,) at dimension 0 does not match"),
        (vs.tensor([[True] * 3] * 3), "the shape of the mask (3, 3) at dimension 1 does not match"),
        (vs.tensor([0.5]), "float"),
        (vs.tensor([float("nan")]), "float"),
        ((0, 0, 0), "too many indices"),
        ("a", "valid indices"),
    ],
)
def test_bad_subscripts_raise_index_error(key, message):
    x = vs.zeros(3, 4)
    with refused(IndexError, message):
        x[key]
    if isinstance(key, vs.Tensor) and key.dtype in (vs.int64, vs.int32):
        with pytest.raises(IndexError):
            x[key] = 1.0
        assert not x.any()  # nothing was written before the check


def test_values_that_do_not_fit_raise():
    x = vs.zeros(3, 4)
    with refused(vs.ShapeError, "values of shape (2, 4) do not broadcast to the indexed shape (3, 4)"):
        x[vs.tensor([0, 1, 2])] = vs.ones(2, 4)
    with refused(vs.ShapeError, "do not broadcast to the indexed shape (2, 4)"):
        x[vs.tensor([True, False, True])] = vs.ones(3, 4)


# --- gather and scatter -------------------------------------------------------------------------------------


@st.composite
def along_axis(draw):
    """x, axis, index, src: arrays for ops that read or write one element of an axis per index."""
    shape = draw(hnp.array_shapes(max_dims=3, max_side=4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    places = [draw(st.integers(0, n)) for n in shape]
    places[axis] = draw(st.integers(0, 6))
    index = draw(hnp.arrays("int64", tuple(places), elements=st.integers(0, shape[axis] - 1)))
    src_shape = tuple(n + draw(st.integers(0, 1)) for n in places)
    return numbers(shape), axis, index, numbers(src_shape) + 200


def grid(index, axis):
    """The numpy key of gather and scatter."""
    key = list(np.indices(index.shape, sparse=True))
    key[axis] = index
    return tuple(key)


def covered(src, index):
    return src[tuple(slice(n) for n in index.shape)]


@given(along_axis())
def test_gather_agrees_with_numpy(drawn):
    x, axis, index, _ = drawn
    same(vs.tensor(x).gather(axis, vs.tensor(index)), x[grid(index, axis)])


@given(along_axis())
def test_scatter_keeps_the_last_value_along_the_axis(drawn):
    x, axis, index, src = drawn
    expected = x.copy()
    for place in sorted(np.ndindex(index.shape), key=lambda p: p[axis]):
        target = list(place)
        target[axis] = index[place]
        expected[tuple(target)] = src[place]
    same(vs.tensor(x).scatter(axis, vs.tensor(index), vs.tensor(src)), expected)
    in_place = vs.tensor(x)
    assert in_place.scatter_(axis, vs.tensor(index), vs.tensor(src)) is in_place
    same(in_place, expected)


REDUCTIONS = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum, "mean": np.add}


@given(along_axis(), st.sampled_from(sorted(REDUCTIONS)), st.booleans())
def test_scatter_reduce_agrees_with_numpy(drawn, how, include_self):
    x, axis, index, src = drawn
    key, combine = grid(index, axis), REDUCTIONS[how]
    expected = x.copy()
    if not include_self:
        expected[key] = {"prod": 1, "amax": -np.inf, "amin": np.inf}.get(how, 0)
    combine.at(expected, key, covered(src, index))
    if how == "mean":
        counts = np.full(x.shape, int(include_self))
        np.add.at(counts, key, 1)
        expected = expected / np.maximum(counts, 1)
    got = vs.tensor(x).scatter_reduce(axis, vs.tensor(index), vs.tensor(src), how, include_self=include_self)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


@given(along_axis())
def test_scatter_add_in_place_through_a_view(drawn):
    x, axis, index, src = drawn
    expected = x.copy()
    np.add.at(expected, grid(index, axis), covered(src, index))
    whole = vs.zeros(2, *x.shape, 2, dtype=vs.float64)
    part = whole[1, ..., 0]
    part.copy_(vs.tensor(x))
    part.scatter_add_(axis, vs.tensor(index), vs.tensor(src))
    same(whole[1, ..., 0].clone(), expected)
    assert not whole[0].any()
    assert not whole[..., 1].any()


@pytest.mark.parametrize("dtype", [vs.float16, vs.bfloat16])
def test_sums_of_16_bit_floats_are_rounded_once(dtype):
    # 2048 + 1 is 2048 in float16; one by one the ones would vanish.
    x = vs.tensor([2048.0], dtype=dtype)
    ones = vs.ones(64, dtype=dtype)
    place = vs.zeros(64, dtype=vs.int64)
    assert x.scatter_add(0, place, ones).item() == 2112
    assert x.index_add(0, place, ones).item() == 2112
    assert x.index_put((place,), ones, accumulate=True).item() == 2112


def test_nan_is_the_extreme():
    x = vs.tensor([1.0, float("nan"), 3.0])
    got = x.scatter_reduce(0, vs.tensor([0, 1, 2]), vs.tensor([float("nan"), 5.0, 4.0]), "amax")
    np.testing.assert_array_equal(got.numpy(), np.array([np.nan, np.nan, 4], "float32"))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda x: x.gather(1, vs.tensor([[5]])),
            IndexError,
            "[gather] index 5 is out of bounds for dimension 1 with size 5",
        ),
        (lambda x: x.gather(1, vs.tensor([[-1]])), IndexError, "[gather] index -1 is out of bounds"),
        (
            lambda x: x.gather(0, vs.tensor([0.0])),
            vs.DTypeError,
            "[gather] an index tensor must hold integers",
        ),
        (lambda x: x.gather(0, vs.tensor([True])), vs.DTypeError, "must hold integers, got bool"),
        (lambda x: x.gather(0, vs.tensor([0])), vs.ShapeError, "as many dimensions as the input"),
        (
            lambda x: x.gather(0, vs.zeros(1, 9, dtype=vs.int64)),
            vs.ShapeError,
            "the index of shape (1, 9) must not exceed the input of shape (3, 5) apart from dimension 0",
        ),
        (lambda x: x.gather(2, vs.tensor([[0]])), vs.AxisError, "[gather] Dimension out of range"),
        (
            lambda x: x.scatter(0, vs.tensor([[0, 1]]), vs.ones(1, 1)),
            vs.ShapeError,
            "must not exceed src of shape (1, 1)",
        ),
        (
            lambda x: x.scatter_add(0, vs.tensor([[0]]), vs.ones(1, 1, dtype=vs.float64)),
            vs.DTypeError,
            "[scatter_add] expected src of the input's dtype float32, got float64",
        ),
        (
            lambda x: x.scatter_reduce(0, vs.tensor([[0]]), vs.ones(1, 1), "median"),
            ValueError,
            "reduce must be sum, prod, mean, amax or amin, got 'median'",
        ),
        (lambda x: x.index_select(0, vs.tensor([3])), IndexError, "[index_select] index 3 is out of bounds"),
        (lambda x: x.index_select(0, vs.tensor([[0]])), IndexError, "the index must be a vector"),
        (
            lambda x: x.index_add(0, vs.tensor([0, 1]), vs.ones(3, 5)),
            vs.ShapeError,
            "[index_add] expected source of shape (2, 5)",
        ),
        (lambda x: x.index_fill(1, vs.tensor([-1]), 0), IndexError, "[index_fill] index -1 is out of bounds"),
        (lambda x: x.take(vs.tensor([15])), IndexError, "[take] index 15 is out of bounds"),
        (lambda x: x.masked_select(vs.tensor([1, 0])), vs.DTypeError, "expected a mask of dtype bool"),
        (lambda x: x.masked_scatter(x == 0, vs.ones(14)), vs.ShapeError, "the mask asks for 15 elements"),
    ],
)
def test_bad_arguments_raise(call, kind, message):
    x = vs.zeros(3, 5)
    with refused(kind, message):
        call(x)


@pytest.mark.parametrize(
    "write",
    [
        lambda x, index: x.scatter_(0, index, vs.ones(3)),
        lambda x, index: x.scatter_(0, index, 1.0),
        lambda x, index: x.scatter_add_(0, index, vs.ones(3)),
        lambda x, index: x.scatter_reduce_(0, index, vs.ones(3), "amax"),
        lambda x, index: x.index_add_(0, index, vs.ones(3)),
        lambda x, index: x.index_copy_(0, index, vs.ones(3)),
        lambda x, index: x.index_fill_(0, index, 1.0),
        lambda x, index: x.index_put_((index,), vs.ones(3)),
    ],
)
def test_indices_are_checked_before_anything_is_written(write):
    x = vs.zeros(4)
    with refused(IndexError, "index 4 is out of bounds for dimension 0 with size 4"):
        write(x, vs.tensor([0, 1, 4]))
    assert x.tolist() == [0, 0, 0, 0]


def test_expanded_tensors_are_not_written():
    x = vs.zeros(1).expand(4)
    with refused(RuntimeError, "share one memory location"):
        x.index_fill_(0, vs.tensor([0]), 1.0)


# --- gradients ----------------------------------------------------------------------------------------------


def test_repeated_indices_add_their_gradients():
    x = leaf([1.0, 2.0, 3.0])
    (x[vs.tensor([0, 2, 2, 2])] * vs.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    assert x.grad.tolist() == [1, 0, 1110]


def test_assigned_places_pass_their_gradient_to_the_values():
    x, values = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([5.0])
    y = x * 1
    y[vs.tensor([1]), vs.tensor([0])] = values
    y[y > 3.5] = values * 2
    (y * vs.tensor([[1.0, 10.0], [100.0, 1000.0]])).sum().backward()
    assert x.grad.tolist() == [[1, 10], [0, 0]]
    assert values.grad.tolist() == [2200]


def test_writing_through_a_view_reaches_the_base():
    x, source = leaf(np.ones((3, 4))), leaf([[2.0, 3.0]])
    y = x * 2
    y[1:, ::2].index_copy_(0, vs.tensor([1]), source)
    (y * y).sum().backward()
    assert x.grad.tolist() == [[8, 8, 8, 8], [8, 8, 8, 8], [0, 8, 0, 8]]
    assert source.grad.tolist() == [[4, 6]]


def test_extremes_share_their_gradient_among_ties():
    x, src = leaf([2.0, 0.0]), leaf([2.0, 2.0, 1.0])
    x.scatter_reduce(0, vs.tensor([0, 0, 1]), src, "amax").sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [1 / 3, 0])
    np.testing.assert_allclose(src.grad.numpy(), [1 / 3, 1 / 3, 1])


def test_products_with_zeros_have_gradients():
    x, src = leaf([2.0, 3.0]), leaf([0.0, 5.0, 0.0, 0.0])
    x.scatter_reduce(0, vs.tensor([0, 0, 1, 1]), src, "prod").sum().backward()
    assert x.grad.tolist() == [0, 0]
    assert src.grad.tolist() == [10, 0, 0, 0]


def test_gradients_of_a_larger_source_are_zero_where_the_index_does_not_reach():
    src = leaf(np.ones((3, 3)))
    vs.zeros(4, 4, dtype=vs.float64).scatter(0, vs.tensor([[0, 1]]), src).sum().backward()
    assert src.grad.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_the_padding_row_of_an_embedding_gets_no_gradient_of_any_order():
    weight = leaf(np.arange(8.0).reshape(4, 2))
    rows = vs.nn.functional.embedding(vs.tensor([[1, 2], [2, 3]]), weight, padding_idx=3)
    assert rows.tolist() == [[[2, 3], [4, 5]], [[4, 5], [6, 7]]]
    (first,) = vs.autograd.grad((rows**3).sum(), [weight], create_graph=True)
    np.testing.assert_allclose(first.detach().numpy(), [[0, 0], [12, 27], [96, 150], [0, 0]])
    (second,) = vs.autograd.grad(first.sum(), [weight])
    np.testing.assert_allclose(second.numpy(), [[0, 0], [12, 18], [48, 60], [0, 0]])


def test_an_index_changed_before_backward_raises():
    x, index = leaf([1.0, 2.0]), vs.tensor([0, 1])
    y = x[index]
    index[0] = 1
    with refused(RuntimeError, "has been modified by an inplace operation"):
        y.sum().backward()


# --- threads ------------------------------------------------------------------------------------------------


@pytest.fixture
def threads():
    before = vs.get_num_threads()
    yield vs.set_num_threads
    vs.set_num_threads(before)


def big(*shape):
    values = np.arange(np.prod(shape)) * 2654435761 % 1000003
    return vs.tensor((values / 1000003).reshape(shape).astype("float32"))


def few(n, below):
    return vs.tensor(np.arange(n) * 2654435761 % below)


@pytest.mark.parametrize(
    "sums",
    [
        lambda: vs.zeros(50, 64).index_add(0, few(20000, 50), big(20000, 64)),
        lambda: vs.zeros(64, 50).index_add(1, few(20000, 50), big(64, 20000)),
        lambda: vs.zeros(50, 3).index_put((few(20000, 50), few(20000, 3)), big(20000), accumulate=True),
        lambda: vs.zeros(50).scatter_add(0, few(50000, 50), big(50000)),
        lambda: vs.zeros(7, 300).scatter_add(0, few(90000, 7).reshape(300, 300), big(300, 300)),
        lambda: vs.zeros(300, 7).scatter_add(1, few(90000, 7).reshape(300, 300), big(300, 300)),
        lambda: vs.zeros(50).index_put((few(50000, 50),), big(50000)),
        lambda: vs.zeros(50).scatter(0, few(50000, 50), big(50000)),
    ],
)
def test_sums_and_writes_are_the_same_on_any_number_of_threads(sums, threads):
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(sums().numpy().tobytes())
    assert results[0] == results[1] == results[2]


def test_big_moves_agree_with_numpy():
    x = big(700, 300)
    rows = few(5000, 700)
    array = x.numpy()
    same(x[rows], array[rows.numpy()])
    same(x.t()[:, rows], array.T[:, rows.numpy()])
    same(vs.cat([x, x], 1), np.concatenate([array, array], 1))
    same(x.flip(1), array[:, ::-1].copy())
    same(vs.nn.functional.pad(x, (1, 2, 3, 4)), np.pad(array, ((3, 4), (1, 2))))
    same(x[x > 0.5], array[array > 0.5])
