"""Errors on the way back, anomaly detection, hooks on several gradients, numerical checks."""

import pytest
from debug.planted import marked_line

import versant as vs
from versant.autograd import gradcheck, gradgradcheck
from versant.autograd.graph import register_multi_grad_hook, saved_tensors_hooks


def changed_meanwhile(x):
    y = x.exp()
    z = y * y  # planted
    y.add_(1)
    return z.sum()


def test_an_error_on_the_way_back_names_the_forward_line():
    with pytest.raises(
        RuntimeError, match=r"in the gradient of mul, called at .*test_autograd\.py:\d+\)"
    ) as error:
        changed_meanwhile(vs.ones(2, requires_grad=True)).backward()
    assert marked_line(changed_meanwhile) in str(error.value)


class Fails(vs.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        raise ValueError("no gradient today")


def calls(x):
    return Fails.apply(x).sum()  # planted


def test_an_error_of_python_gets_a_note():
    with pytest.raises(ValueError, match="no gradient today") as error:
        calls(vs.ones(2, requires_grad=True)).backward()
    (note,) = error.value.__notes__
    assert note.startswith("in the gradient of Fails")
    assert marked_line(calls) in note


@pytest.mark.parametrize("compiled", [False, True])
def test_detect_anomaly_looks_at_backward_passes_alone(compiled):
    def f(x):
        return (x.sqrt() * 0).sum()

    def step(x):
        loss = f(x)
        loss.backward()
        return loss

    run = vs.compile(step) if compiled else step
    x = vs.ones(2, requires_grad=True)
    with vs.autograd.detect_anomaly():
        assert (vs.zeros(1) / 0).isnan().all()
        for _ in range(3):
            x.grad = None
            run(x)
        with vs.no_grad():
            x.zero_()
        x.grad = None
        with pytest.raises(RuntimeError, match="the gradient of sqrt gave NaN"):
            run(x)
    assert not vs.autograd.is_anomaly_enabled()


def test_anomaly_detection_is_switched():
    switch = vs.autograd.set_detect_anomaly(True)
    assert vs.autograd.is_anomaly_enabled()
    with switch, pytest.raises(RuntimeError):
        (vs.zeros(1, requires_grad=True).sqrt() * 0).sum().backward()
    assert not vs.autograd.is_anomaly_enabled()
    with vs.autograd.detect_anomaly(check_nan=False):
        (vs.zeros(1, requires_grad=True).sqrt() * 0).sum().backward()


def test_a_hook_on_several_gradients():
    a, b, c = (vs.ones(2, requires_grad=True) for _ in range(3))
    seen, first = [], []
    handle = register_multi_grad_hook([a, b, c], seen.append)
    register_multi_grad_hook([a, b, c], lambda grad: first.append(grad.tolist()), mode="any")
    (a * 2 + b * 3).sum().backward()
    assert [None if g is None else g.tolist() for g in seen[0]] == [[2.0, 2.0], [3.0, 3.0], None]
    vs.autograd.grad((a * c).sum(), [c])
    assert [None if g is None else g.tolist() for g in seen[1]] == [None, None, [1.0, 1.0]]
    assert len(first) == 2
    handle.remove()
    (a * 2).sum().backward()
    assert len(seen) == 2
    with pytest.raises(ValueError, match="mode is"):
        register_multi_grad_hook([a], print, mode="some")


def test_saved_values_may_be_kept_in_eight_bits():
    def quantise(tensor):
        scale = tensor.abs().max() / 127
        return (tensor / scale).round().to(vs.int8), scale

    def restore(packed):
        return packed[0].float() * packed[1]

    x = vs.linspace(-1, 1, 64).requires_grad_()
    with saved_tensors_hooks(quantise, restore):
        y = (x * x).sum()
    y.backward()
    assert (x.grad - 2 * x).abs().max() < 0.02
    assert (x.grad - 2 * x).abs().max() > 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sin() * x,
        lambda x: (x @ x.T).tanh(),
        lambda x: (x.sum(), x.prod()),
        lambda x: x.softmax(-1),
    ],
)
def test_gradients_agree_with_differences(function):
    x = vs.rand(3, 3, dtype=vs.float64, requires_grad=True)
    assert gradcheck(function, x)
    assert gradgradcheck(function, x)


def test_gradients_of_complex_functions_agree():
    z = vs.complex(vs.rand(3, dtype=vs.float64), vs.rand(3, dtype=vs.float64)).requires_grad_()
    assert gradcheck(lambda z: z * z.conj() + z.exp(), z)
    assert gradcheck(lambda z: z.abs(), z)


class Wrong(vs.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * x


def test_a_wrong_gradient_is_noticed():
    x = vs.tensor([1.0, 2.0], dtype=vs.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"element 0 of output 0 by element 0 of input 0 is 1, .* give 2"):
        gradcheck(Wrong.apply, x)
    assert not gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(ValueError, match="float64 or complex128"):
        gradcheck(Wrong.apply, x.float().detach().requires_grad_())
    with pytest.raises(ValueError, match="at least one input"):
        gradcheck(Wrong.apply, x.detach())
    noise = iter(range(1000))
    with pytest.raises(RuntimeError, match="not deterministic"):
        gradcheck(lambda x: x + next(noise), x)
