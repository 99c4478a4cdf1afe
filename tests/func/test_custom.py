"""Derivatives and ops of a user's own."""

import numpy as np
import pytest

import versant as vs
from versant import func, ops
from versant.autograd import Function, forward_ad
from versant.ops.samples import array, call
from versant.testing import assert_close, check_op


class Cube(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad


class CubeWithRules(Cube):
    generate_vmap_rule = False
    mapped = 0

    @staticmethod
    def vmap(info, in_dims, x):
        CubeWithRules.mapped += 1
        assert info.batch_size == 3
        assert info.randomness == "error"
        assert in_dims == (0,)
        return CubeWithRules.apply(x), 0

    @staticmethod
    def jvp(ctx, t):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * t


class CubeWithoutCount(CubeWithRules):
    @staticmethod
    def vmap(info, in_dims, x):
        return CubeWithoutCount.apply(x), 0


@pytest.mark.parametrize("cube", [Cube, CubeWithRules])
def test_custom_functions_under_every_transform(cube):
    x, t = vs.tensor([1.0, 2.0, 3.0]).double(), vs.tensor([1.0, 0.5, -1.0]).double()
    assert_close(func.vmap(cube.apply)(x), x**3, 1e-12)
    assert_close(func.vmap(func.grad(cube.apply))(x), 3 * x**2, 1e-12)
    assert_close(func.grad(lambda x: func.vmap(cube.apply)(x).sum())(x), 3 * x**2, 1e-12)
    assert_close(func.jvp(cube.apply, (x,), (t,))[1], 3 * x**2 * t, 1e-12)
    assert_close(func.jacrev(cube.apply)(x), vs.diag(3 * x**2), 1e-12)
    assert_close(func.jacfwd(cube.apply)(x), vs.diag(3 * x**2), 1e-12)
    assert_close(func.hessian(lambda x: cube.apply(x).sum())(x), vs.diag(6 * x), 1e-12)
    compiled = Cube if cube is Cube else CubeWithoutCount  # a count would change what the function reads
    assert_close(vs.compile(func.vmap(func.grad(compiled.apply)))(x), 3 * x**2, 1e-12)
    assert CubeWithRules.mapped or cube is Cube


def test_one_sample_of_two_arguments():
    class Product(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a @ b

        @staticmethod
        def backward(ctx, grad):
            a, b = ctx.saved_tensors
            return grad * b, grad * a

    a, b = vs.randn(4, 3).double(), vs.randn(3).double().requires_grad_()
    found = func.vmap(Product.apply, in_dims=(0, None))(a, b)
    assert_close(found, a @ b, 1e-12)
    found.sum().backward()
    assert_close(b.grad, a.sum(0), 1e-12)


def test_rules_that_do_not_fit():
    class Wrong(Cube):
        @staticmethod
        def jvp(ctx, t):
            return t.sum()

    with pytest.raises(RuntimeError, match=r"Wrong\] jvp returned a derivative of shape \(\)"):
        func.jvp(Wrong.apply, (vs.ones(2),), (vs.ones(2),))

    class Few(Cube):
        generate_vmap_rule = False

        @staticmethod
        def vmap(info, in_dims, x):
            return x

    with pytest.raises(RuntimeError, match="must return a pair"):
        func.vmap(Few.apply)(vs.ones(2))


def test_custom_vjp():
    @func.custom_vjp
    def f(x, y):
        return x.sin() * y

    f.defvjp(lambda x, y: (f(x, y), (x, y)), lambda kept, g: (g * kept[1] * 7, None))
    x, y = vs.tensor(0.5), vs.tensor(2.0)
    assert func.grad(f)(x, y).item() == 14
    assert func.grad(f, argnums=1)(x, y).item() == 0
    assert_close(func.vmap(func.grad(f), in_dims=(0, None))(vs.randn(3), y), [14.0, 14.0, 14.0])
    assert_close(func.jvp(lambda x: f(x, y), (x,), (vs.tensor(1.0),))[1], 14.0)
    assert_close(vs.compile(func.grad(f))(x, y), 14.0)
    x.requires_grad_()
    f(x, y).backward()
    assert x.grad.item() == 14


def test_custom_vjp_that_does_not_fit_names_the_rule():
    @func.custom_vjp
    def f(x):
        return x * 2

    def bwd(kept, g):
        return (g, g)

    f.defvjp(lambda x: (x * 2, None), bwd)
    with pytest.raises(RuntimeError, match=r"bwd \(test_custom.py:\d+\) must return a tuple of 1"):
        func.grad(f)(vs.tensor(1.0))
    f.defvjp(lambda x: (x * 2, None), lambda kept, g: (g.expand(3),))
    with pytest.raises(RuntimeError, match=r"shape \(3,\) .* argument 0 of shape \(\)"):
        func.grad(f)(vs.tensor(1.0))
    f.defvjp(lambda x: (x * 2, None), lambda kept, g: (g.double(),))
    with pytest.raises(RuntimeError, match="dtype float64"):
        func.grad(f)(vs.tensor(1.0))
    with pytest.raises(RuntimeError, match="no rule yet"):
        func.custom_vjp(lambda x: x)(vs.tensor(1.0))


def test_custom_jvp():
    @func.custom_jvp
    def f(x):
        return x.exp()

    @f.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        return f(x), 5 * t * x

    x = vs.tensor([1.0, 2.0]).double()
    assert_close(func.jvp(f, (x,), (vs.ones(2).double(),))[1], 5 * x, 1e-12)
    assert_close(func.grad(lambda x: f(x).sum())(x), 5 * x, 1e-12)
    assert_close(func.jacrev(f)(x), vs.diag(5 * x), 1e-12)
    assert_close(func.vmap(func.grad(f))(x), 5 * x, 1e-12)
    assert_close(func.hessian(lambda x: f(x).sum())(x), vs.diag(vs.full((2,), 5.0)).double(), 1e-12)
    f.defjvp(lambda primals, tangents: (f(primals[0]), tangents[0].sum()))
    with pytest.raises(RuntimeError, match=r"\(test_custom.py:\d+\) must return a derivative in the form"):
        func.jvp(f, (x,), (x,))


def test_dual_numbers():
    with forward_ad.dual_level():
        x = forward_ad.make_dual(vs.tensor([1.0, 2.0]), vs.ones(2))
        y = forward_ad.unpack_dual(x.sin() * 2)
        assert_close(y.tangent, 2 * vs.tensor([1.0, 2.0]).cos())
        assert forward_ad.unpack_dual(vs.ones(2)).tangent is None
        assert "Dual(level=1" in repr(x)
        kept = x * 3
        with pytest.raises(RuntimeError, match="shape"):
            forward_ad.make_dual(vs.ones(2), vs.ones(3))
    assert_close(kept, [3.0, 6.0])
    with pytest.raises(RuntimeError, match="no level is open"):
        forward_ad.make_dual(vs.ones(2), vs.ones(2))


@pytest.fixture
def new_ops():
    before = set(ops.table)
    yield
    for name in set(ops.table) - before:
        del ops.table[name]


def test_ops_from_expressions(new_ops):
    swish = ops.define(
        "mine.swish",
        lambda x, beta: x * ops.m.sigmoid(beta * x),
        signature="x, beta: number = 1.0",
        doc="x * sigmoid(beta * x)",
        ref=lambda x, beta=1.0: x / (1 + np.exp(-beta * x)),
    )
    check_op(swish)
    x = vs.randn(5)
    assert_close(swish(x), x * x.sigmoid())
    assert_close(swish(x, beta=2.0), x * (2 * x).sigmoid())
    compiled = vs.compile(lambda x: swish(x.exp()) + 1)
    compiled(x)
    assert str(compiled.plan()).startswith("<lambda>, trace 0, branch 0\n1 step")  # fused with its neighbours
    with pytest.raises(ValueError, match="already"):
        ops.define("mine.swish", lambda x: x)


def test_ops_from_numpy(new_ops):
    reverse = ops.define(
        "mine.reverse",
        run=lambda a: np.ascontiguousarray(a[..., ::-1]),
        result=lambda a: (a.shape, a.dtype),
        vjp=lambda g: g.flip(-1),
        samples=[call(array(3, 4))],
    )
    check_op(reverse)
    x = vs.randn(2, 3)
    assert_close(func.vmap(reverse)(x), x.flip(-1))
    assert_close(func.jvp(reverse, (x,), (x,))[1], x.flip(-1))
    for bad, message in (
        ({}, "one of the two"),
        ({"run": lambda a: a}, "needs result="),
        ({"definition": lambda x: x, "run": lambda a: a}, "one of the two"),
    ):
        with pytest.raises(TypeError, match=message):
            ops.define("mine.bad", **bad)
