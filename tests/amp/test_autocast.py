"""Autocast: which ops cast, that gradients flow through the casts, and the state of regions."""

import threading

import numpy as np
import pytest

import versant as vs
from versant import nn, ops

F = nn.functional

LOWER = [
    (vs.matmul, [(3, 4), (4, 5)]),
    (vs.mm, [(3, 4), (4, 5)]),
    (vs.bmm, [(2, 3, 4), (2, 4, 5)]),
    (vs.addmm, [(3, 5), (3, 4), (4, 5)]),
    (vs.baddbmm, [(2, 3, 5), (2, 3, 4), (2, 4, 5)]),
    (F.linear, [(3, 4), (5, 4), (5,)]),
    (F.conv2d, [(1, 2, 5, 5), (3, 2, 3, 3)]),
    (F.scaled_dot_product_attention, [(2, 4, 8), (2, 4, 8), (2, 4, 8)]),
    (F.prelu, [(2, 3), (1,)]),
]
FLOAT32 = [
    (F.mse_loss, [(3, 4), (3, 4)]),
    (F.l1_loss, [(3, 4), (3, 4)]),
    (F.smooth_l1_loss, [(3, 4), (3, 4)]),
    (F.huber_loss, [(3, 4), (3, 4)]),
    (F.kl_div, [(3, 4), (3, 4)]),
    (F.cross_entropy, [(3, 4), (3, 4)]),
    (F.binary_cross_entropy_with_logits, [(3, 4), (3, 4)]),
    (vs.prod, [(3, 4)]),
    (vs.trace, [(3, 3)]),
]


def tensors(shapes, dtype=vs.float32):
    draw = np.random.default_rng(0)
    return [vs.tensor(draw.standard_normal(shape), dtype=dtype) for shape in shapes]


@pytest.mark.parametrize("lower", [vs.bfloat16, vs.float16])
@pytest.mark.parametrize(("op", "shapes"), LOWER, ids=lambda value: getattr(value, "name", ""))
def test_products_run_in_the_lower_precision(op, shapes, lower):
    inputs = tensors(shapes)
    with vs.autocast("cpu", dtype=lower):
        got = op(*inputs)
        wide = op(*tensors(shapes, vs.float64))
    assert got.dtype == lower
    assert wide.dtype == vs.float64  # float64 is left alone
    assert op(*inputs).dtype == vs.float32
    expected = op(*(t.to(lower) for t in inputs))
    np.testing.assert_array_equal(got.float().numpy(), expected.float().numpy())


@pytest.mark.parametrize(("op", "shapes"), FLOAT32, ids=lambda value: getattr(value, "name", ""))
def test_losses_run_in_float32(op, shapes):
    inputs = tensors(shapes, vs.bfloat16)
    with vs.autocast(vs.bfloat16):
        got = op(*inputs)
    assert got.dtype == vs.float32
    expected = op(*(t.float() for t in inputs))
    np.testing.assert_array_equal(got.numpy(), expected.numpy())


@pytest.mark.parametrize("name", ["cat", "stack"])
def test_joined_tensors_take_the_widest_of_their_dtypes(name):
    narrow, wide = vs.ones(2, dtype=vs.bfloat16), vs.ones(2)
    with vs.autocast(vs.bfloat16):
        assert getattr(vs, name)([narrow, wide]).dtype == vs.float32
        assert getattr(vs, name)([narrow, narrow]).dtype == vs.bfloat16
        assert getattr(vs, name)(tensors=(narrow, wide)).dtype == vs.float32


def test_every_policy_of_the_table_is_known():
    assert {record.autocast for record in ops.table.values()} == {"", "lower", "float32", "promote"}


def test_operators_methods_and_modules_cast_too():
    a, b = tensors([(3, 4), (4, 3)])
    layer = nn.Linear(4, 3)
    with vs.autocast(vs.bfloat16):
        assert (a @ b).dtype == a.matmul(b).dtype == a.mm(b).dtype == layer(a).dtype == vs.bfloat16
        assert (a + a).dtype == vs.float32
        assert (a @ b + a[:, :3]).dtype == vs.float32
        assert vs.mm(a, b, out=vs.empty(0, dtype=vs.bfloat16)).dtype == vs.bfloat16


def test_gradients_flow_through_the_casts_into_float32():
    x, w = tensors([(5, 4), (3, 4)])
    w.requires_grad_()
    with vs.autocast(vs.bfloat16):
        loss = F.mse_loss(F.linear(x, w), vs.zeros(5, 3))
    loss.backward()
    low = w.detach().bfloat16().requires_grad_()
    F.mse_loss(F.linear(x.bfloat16(), low).float(), vs.zeros(5, 3)).backward()
    assert w.grad.dtype == vs.float32
    np.testing.assert_array_equal(w.grad.numpy(), low.grad.float().numpy())


def test_a_weight_is_cast_once_in_a_region_until_it_changes():
    x = vs.ones(2, 2)
    w = vs.eye(2).requires_grad_()
    cast = []
    with vs.autocast(vs.bfloat16):
        for _ in range(2):
            y = x @ w
            cast.append(y.grad_fn.next_functions[1][0])
        assert cast[0] is cast[1]
        with vs.no_grad():
            w.mul_(2)
        y = x @ w
        assert y.grad_fn.next_functions[1][0] is not cast[0]
        assert y.tolist() == [[2, 2], [2, 2]]
    with vs.autocast(vs.bfloat16, cache_enabled=False):
        first, second = ((x @ w).grad_fn.next_functions[1][0] for _ in range(2))
        assert first is not second


def test_a_weight_cast_without_gradients_is_not_taken_for_one_with():
    x = vs.ones(2, 2)
    w = vs.eye(2).requires_grad_()
    with vs.autocast(vs.bfloat16):
        with vs.no_grad():
            x @ w
        (x @ w).sum().backward()
    assert w.grad.tolist() == [[2, 2], [2, 2]]


def test_regions_nest_and_put_back_what_was():
    a = vs.ones(2, 2)
    with vs.autocast("cpu", dtype=vs.float16):
        assert (a @ a).dtype == vs.float16
        with vs.autocast("cpu", enabled=False):
            assert not vs.is_autocast_enabled("cpu")
            assert (a @ a).dtype == vs.float32
            with vs.autocast("cpu", dtype=vs.bfloat16):
                assert (a @ a).dtype == vs.bfloat16
        assert vs.is_autocast_enabled("cpu")
        assert vs.get_autocast_dtype("cpu") == vs.float16
    with pytest.raises(KeyError), vs.autocast("cpu"):
        raise KeyError
    assert not vs.is_autocast_enabled("cpu")
    assert vs.get_autocast_dtype("cpu") == vs.bfloat16
    assert vs.is_autocast_cache_enabled()


def test_it_decorates_functions_and_stays_in_its_thread():
    a = vs.ones(2, 2)
    seen = []

    @vs.amp.autocast("cpu", dtype=vs.bfloat16)
    def product():
        thread = threading.Thread(target=lambda: seen.append((a @ a).dtype))
        thread.start()
        thread.join()
        return a @ a

    assert product().dtype == vs.bfloat16
    assert seen == [vs.float32]
    assert (a @ a).dtype == vs.float32


def test_names_of_the_cpu_and_setters():
    a = vs.ones(2, 2)
    with vs.cpu.amp.autocast():
        assert (a @ a).dtype == vs.bfloat16
    with vs.cpu.amp.autocast(enabled=False):
        assert (a @ a).dtype == vs.float32
    try:
        vs.set_autocast_dtype("cpu", vs.float16)
        vs.set_autocast_enabled("cpu", True)
        assert (a @ a).dtype == vs.get_autocast_dtype("cpu") == vs.float16
    finally:
        vs.set_autocast_enabled("cpu", False)
        vs.set_autocast_dtype("cpu", vs.bfloat16)
    assert vs.amp.is_autocast_available("cpu")
    assert not vs.amp.is_autocast_available("cuda")


def test_what_it_refuses():
    with pytest.raises(RuntimeError, match="expected device_type 'cpu', got 'toaster'"):
        vs.autocast("toaster")
    with pytest.raises(ValueError, match="device_type as a string"):
        vs.autocast(3)
    with pytest.raises(ValueError, match="expected bfloat16 or float16"):
        vs.set_autocast_dtype("cpu", vs.float64)
    a = vs.ones(2, 2)
    with pytest.warns(UserWarning, match="no device 'cuda'"), vs.autocast("cuda"):
        assert (a @ a).dtype == vs.float32
    with pytest.warns(UserWarning, match="expected dtype bfloat16 or float16"), vs.autocast(vs.float64):
        assert (a @ a).dtype == vs.float32


@pytest.mark.parametrize("cast_inputs", [None, vs.float32])
def test_custom_functions(cast_inputs):
    class Product(vs.autograd.Function):
        @staticmethod
        @vs.amp.custom_fwd(device_type="cpu", cast_inputs=cast_inputs)
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            ctx.forward_dtype = (a @ b).dtype
            return a @ b

        @staticmethod
        @vs.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            result = (g @ b.T, a.T @ g)
            assert result[0].dtype == ctx.forward_dtype
            return result

    a, b = (t.requires_grad_() for t in tensors([(2, 3), (3, 2)]))
    with vs.autocast(vs.bfloat16):
        y = Product.apply(a, b)
    assert y.dtype == (vs.bfloat16 if cast_inputs is None else vs.float32)
    y.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), np.ones((2, 2)) @ b.detach().numpy().T, rtol=2e-2)


def test_training_in_bfloat16_follows_float32():
    def losses(region):
        vs.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
        optimizer = vs.optim.SGD(model.parameters(), lr=0.1)
        x, target = vs.randn(64, 8), vs.arange(64) % 3
        history = []
        for _ in range(20):
            optimizer.zero_grad()
            with region():
                loss = F.cross_entropy(model(x), target)
            loss.backward()
            optimizer.step()
            history.append(loss.item())
        return history

    mixed, plain = losses(lambda: vs.autocast(vs.bfloat16)), losses(vs.enable_grad)
    assert mixed != plain
    np.testing.assert_allclose(mixed, plain, rtol=2e-2)
