"""sort and topk: order, stability, NaN, gradients."""

import math

import numpy as np
import pytest

import versant as vs

rng = np.random.default_rng(1)
LENGTHS = [1, 2, 100, 511, 512, 3000]  # long lines are sorted by digits
DTYPES = ["uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]


def with_ties(dtype, *shape):
    values = vs.tensor(np.round(rng.standard_normal(shape) * 20)).to(getattr(vs, dtype))
    if values.dtype.is_floating_point:
        values[rng.random(shape) < 0.1] = math.nan
        values[rng.random(shape) < 0.1] = 0.0
        values[rng.random(shape) < 0.1] = -0.0
        values[rng.random(shape) < 0.05] = -math.inf
    return values


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sorting_is_stable_with_nan_last(dtype, n):
    x = with_ties(dtype, 3, n)
    exact = x.to(vs.float64).numpy()
    values, indices = vs.sort(x, 1, stable=True)
    order = exact.argsort(1, kind="stable")
    np.testing.assert_array_equal(indices.numpy(), order)
    np.testing.assert_array_equal(values.to(vs.float64).numpy(), np.take_along_axis(exact, order, 1))


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_descending_puts_nan_first_and_is_stable_too(dtype, n):
    x = with_ties(dtype, n)
    exact = x.to(vs.float64).numpy()
    _, indices = vs.sort(x, descending=True, stable=True)
    order = sorted(range(n), key=lambda i: -math.inf if math.isnan(exact[i]) else -exact[i])
    numbers = [i for i in order if not math.isnan(exact[i])]
    missing = [i for i in range(n) if math.isnan(exact[i])]
    assert indices.tolist() == missing + numbers


def test_extreme_integers_keep_their_places():
    x = [2**63 - 1, -(2**63), 0, -1, 1]
    assert vs.sort(vs.tensor(x)).values.tolist() == sorted(x)
    assert vs.sort(vs.tensor(x), descending=True).values.tolist() == sorted(x, reverse=True)


def test_along_other_axes_and_of_views():
    x = rng.standard_normal((4, 30, 5))
    for axis in (0, 1, 2, -2):
        np.testing.assert_array_equal(vs.sort(vs.tensor(x), axis).values.numpy(), np.sort(x, axis))
    view = vs.tensor(x).permute(2, 0, 1)[:, ::2]
    np.testing.assert_array_equal(vs.sort(view, 1).values.numpy(), np.sort(x.transpose(2, 0, 1)[:, ::2], 1))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (10, 0), (10, 3), (10, 10), (5000, 5), (5000, 2000)])
def test_topk_is_the_front_of_a_stable_sort(n, k, largest):
    x = with_ties("float32", 2, n)
    values, indices = vs.topk(x, k, largest=largest)
    _, order = vs.sort(x, descending=largest, stable=True)
    assert indices.tolist() == order[:, :k].tolist()
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x.numpy(), indices.numpy(), 1))


def test_k_must_fit():
    for k in (-1, 4):
        with pytest.raises(RuntimeError, match=r"^\[topk\] k = -?\d is out of range"):
            vs.topk(vs.zeros(3), k)


def test_nothing_and_single_numbers():
    assert vs.sort(vs.tensor(3.0)).values.item() == 3
    assert vs.sort(vs.tensor(3.0), 0).indices.item() == 0
    assert vs.sort(vs.zeros(0, 3), 0).values.shape == (0, 3)
    assert vs.topk(vs.tensor(3.0), 1, 0).values.shape == ()


def test_gradients_return_to_where_the_numbers_came_from():
    x = vs.tensor([3.0, 1.0, 2.0], requires_grad=True)
    (vs.sort(x).values * vs.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [100, 1, 10]
    x.grad = None
    (vs.topk(x, 2).values * vs.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [1, 0, 10]
