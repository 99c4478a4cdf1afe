"""What the table does not try of functions over several elements: diagonals in place, wrong arguments."""

import numpy as np
import pytest

import versant as vs
import versant.nn.functional as F


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (7, 2), (3, 1), (0, 3), (3, 3, 3)])
def test_fill_diagonal_is_numpys(shape, wrap) -> None:
    x, expected = vs.zeros(shape), np.zeros(shape, np.float32)
    np.fill_diagonal(expected, 2.0, wrap)
    assert x.fill_diagonal_(2.0, wrap) is x
    np.testing.assert_array_equal(x.numpy(), expected)


def test_gradients_pass_beside_a_filled_diagonal() -> None:
    x = vs.ones(2, 3).requires_grad_()
    (x * 1).fill_diagonal_(0).sum().backward()
    assert x.grad.tolist() == [[0, 1, 1], [1, 0, 1]]


def test_empty_choices() -> None:
    x = vs.arange(3)
    assert tuple(vs.combinations(x, 4).shape) == (0, 4)
    assert tuple(vs.combinations(x, 0).shape) == (0,)
    assert vs.cartesian_prod(x) is x
    assert vs.chain_matmul(x) is x


def test_distance_zero_has_gradient_zero() -> None:
    x = vs.ones(3, 2).requires_grad_()
    F.pdist(x).sum().backward()
    assert (x.grad == 0).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: vs.cartesian_prod(vs.ones(2, 2)), ValueError, "expected a vector"),
        (lambda: vs.combinations(vs.ones(2), -1), RuntimeError, "r of at least 0"),
        (lambda: vs.vander(vs.ones(2), -1), RuntimeError, "N of at least 0"),
        (lambda: vs.linalg.vander(vs.ones(2), N=1), RuntimeError, "N > 1"),
        (lambda: F.pdist(vs.ones(2)), ValueError, "expected a matrix"),
        (lambda: vs.renorm(vs.ones(2), 2, 0, 1), ValueError, "at least 2 axes"),
        (lambda: vs.renorm(vs.ones(2, 2), 2, 2, 1), IndexError, "out of range"),
        (lambda: vs.unravel_index(vs.ones(2), (2,)), TypeError, "integer indices"),
        (lambda: vs.unravel_index(3, (2,)), TypeError, "a tensor of indices"),
        (lambda: vs.unravel_index(vs.arange(2), (-2,)), ValueError, "no negative size"),
        (lambda: vs.ones(2).fill_diagonal_(0), ValueError, "at least 2 axes"),
        (lambda: vs.ones(2, 2, 3).fill_diagonal_(0), ValueError, "equal sizes"),
        (lambda: vs.mvlgamma(vs.ones(2), 0), RuntimeError, "p of at least 1"),
        (lambda: vs.hann_window(-1), RuntimeError, "at least 0"),
        (lambda: vs.hann_window(3, dtype=vs.int64), TypeError, "floating-point dtype"),
        (lambda: vs.ones(2).is_nonzero(), RuntimeError, "one element"),
        (lambda: vs.ones(2).cuda(), RuntimeError, "got 'cuda'"),
        (lambda: vs.ones(2).pin_memory(), RuntimeError, "needs an accelerator"),
    ],
)
def test_wrong_arguments_raise(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
