"""grad, vjp, jvp and their kin: forms, nestings, bad use."""

import dataclasses
from typing import NamedTuple

import pytest

import versant as vs
from versant import func
from versant.testing import assert_close


@pytest.fixture
def weights():
    vs.manual_seed(3)
    return vs.randn(4, 3).double(), vs.randn(3).double()


def test_grad_of_one_and_several_arguments():
    x, y = vs.tensor(2.0), vs.tensor(3.0)
    f = lambda x, y: x**2 * y  # noqa: E731
    assert func.grad(f)(x, y).item() == 12
    assert [g.item() for g in func.grad(f, argnums=(0, 1))(x, y)] == [12, 4]
    assert func.grad(f, argnums=-1)(x, y).item() == 4
    assert func.value_and_grad(f)(x, y)[0].item() == 12
    grads, (value, aux) = func.grad_and_value(lambda x: (x * x, {"x": x}), has_aux=True)(x)
    assert (grads.item(), value.item(), aux["x"].item()) == (4, 4, 2)
    assert not value.requires_grad
    assert not aux["x"].requires_grad


def test_containers_go_in_and_out():
    @dataclasses.dataclass
    class Pair:
        a: vs.Tensor
        b: vs.Tensor

    class Named(NamedTuple):
        a: vs.Tensor
        b: int

    named = func.grad(lambda t: (t.a**2).sum() * t.b)(Named(vs.ones(2), 3))
    assert isinstance(named, Named)
    assert_close(named.a, [6.0, 6.0])
    tree = {"p": Pair(vs.ones(2), vs.ones(3)), "q": [vs.tensor(2.0), None]}
    grads = func.grad(lambda t: t["p"].a.sum() * t["q"][0] + (t["p"].b ** 2).sum())(tree)
    assert_close(grads["p"].a, [2.0, 2.0])
    assert_close(grads["p"].b, [2.0, 2.0, 2.0])
    assert grads["q"][0].item() == 2
    assert grads["q"][1] is None
    value, derivative = func.jvp(lambda t: {"s": t["q"][0] ** 2}, (tree,), (tree,))
    assert value["s"].item() == 4
    assert derivative["s"].item() == 8


def test_perturbations_are_not_confused():
    one = vs.tensor(1.0)
    assert func.grad(lambda x: x * func.grad(lambda y: x + y)(one))(one).item() == 1
    inner = lambda x: func.jvp(lambda y: x + y, (one,), (one,))[1]  # noqa: E731
    assert func.jvp(lambda x: x * inner(x), (one,), (one,))[1].item() == 1
    mixed = func.grad(lambda x: x * func.jvp(lambda y: x * y, (one,), (one,))[1])(one)
    assert mixed.item() == 2


def test_every_order_agrees(weights):
    matrix, x = weights
    f = lambda x: vs.tanh(matrix @ x).sum()  # noqa: E731
    expected = func.jacrev(func.jacrev(f))(x)
    for outer in (func.jacrev, func.jacfwd):
        for inner in (func.jacrev, func.jacfwd, func.grad):
            assert_close(outer(inner(f))(x), expected, 1e-12)
    assert_close(func.hessian(f)(x), expected, 1e-12)
    third = func.jacfwd(func.hessian(f))(x)
    assert_close(third, func.jacrev(func.jacfwd(func.grad(f)))(x), 1e-12)
    v = vs.randn(3).double()
    assert_close(func.hvp(f, (x,), (v,)), expected @ v, 1e-12)
    value, derivative = func.linearize(func.grad(f), x)
    assert_close(value, func.grad(f)(x), 1e-12)
    assert_close(derivative(v), expected @ v, 1e-12)


def test_jacobians_have_the_form_of_output_and_input(weights):
    matrix, x = weights
    f = lambda a, b: {"y": matrix @ a + b["c"].sum(), "z": a[0] * b["c"]}  # noqa: E731
    b = {"c": vs.ones(2, 2).double()}
    for jacobian in (func.jacrev, func.jacfwd):
        both = jacobian(f, argnums=(0, 1))(x, b)
        assert both["y"][0].shape == (4, 3)
        assert both["y"][1]["c"].shape == (4, 2, 2)
        assert both["z"][0].shape == (2, 2, 3)
        assert both["z"][1]["c"].shape == (2, 2, 2, 2)
        assert_close(both["y"][0], matrix, 1e-12)
        chunked = jacobian(f, argnums=0, chunk_size=3)(x, b)
        assert_close(chunked["y"], both["y"][0], 1e-12)
        result, aux = jacobian(lambda x: (x * x, x + 1), has_aux=True)(x)
        assert_close(result, vs.diag(2 * x), 1e-12)
        assert_close(aux, x + 1, 1e-12)


def test_gradients_reach_what_the_function_closes_over():
    w = vs.tensor(3.0, requires_grad=True)
    slope = func.grad(lambda x: w * x * x)(vs.tensor(2.0))
    slope.backward()
    assert w.grad.item() == 4
    assert not func.grad(lambda x: x * x)(vs.tensor(2.0)).requires_grad
    with vs.no_grad():  # the transform records for itself
        assert func.grad(lambda x: w * x * x)(vs.tensor(2.0)).requires_grad is False
    x = vs.tensor(2.0, requires_grad=True)
    func.jvp(lambda x: x**3, (x,), (vs.tensor(1.0),))[1].backward()
    assert x.grad.item() == 12


def test_changes_in_place_carry_derivatives():
    def f(x):
        y = x.new_zeros(3, 2)
        y[1] = x * x
        y[0, 1].add_(x[0])
        y.mul_(2)
        return y

    x = vs.tensor([1.0, 2.0])
    value, derivative = func.jvp(f, (x,), (vs.ones(2),))
    assert_close(value, [[0.0, 2.0], [2.0, 8.0], [0.0, 0.0]])
    assert_close(derivative, [[0.0, 2.0], [4.0, 8.0], [0.0, 0.0]])
    assert_close(func.jacfwd(f)(x), func.jacrev(f)(x))


def test_detached_values_have_no_derivative():
    _, derivative = func.jvp(lambda x: x * x.detach(), (vs.tensor(3.0),), (vs.tensor(1.0),))
    assert derivative.item() == 3


BAD = {
    "several numbers": (lambda: func.grad(lambda x: x)(vs.ones(2)), RuntimeError, "without dimensions"),
    "no tensor": (lambda: func.grad(lambda x: 1.0)(vs.ones(2)), RuntimeError, "one tensor, got float"),
    "integers": (lambda: func.grad(lambda x: x.sum())(vs.tensor([1])), TypeError, "int64"),
    "an int argument": (lambda: func.grad(lambda x: x)(3), TypeError, "expected a tensor"),
    "argnums": (lambda: func.grad(lambda x: x, argnums=1)(vs.ones(())), RuntimeError, "argnums=1"),
    "argnums twice": (lambda: func.grad(lambda x: x, argnums=(0, -1))(vs.ones(())), RuntimeError, "twice"),
    "aux": (lambda: func.grad(lambda x: x, has_aux=True)(vs.ones(())), RuntimeError, "a pair"),
    "tangent shape": (
        lambda: func.jvp(vs.sin, (vs.ones(2),), (vs.ones(3),)),
        RuntimeError,
        r"\(2,\), got \(3,\)",
    ),
    "tangent dtype": (
        lambda: func.jvp(vs.sin, (vs.ones(2),), (vs.ones(2).double(),)),
        RuntimeError,
        "float64",
    ),
    "no tuples": (lambda: func.jvp(vs.sin, vs.ones(2), vs.ones(2)), RuntimeError, "as tuples"),
    "other forms": (lambda: func.jvp(vs.sin, (vs.ones(2),), ([vs.ones(2)],)), RuntimeError, "one form"),
    "strict": (
        lambda: func.jvp(lambda x: vs.ones(2), (vs.ones(2),), (vs.ones(2),), strict=True),
        RuntimeError,
        "strict",
    ),
    "cotangents": (lambda: func.vjp(vs.sin, vs.ones(2))[1](vs.ones(3)), RuntimeError, r"\(2,\), got \(3,\)"),
    "cotangents' form": (
        lambda: func.vjp(vs.sin, vs.ones(2))[1]((vs.ones(2),)),
        RuntimeError,
        "form of the value",
    ),
    "a number returned": (
        lambda: func.vjp(lambda x: 3.0, vs.ones(2)),
        TypeError,
        "return tensors, got float",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_use(case):
    call, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        call()
    # Nothing is left behind: no level is open, and gradient mode is on.
    assert vs._core.level_depth() == 0
    assert vs.is_grad_enabled()


def test_errors_inside_leave_nothing_behind():
    def broken(x):
        raise ValueError("mine")

    for call in (
        lambda: func.grad(broken)(vs.ones(())),
        lambda: func.jvp(broken, (vs.ones(2),), (vs.ones(2),)),
        lambda: func.vmap(broken)(vs.ones(2)),
        lambda: func.hessian(broken)(vs.ones(2)),
    ):
        with pytest.raises(ValueError, match="mine"):
            call()
        assert vs._core.level_depth() == 0
        assert vs.is_grad_enabled()


def test_tensors_that_leak_become_plain():
    kept = []
    func.jvp(lambda x: kept.append(x * 2) or x, (vs.ones(2),), (vs.ones(2),))
    func.vmap(lambda x: kept.append(x * 2) or x)(vs.ones(3))
    assert_close(kept[0] + 1, [3.0, 3.0])
    assert_close(kept[1] + 1, [3.0, 3.0, 3.0])
