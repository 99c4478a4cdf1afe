"""GradScaler: scaling up and down, skipped steps, how the factor moves, and its state."""

import numpy as np
import pytest

import versant as vs


def setting(value=2.0, **options):
    w = vs.tensor([value, 1.0], requires_grad=True)
    return w, vs.optim.SGD([w], lr=0.5), vs.amp.GradScaler("cpu", **options)


def test_a_step_is_that_of_the_loss_itself():
    w, optimizer, scaler = setting()
    scaler.scale((w * w).sum()).backward()
    assert w.grad.tolist() == [4 * 2**16, 2 * 2**16]
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [0, 0]


def test_unscaled_gradients_can_be_clipped():
    w, optimizer, scaler = setting()
    scaler.scale((w * w).sum()).backward()
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [4, 2]
    w.grad.clamp_(max=1)
    scaler.step(optimizer)
    assert w.tolist() == [1.5, 0.5]


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_a_step_with_infinities_is_skipped_and_the_factor_shrinks(bad):
    w, optimizer, scaler = setting()
    scaler.scale(w.sum()).backward()
    w.grad[1] = bad
    assert scaler.step(optimizer) is None
    scaler.update()
    assert w.tolist() == [2, 1]
    assert scaler.get_scale() == 2.0**15


def test_the_factor_grows_after_good_steps():
    w, optimizer, scaler = setting(init_scale=4.0, growth_interval=3)
    seen = []
    for _ in range(7):
        optimizer.zero_grad()
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        seen.append(scaler.get_scale())
    assert seen == [4, 4, 8, 8, 8, 16, 16]
    scaler.scale(w.sum())
    scaler.update(2.5)
    assert scaler.get_scale() == 2.5


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64, vs.bfloat16])
@pytest.mark.parametrize("size", [1, 100, 70001])
def test_all_gradients_are_scaled_in_one_pass(dtype, size):
    draw = np.random.default_rng(0)
    params = [vs.zeros(size, dtype=dtype, requires_grad=True) for _ in range(3)]
    for p in params:
        p.grad = vs.tensor(draw.standard_normal(size), dtype=dtype)
    expected = [(p.grad / 8).double().numpy() for p in params]
    optimizer, scaler = vs.optim.SGD(params, lr=1.0), vs.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(vs.ones(1))
    scaler.unscale_(optimizer)
    for p, value in zip(params, expected, strict=True):
        np.testing.assert_array_equal(p.grad.double().numpy(), value)


def test_gradients_with_gaps():
    w = vs.zeros(3, 2, requires_grad=True)
    wide = vs.ones(3, 4)
    w.grad = wide[:, ::2]
    optimizer, scaler = vs.optim.SGD([w], lr=1.0), vs.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(vs.ones(1))
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [[0.5, 0.5]] * 3


def test_scale_keeps_lists_and_tuples():
    scaler = vs.amp.GradScaler("cpu", init_scale=2.0)
    one = vs.ones(1)
    assert [t.item() for t in scaler.scale([one, one])] == [2, 2]
    nested = scaler.scale((one, [one]))
    assert isinstance(nested, tuple)
    assert isinstance(nested[1], list)
    with pytest.raises(ValueError, match="must be a Tensor or an iterable"):
        scaler.scale(3)


def test_disabled_it_passes_through():
    w, optimizer, scaler = setting(enabled=False)
    loss = (w * w).sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [0, 0]
    assert scaler.get_scale() == 1
    assert scaler.state_dict() == {}
    assert not scaler.is_enabled()


def test_state_moves_to_another_scaler():
    w, optimizer, scaler = setting(init_scale=4.0, growth_interval=5)
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    other = vs.cpu.amp.GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    assert other.state_dict()["_growth_tracker"] == 3
    with pytest.raises(RuntimeError, match="state is empty"):
        other.load_state_dict({})


def test_calls_out_of_order_are_refused():
    w, optimizer, scaler = setting()
    with pytest.raises(AssertionError, match="before anything was scaled"):
        scaler.step(optimizer)
    scaler.scale(w.sum()).backward()
    with pytest.raises(AssertionError, match=r"no step\(\) or unscale_"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) was called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) was called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="closures"):
        scaler.step(optimizer, closure=lambda: None)


def test_float16_parameters_are_refused():
    w = vs.ones(2, dtype=vs.float16, requires_grad=True)
    optimizer, scaler = vs.optim.SGD([w], lr=0.5), vs.amp.GradScaler("cpu")
    scaler.scale(w.float().sum()).backward()
    with pytest.raises(ValueError, match="expected float32 gradients, got float16"):
        scaler.unscale_(optimizer)


def test_bad_factors_are_refused():
    with pytest.raises(AssertionError, match="above 1"):
        vs.amp.GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(AssertionError, match="below 1"):
        vs.amp.GradScaler("cpu", backoff_factor=1.0)
