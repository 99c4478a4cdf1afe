"""Update rules: one pass of the machine gives the bits of the operations applied one by one."""

import numpy as np
import pytest

import versant as vs
from versant import optim
from versant.ops.expression import m
from versant.optim.adam import adam, adam_flags, adam_numbers
from versant.optim.plan import Batch
from versant.optim.rule import Rule, evaluate
from versant.optim.sgd import sgd, sgd_terms

SHAPES = [(7,), (33, 5), (), (0, 3), (4001,)]

CASES = [
    (optim.SGD, {}),
    (optim.SGD, {"momentum": 0.9, "weight_decay": 0.1, "dampening": 0.1}),
    (optim.SGD, {"momentum": 0.9, "nesterov": True, "maximize": True}),
    (optim.Adam, {}),
    (optim.Adam, {"weight_decay": 0.1, "amsgrad": True, "maximize": True}),
    (optim.Adam, {"betas": (0.3, 0.9), "eps": 1e-3}),
    (optim.AdamW, {}),
    (optim.Adagrad, {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    (optim.Adagrad, {"weight_decay": 0.1, "maximize": True}),
    (optim.Adadelta, {"weight_decay": 0.1}),
    (optim.Adadelta, {"rho": 0.5, "maximize": True}),
    (optim.RMSprop, {}),
    (optim.RMSprop, {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    (optim.RMSprop, {"alpha": 0.4, "centered": True, "maximize": True}),
    (optim.Adamax, {"weight_decay": 0.1}),
    (optim.Adamax, {"betas": (0.4, 0.9), "maximize": True}),
    (optim.NAdam, {"weight_decay": 0.1}),
    (optim.NAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    (optim.RAdam, {"weight_decay": 0.1}),
    (optim.RAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    (optim.Rprop, {}),
    (optim.Rprop, {"etas": (0.3, 1.5), "step_sizes": (1e-4, 0.02), "maximize": True}),
    (optim.ASGD, {"weight_decay": 0.1, "lambd": 0.1}),
    (optim.ASGD, {"t0": 2, "maximize": True}),
]


def draws(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in SHAPES]


def trained(kind, options, dtype, steps: int = 7, **more):
    params = [vs.tensor(p).to(dtype).requires_grad_() for p in draws(0)]
    if more.get("differentiable"):
        params = [p.clone() for p in params]
        for p in params:
            p.retain_grad()
    optimizer = kind(params, lr=0.05, **options, **more)
    for step in range(1, steps + 1):
        for p, g in zip(params, draws(step), strict=True):
            p.grad = vs.tensor(g).to(dtype)
        optimizer.step()
    return params, optimizer


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64], ids=str)
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_one_pass_equals_the_operations_one_by_one(kind, options, dtype) -> None:
    """`differentiable` runs the rule by ordinary ops; of SGD and Adam it holds the machine's own kernels."""
    params, optimizer = trained(kind, options, dtype)
    others, other = trained(kind, options, dtype, differentiable=True)
    for p, q in zip(params, others, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
        state, other_state = optimizer.state[p], other.state[q]
        assert list(state) == list(other_state)
        for name in state:
            np.testing.assert_array_equal(state[name].detach().numpy(), other_state[name].detach().numpy())


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_threads_change_no_bit(kind, options) -> None:
    before = vs.get_num_threads()
    results = []
    try:
        for count in (1, 2, 4):
            vs.set_num_threads(count)
            big = vs.linspace(-1, 1, 70001).requires_grad_()
            big.grad = vs.linspace(1, -2, 70001)
            optimizer = kind([big], lr=0.05, **options)
            for _ in range(2):
                optimizer.step()
            results.append(big.detach().numpy())
    finally:
        vs.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_gradients_pass_through_a_differentiable_step() -> None:
    """d/d lr of the loss after a step of SGD is -g(p) . g(p')."""
    lr = vs.tensor(0.1, dtype=vs.float64, requires_grad=True)
    start = vs.tensor([1.0, -2.0], dtype=vs.float64, requires_grad=True)
    p = start.clone()
    (gradient,) = vs.autograd.grad((start**3).sum(), start, create_graph=True)
    p.grad = gradient
    optimizer = optim.SGD([p], lr=lr, differentiable=True)
    optimizer.step()
    loss = (p**3).sum()
    loss.backward()
    first = 3 * np.array([1.0, 4.0])
    stepped = np.array([1.0, -2.0]) - 0.1 * first
    assert lr.grad.item() == pytest.approx(-(first * 3 * stepped**2).sum())
    np.testing.assert_allclose(start.grad.numpy(), 3 * stepped**2 * (1 - 0.1 * 6 * np.array([1.0, -2.0])))


def test_adam_and_sgd_state_the_kernels_numbers() -> None:
    group = {**optim.Adam([vs.ones(1, requires_grad=True)]).param_groups[0]}
    assert set(adam.outputs(("exp_avg", "exp_avg_sq"), tuple(adam_numbers(group, 1)), adam_flags(group))) == {
        "param",
        "exp_avg",
        "exp_avg_sq",
    }
    group = optim.SGD([vs.ones(1, requires_grad=True)]).param_groups[0]
    numbers, flags = sgd_terms(group, True)
    assert list(sgd.outputs((), tuple(numbers), flags)) == ["param"]


def test_a_value_that_is_still_read_is_not_overwritten() -> None:
    """Both outputs read both inputs; one output is the other's too."""
    swap = Rule(
        lambda t: {"param": t.param + t.first * t.scale, "first": t.first - t.param, "second": t.grad}
    )
    p = vs.arange(600.0).requires_grad_()
    p.grad = vs.ones(600)
    batch = Batch(True, {}, {"first": [vs.arange(600.0) * 3], "second": [vs.zeros(600)]})
    batch.params.append(p)
    swap(batch, {"scale": 2.0})
    np.testing.assert_array_equal(p.detach().numpy(), np.arange(600.0) * 7)
    np.testing.assert_array_equal(batch.buffers["first"][0].numpy(), np.arange(600.0) * 2)
    np.testing.assert_array_equal(batch.buffers["second"][0].numpy(), np.ones(600))


def test_evaluate_applies_expressions_to_tensors() -> None:
    rule = Rule(lambda t: {"param": m.select(m.gt(t.param, 0.0), m.max(t.param, t.grad), t.rate)})
    (root,) = rule.outputs((), ("rate",), ()).values()
    (result,) = evaluate([root], [vs.tensor([1.0, -1.0]), vs.tensor([5.0, 5.0]), 0.5])
    assert result.tolist() == [5.0, 0.5]


def test_an_unknown_name_in_a_rule_raises() -> None:
    p = vs.ones(1, requires_grad=True)
    p.grad = vs.ones(1)
    batch = Batch(True, {}, {})
    batch.params.append(p)
    with pytest.raises(AttributeError, match="no parameter, buffer or number 'momentum'"):
        Rule(lambda t: {"param": t.momentum})(batch, {})
