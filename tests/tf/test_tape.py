"""GradientTape: what it records, what it watches, and what it refuses."""

import gc
from typing import Any

import pytest

import versant as vs
import versant.tf as tf
from versant import nn


def test_gradient_of_a_watched_constant() -> None:
    x = vs.tensor([1.0, 2.0])
    with vs.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    assert tape.gradient(y, x).tolist() == [2.0, 4.0]
    assert not x.requires_grad
    assert x.is_leaf


def test_constants_and_other_tapes_watches_give_none() -> None:
    x = vs.tensor(2.0)
    with vs.GradientTape() as tape:
        y = x * x
    assert tape.gradient(y, x) is None
    with vs.GradientTape() as outer:
        outer.watch(x)
        with vs.GradientTape() as inner:
            y = x * x
        assert inner.gradient(y, x) is None
    assert outer.gradient(y, x).item() == 4.0


def test_parameters_are_watched() -> None:
    layer = nn.Linear(3, 2)
    with vs.GradientTape() as tape:
        loss = (layer(vs.ones(4, 3)) ** 2).mean()
    assert [p is q for p, q in zip(tape.watched_variables(), (layer.weight, layer.bias), strict=True)] == [
        True
    ] * 2
    weight, bias = tape.gradient(loss, [layer.weight, layer.bias])
    (layer(vs.ones(4, 3)) ** 2).mean().backward()
    assert vs.equal(weight, layer.weight.grad)
    assert vs.equal(bias, layer.bias.grad)


def test_nothing_accessed_is_watched_without_the_flag() -> None:
    w = vs.tensor(3.0, requires_grad=True)
    v = vs.tensor(2.0, requires_grad=True)
    with vs.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(v)
        y = w * v
    assert tape.watched_variables() == (v,)
    assert tape.gradient(y, {"w": w, "v": v}) == {"w": None, "v": vs.tensor(3.0)}


def test_tape_sees_only_what_it_recorded() -> None:
    w = vs.tensor(3.0, requires_grad=True)
    before = w * 2
    with vs.GradientTape(persistent=True) as tape:
        inside = before * before
        y = w * w
    after = y * 2
    assert tape.gradient(inside, w) is None
    assert tape.gradient(y, w).item() == 6.0
    assert tape.gradient(after, w) is None


def test_results_of_tapes_are_not_recorded_outside() -> None:
    x = vs.tensor(2.0)
    with vs.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    total = y + y
    assert total.grad_fn is None
    assert not y.requires_grad


def test_intermediate_sources_and_several_targets() -> None:
    x = vs.tensor(2.0)
    with vs.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    assert tape.gradient(z, [x, y]) == [vs.tensor(32.0), vs.tensor(8.0)]
    assert tape.gradient([y, z], x).item() == 36.0
    assert tape.gradient(x, x).item() == 1.0


def test_output_gradients_weigh() -> None:
    x = vs.tensor([1.0, 2.0])
    with vs.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    assert tape.gradient(y, x, output_gradients=vs.tensor([1.0, 10.0])).tolist() == [2.0, 40.0]
    with pytest.raises(ValueError, match=r"\[gradient\] output_gradients has shape"):
        tape.gradient(y, x, vs.ones(3))


def test_unconnected_gradients() -> None:
    x, y = vs.tensor([1.0, 2.0]), vs.tensor([3.0])
    with vs.GradientTape(persistent=True) as tape:
        tape.watch([x, y])
        z = x * 2
    assert tape.gradient(z, y) is None
    assert tape.gradient(z, y, unconnected_gradients="zero").tolist() == [0.0]
    with pytest.raises(ValueError, match="unconnected_gradients"):
        tape.gradient(z, y, unconnected_gradients="some")


def test_integers_have_no_gradient() -> None:
    n, x = vs.tensor([1, 2]), vs.tensor([1.0, 2.0])
    with vs.GradientTape() as tape:
        tape.watch([n, x])
        y = x * n
    assert tape.gradient(y, (n, x))[0] is None


def test_second_question_raises() -> None:
    x = vs.tensor(1.0)
    with vs.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="non-persistent GradientTape can only be used to compute one set"):
        tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="recorded nothing"):
        vs.GradientTape().gradient(y, x)


def test_wrong_sources_and_states_raise() -> None:
    x = vs.tensor(1.0)
    tape = vs.GradientTape()
    with pytest.raises(ValueError, match="not recording"):
        tape.watch(x)
    with tape:
        with pytest.raises(ValueError, match="already recording"):
            tape.__enter__()
        with pytest.raises(ValueError, match="expected a tensor"):
            tape.watch("x")
        y = x * x
    with pytest.raises(TypeError, match="expected tensors"):
        tape.gradient(y, "x")
    with pytest.raises(ValueError, match="gradient"):
        tape.gradient([y, y], x, output_gradients=[y])


def test_stop_recording_and_reset() -> None:
    x = vs.tensor(3.0)
    with vs.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        with tape.stop_recording():
            z = x * 5
        both = y + z
    assert tape.gradient(both, x).item() == 6.0
    with vs.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        tape.reset()
        tape.watch(x)
        z = x * x * x
    assert tape.gradient([y, z], x).item() == 27.0


def test_higher_orders() -> None:
    x = vs.tensor(2.0)
    with vs.GradientTape() as third:
        third.watch(x)
        with vs.GradientTape() as second:
            second.watch(x)
            with vs.GradientTape() as first:
                first.watch(x)
                y = x**4
            d1 = first.gradient(y, x)
        d2 = second.gradient(d1, x)
    assert (d1.item(), d2.item(), third.gradient(d2, x).item()) == (32.0, 48.0, 48.0)


def test_persistent_tape_inside_itself() -> None:
    x = vs.tensor(2.0)
    with vs.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x**3
        dy = tape.gradient(y, x)
    assert tape.gradient(dy, x).item() == 12.0


def test_two_tapes_over_one_graph() -> None:
    """As in adversarial training: each takes its gradients after both blocks ended."""
    g, d = vs.tensor(2.0, requires_grad=True), vs.tensor(3.0, requires_grad=True)
    with vs.GradientTape() as of_g, vs.GradientTape() as of_d:
        fake = g * g
        loss_g, loss_d = fake * d, fake * d * d
    assert of_g.gradient(loss_g, [g])[0].item() == 12.0
    assert of_d.gradient(loss_d, [d])[0].item() == 24.0


def test_memory_is_freed_when_the_last_tape_is_gone() -> None:
    x = vs.ones(1 << 20)

    def held() -> int:
        gc.collect()
        return vs.memory.stats()["live_bytes"]

    tape = vs.GradientTape(persistent=True)
    with tape:
        tape.watch(x)
        loss = (x.exp().tanh() * x).sum()
    tape.gradient(loss, x)
    before = held()
    del tape
    assert held() <= before - (1 << 22)
    assert loss.item() > 0


def test_jacobians() -> None:
    x = vs.tensor([[1.0, 2.0], [3.0, 4.0]])
    with vs.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x * vs.tensor([[1.0, 2.0]])
    full = tape.jacobian(y, x)
    rows = tape.batch_jacobian(y, x)
    assert full.shape == (2, 2, 2, 2)
    assert rows.tolist() == [[[2.0, 0.0], [0.0, 8.0]], [[6.0, 0.0], [0.0, 16.0]]]
    assert vs.equal(rows[1], full[1, :, 1])
    with pytest.raises(ValueError, match="first dimension"):
        tape.batch_jacobian(y.sum(), x)
    with vs.GradientTape() as once:
        once.watch(x)
        y = x.sum(0)
    assert once.jacobian(y, x).shape == (2, 2, 2)
    with pytest.raises(RuntimeError, match="non-persistent"):
        once.jacobian(y, x)


def test_tape_overrides_no_grad_and_restores_it() -> None:
    x = vs.tensor(2.0)
    with vs.no_grad():
        with vs.GradientTape() as tape:
            tape.watch(x)
            y = x * x
        assert not vs.is_grad_enabled()
    assert tape.gradient(y, x).item() == 4.0


def test_error_inside_leaves_no_tape_behind() -> None:
    x = vs.tensor(2.0)

    def fails() -> None:
        with vs.GradientTape() as tape:
            tape.watch(x)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not vs._core.is_taping()
    assert not x.requires_grad


def test_backward_of_what_a_tape_recorded() -> None:
    w = vs.tensor(3.0, requires_grad=True)
    with vs.GradientTape():
        y = w * w
    y.backward()
    assert w.grad.item() == 6.0


@pytest.mark.parametrize("persistent", [False, True])
def test_compiled_tapes_are_bit_equal(persistent: bool) -> None:
    vs.manual_seed(0)
    w = vs.randn(8, 8, requires_grad=True)

    def step(x: Any) -> Any:
        with vs.GradientTape(persistent) as tape:
            tape.watch(x)
            y = (x @ w).tanh().sum()
        return y, *tape.gradient(y, [x, w])

    compiled = vs.compile(step)
    for _ in range(3):
        x = vs.randn(4, 8)
        assert all(vs.equal(a, b) for a, b in zip(step(x), compiled(x), strict=True))
    assert compiled.stats()["traces"] == 1


def test_compiled_function_under_a_tape() -> None:
    w = vs.randn(8, 8, requires_grad=True)
    compiled = vs.compile(lambda x: (x @ w).tanh())
    for _ in range(3):
        x = vs.randn(4, 8)
        with vs.GradientTape(persistent=True) as tape:
            y, expected = compiled(x).sum(), (x @ w).tanh().sum()
        assert tape.watched_variables() == (w,)
        assert vs.equal(tape.gradient(y, w), tape.gradient(expected, w))


def test_compiled_second_derivatives() -> None:
    def hessian_diagonal(x: Any) -> Any:
        with vs.GradientTape() as outer:
            outer.watch(x)
            with vs.GradientTape() as inner:
                inner.watch(x)
                y = (x**3).sum()
            g = inner.gradient(y, x)
        return outer.gradient(g, x)

    compiled = vs.compile(hessian_diagonal)
    for _ in range(3):
        x = vs.randn(5)
        assert vs.equal(compiled(x), hessian_diagonal(x))
    assert compiled.stats()["traces"] == 1


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", ["constant", "variable"])
def test_a_tape_is_asked_when_the_accumulator_inside_or_around_it_has_ended(kind, compiled):
    direction = tf.constant([1.0, 0.5])

    def outside(x):
        with tf.autodiff.ForwardAccumulator(x, direction) as accumulator, tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(x**3)
        return tape.gradient(y, x), accumulator.jvp(y)

    def inside(x):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
                y = tf.reduce_sum(x**3)
            z = y + tf.reduce_sum(x)
        return tape.gradient(z, x) - 1.0, accumulator.jvp(y)

    def twice(x):
        with tf.GradientTape() as outer:
            with tf.autodiff.ForwardAccumulator(x, direction), tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(x**3)
            outer.watch(x)
            again = tf.reduce_sum(x**2)
        return tape.gradient(y, x), outer.gradient(again, x)

    x = tf.constant([1.0, 2.0]) if kind == "constant" else tf.Variable([1.0, 2.0])
    for f in (outside, inside, twice):
        f = tf.function(f) if compiled and kind == "constant" else f
        for _ in range(2):
            slope, along = f(x)
            assert slope.numpy().tolist() == [3.0, 12.0]
            assert along.numpy().tolist() == ([2.0, 4.0] if along.ndim else 9.0)
