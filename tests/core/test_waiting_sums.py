"""Backward adds to gradients that already wait: products and slices give the bits of additions apart."""

import pytest

import versant as vs

N = 12


def gradient_of(parts, x):
    """The gradient of the sum of all parts at once, and the sum of the gradients of each, youngest first."""
    weights = [vs.randn(part.shape) for part in parts]
    (together,) = vs.autograd.grad(parts, x, weights, retain_graph=True)
    apart = [
        vs.autograd.grad(part, x, weight, retain_graph=True)[0]
        for part, weight in zip(parts, weights, strict=True)
    ]
    expected = apart[-1]
    for more in reversed(apart[:-1]):
        expected = expected + more
    return together, expected


def products(x):
    rows = [vs.randn(5, N) for _ in range(3)]
    return [rows[0] @ x, vs.nn.functional.linear(rows[1], x.t()), vs.nn.functional.linear(rows[2], x)]


def deep_products(x):
    return [vs.randn(700, N) @ x, vs.randn(700, N) @ x, vs.randn(3, 4, N) @ x]


def slices(x):
    return [*x.chunk(4, 1), x[2:9], x[::3], x[:, 5], x[7], x[:, 8:3], x[3:, 1::2]]


def views(x):
    return [*x.t().split(5), x.T[4], x.reshape(-1)[3:77], x.unsqueeze(0)[0, 2:3]]


@pytest.mark.parametrize("make", [products, deep_products, slices, views])
def test_sum_of_several_uses_has_the_bits_of_additions(make) -> None:
    vs.manual_seed(0)
    x = vs.randn(N, N, requires_grad=True)
    together, expected = gradient_of(make(x), x)
    assert (together == expected).all()


def test_a_gradient_that_others_hold_is_not_written() -> None:
    x = vs.randn(4, 4, requires_grad=True)
    y = x * 2
    kept = []
    y.register_hook(kept.append)
    first, second = y[:2].sum(), y[1:].sum()
    (first + second).backward()
    assert (x.grad == 2 * kept[0]).all()
    again = x.grad
    y = x * 2
    y[3].sum().backward()
    assert again is x.grad
    assert x.grad[3].tolist() == [4.0] * 4
