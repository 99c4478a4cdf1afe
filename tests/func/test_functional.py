"""autograd.functional: several inputs and outputs, products with Hessians, inputs that play no part."""

import pytest

import versant as vs
from versant.autograd import functional

X, Y = vs.tensor([1.0, 2.0]), vs.tensor([3.0, 4.0])


def two(x, y):
    return x * y, x.sum()


def cubic(x, y):
    return (x * y**2).sum()


def test_jacobians_of_several_outputs_by_several_inputs() -> None:
    (by_x, by_y), (sum_by_x, sum_by_y) = functional.jacobian(two, (X, Y))
    assert by_x.tolist() == [[3, 0], [0, 4]]
    assert by_y.tolist() == [[1, 0], [0, 2]]
    assert sum_by_x.tolist() == [1, 1]
    assert sum_by_y.tolist() == [0, 0]
    alone = functional.jacobian(lambda x: x**2, X, vectorize=True, strategy="forward-mode")
    assert alone.tolist() == [[2, 0], [0, 4]]
    assert functional.jacobian(lambda x: vs.ones(2), X).tolist() == [[0, 0], [0, 0]]


def test_hessians_and_products_with_them() -> None:
    (xx, xy), (yx, yy) = functional.hessian(cubic, (X, Y))
    assert xx.tolist() == [[0, 0], [0, 0]]
    assert xy.tolist() == yx.tolist() == [[6, 0], [0, 8]]
    assert yy.tolist() == [[2, 0], [0, 4]]
    for product in (functional.hvp, functional.vhp):
        value, (by_x, by_y) = product(cubic, (X, Y), (Y, X))
        assert value.item() == 41
        assert by_x.tolist() == [6, 16]
        assert by_y.tolist() == [6 * 3 + 2 * 1, 8 * 4 + 4 * 2]


def test_derivatives_of_derivatives() -> None:
    x = X.clone().requires_grad_()
    functional.hessian(lambda x: (x**4).sum(), x, create_graph=True).sum().backward()
    assert x.grad.tolist() == [24, 48]
    x.grad = None
    functional.hvp(lambda x: (x**3).sum(), x, vs.ones(2), create_graph=True)[1].sum().backward()
    assert x.grad.tolist() == [6, 6]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: functional.jacobian(lambda x, y: x, (X, Y), strict=True), "Output 0 .* of input 1"),
        (lambda: functional.vjp(lambda x, y: x.sum(), (X, Y), strict=True), "Output 0 .* of input 1"),
        (lambda: functional.jvp(lambda x, y: x, (X, Y), (X, Y), strict=True), "Output 0 .* of input 1"),
        (lambda: functional.hessian(lambda x: x.sum(), X, strict=True), "is independent of the input"),
        (lambda: functional.hessian(lambda x: x, X), "a single element"),
        (lambda: functional.hvp(lambda x: x.sum(), X), "v may be left out only"),
    ],
)
def test_what_is_refused(call, text) -> None:
    with pytest.raises(RuntimeError, match=text):
        call()
