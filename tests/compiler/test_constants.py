"""What compiled functions take from outside: numbers of NumPy, tensors that only a way back reads."""

import numpy as np
import pytest

import versant as vs
import versant.tf as tf
from versant import nn

MAKERS = {
    "tensor": lambda number: vs.tensor(number),
    "as_tensor": lambda number: vs.as_tensor(number),
    "tf.constant": lambda number: tf.constant(number, tf.float32),
    "tf.cast": lambda number: tf.cast(number, tf.float32),
}


@pytest.mark.parametrize("number", [np.float64(0.3), np.float32(2.5), np.int64(3), np.sqrt(2.0), np.log(7)])
@pytest.mark.parametrize("make", MAKERS)
def test_a_number_of_numpy_is_a_constant(make, number):
    def f(x):
        return x * MAKERS[make](number)

    compiled = vs.compile(f)
    x = tf.ones([3]) if make.startswith("tf.") else vs.ones(3)
    expected = f(x)
    for _ in range(3):
        y = compiled(x)
        assert y.dtype == expected.dtype
        assert np.array_equal(y.numpy(), expected.numpy())
    assert compiled.stats()["replays"] == 2


def test_operators_of_the_dialect_take_numbers_of_numpy():
    f = vs.compile(lambda x: (x - np.log(2 * np.pi)) / np.sqrt(64.0) + np.float32(1) ** x)
    x = tf.constant([1.0, 2.0])
    f(x)
    assert np.array_equal(f(x), (x - np.log(2 * np.pi)) / np.sqrt(64.0) + np.float32(1) ** x)


class Slope(vs.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x, factor)
        return x.relu()

    @staticmethod
    def backward(ctx, grad):
        x, factor = ctx.saved_tensors
        return grad * (x > 0) * factor, None


@pytest.mark.parametrize("detached", [True, False])
def test_a_tensor_that_only_the_way_back_reads(detached):
    """Kept by save_for_backward; the loss that has gone back already is returned with its history, or not."""
    vs.manual_seed(0)
    net, x, factor = nn.Linear(4, 4), vs.randn(6, 4), vs.tensor(2.0)

    def step():
        net.zero_grad()
        loss = Slope.apply(net(x), factor).sum()
        loss.backward()
        return loss.detach() if detached else loss

    compiled = vs.compile(step)
    for value in (2.0, 3.0, -1.0):
        factor.fill_(value)
        step()
        expected = net.weight.grad.clone()
        loss = compiled()
        assert vs.equal(net.weight.grad, expected)
    assert compiled.stats()["replays"] == 2
    if not detached:
        with pytest.raises(RuntimeError, match="freed"):
            loss.backward()


def test_numbers_like_those_of_samples_are_drawn_anew():
    f = vs.compile(vs.func.vmap(lambda x: vs.rand_like(x) + x * 0, randomness="different"))
    x = vs.zeros(3, 4)
    vs.manual_seed(0)
    eager = vs.func.vmap(lambda x: vs.rand_like(x) + x * 0, randomness="different")(x)
    vs.manual_seed(0)
    first, second = f(x), f(x)
    assert vs.equal(first, eager)
    assert not vs.equal(first, second)
