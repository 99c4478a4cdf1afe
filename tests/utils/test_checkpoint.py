"""Activation checkpoints: gradients to the bit, less memory, the same random numbers."""

import functools

import pytest

import versant as vs
from versant import nn
from versant.utils.checkpoint import (
    CheckpointError,
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
)

BOTH = pytest.mark.parametrize("reentrant", [False, True])


def network(layers=6, width=16, dropout=0.3):
    vs.manual_seed(0)
    parts = [
        nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.LayerNorm(width))
        for _ in range(layers)
    ]
    return nn.Sequential(*parts)


def gradients(run, model, x):
    vs.manual_seed(1)
    x = x.clone().requires_grad_()
    model.zero_grad()
    loss = run(x).square().sum()
    loss.backward()
    return [loss.detach(), x.grad, *(p.grad for p in model.parameters())]


@BOTH
@pytest.mark.parametrize("segments", [1, 2, 4, 6])
def test_gradients_are_those_without_a_checkpoint(segments, reentrant) -> None:
    model, x = network(), vs.randn(5, 16)
    expected = gradients(model, model, x)
    result = gradients(lambda x: checkpoint_sequential(model, segments, x, use_reentrant=reentrant), model, x)
    assert all((a == b).all() for a, b in zip(result, expected, strict=True))


@BOTH
def test_peak_memory_falls(reentrant) -> None:
    model, x = network(layers=16, width=64), vs.randn(512, 64)

    def peak(run):
        gradients(run, model, x)
        before = vs.memory.stats()["live_bytes"]
        vs.memory.reset_peak()
        gradients(run, model, x)
        return vs.memory.stats()["peak_bytes"] - before

    whole = peak(model)
    assert peak(lambda x: checkpoint_sequential(model, 4, x, use_reentrant=reentrant)) < 0.6 * whole


def test_all_of_autograd_works_through_places_on_the_tape() -> None:
    model, x = network(dropout=0.0), vs.randn(3, 16, requires_grad=True)

    def run(x, *, scale):
        return {"y": model(x).sin() * scale}

    expected = vs.autograd.grad(run(x, scale=2.0)["y"].sum(), [x, *model.parameters()])
    result = vs.autograd.grad(
        checkpoint(run, x, scale=2.0, use_reentrant=False)["y"].sum(), [x, *model.parameters()]
    )
    assert all((a == b).all() for a, b in zip(result, expected, strict=True))

    def penalty(forward):
        (slope,) = vs.autograd.grad(forward(x).sum(), x, create_graph=True)
        return vs.autograd.grad(slope.square().sum(), x)[0]

    def f(x):
        return (x.sin() * x).exp()

    assert (penalty(lambda x: checkpoint(f, x, use_reentrant=False)) == penalty(f)).all()


def test_checkpoints_nest() -> None:
    model, x = network(dropout=0.0), vs.randn(3, 16)

    def inner(x):
        return checkpoint(model[1], checkpoint(model[0], x))

    expected = gradients(lambda x: model[1](model[0](x)).tanh(), model, x)[:2]
    result = gradients(lambda x: checkpoint(lambda x: inner(x).tanh(), x), model, x)[:2]
    assert all((a == b).all() for a, b in zip(result, expected, strict=True))


@BOTH
def test_the_function_runs_once_more_and_only_for_backward(reentrant) -> None:
    calls = []

    def f(x):
        calls.append(vs.is_grad_enabled())
        return x.exp()

    x = vs.randn(3, requires_grad=True)
    y = checkpoint(f, x, use_reentrant=reentrant)
    assert calls == [not reentrant]
    y.sum().backward()
    assert len(calls) == 2
    with vs.no_grad():
        checkpoint(f, x, use_reentrant=reentrant)
    assert len(calls) == 3


def test_random_numbers_go_on_after_the_second_run_as_before() -> None:
    x = vs.randn(100, requires_grad=True)
    vs.manual_seed(3)
    y = checkpoint(lambda x: nn.functional.dropout(x) * x, x, use_reentrant=False)
    after = vs.get_rng_state()
    y.sum().backward()
    assert (vs.get_rng_state() == after).all()
    assert ((x.grad == 0) == (y == 0)).all()


def test_a_function_that_changes_its_mind_is_found() -> None:
    for change in (
        lambda x, first: x.exp() if first else x.exp().exp(),
        lambda x, first: x[: 3 - first].exp(),
    ):
        runs = []

        def f(x, change=change, runs=runs):
            runs.append(1)
            return change(x, len(runs) == 1)

        y = checkpoint(f, vs.randn(3, requires_grad=True), use_reentrant=False)
        with pytest.raises(CheckpointError, match="again"):
            y.sum().backward()


def test_wrong_arguments_raise() -> None:
    with pytest.raises(ValueError, match="takes no keyword arguments, got scale"):
        checkpoint(lambda x, scale: x * scale, vs.ones(2), use_reentrant=True, scale=2)
    with pytest.raises(ValueError, match="expected 1 to 6 segments, got 7"):
        checkpoint_sequential(network(), 7, vs.ones(2, 16))


def selective(policy):
    return functools.partial(create_selective_checkpoint_contexts, policy)


@pytest.mark.parametrize(
    "policy",
    [
        ["matmul"],
        [vs.tanh, "gelu", "normalize_rows"],
        lambda context, name: (
            CheckpointPolicy.MUST_SAVE if name == "matmul" else CheckpointPolicy.PREFER_RECOMPUTE
        ),
        lambda context, name: True,
        lambda context, name: False,
    ],
)
def test_selective_checkpoints_give_the_same_gradients(policy) -> None:
    model, x = network(), vs.randn(5, 16)
    expected = gradients(model, model, x)
    run = functools.partial(checkpoint, model, use_reentrant=False, context_fn=selective(policy))
    result = gradients(run, model, x)
    assert all((a == b).all() for a, b in zip(result, expected, strict=True))


def test_what_a_selective_checkpoint_keeps_is_not_computed_again() -> None:
    weight = vs.randn(8, 8)
    values = []

    def function(x):
        y = x @ weight
        values.append(y)
        return y.tanh()

    x = vs.randn(4, 8).requires_grad_()
    y = checkpoint(function, x, use_reentrant=False, context_fn=selective(["matmul"]))
    plain = values[0].detach().clone()
    with vs.no_grad():
        weight.zero_()  # a second product would give zeros
    values.clear()
    y.sum().backward()
    assert vs.equal(values[0], plain)


def test_what_was_changed_since_is_computed_again() -> None:
    model = nn.Linear(4, 4)

    def function(x):
        y = model(x)
        y.add_(1)
        return y.tanh()

    x = vs.randn(3, 4)
    expected = gradients(function, model, x)
    run = functools.partial(checkpoint, function, use_reentrant=False, context_fn=selective(["matmul"]))
    result = gradients(run, model, x)
    assert all((a == b).all() for a, b in zip(result, expected, strict=True))
