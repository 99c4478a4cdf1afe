"""The machine's optimizer steps: against the published formulas in numpy."""

import numpy as np
import pytest
from core.arrays import refused

import versant as vs
from versant import optim

SHAPES = [(7,), (33, 5), (), (4, 3, 2), (0, 3), (40001,)]
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def draws(seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in SHAPES]


def train(make, update, dtype, steps=4):
    """Parameters after some steps: ours, and those of update(parameter, gradient, memory, step)."""
    kind = getattr(vs, dtype)
    ours = [vs.tensor(p).to(kind).requires_grad_() for p in draws(0)]
    theirs = [p.detach().to(vs.float64).numpy().copy() for p in ours]
    memory = [{} for _ in ours]
    optimizer = make(ours)
    for step in range(1, steps + 1):
        for i, g in enumerate(draws(step)):
            ours[i].grad = vs.tensor(g).to(kind)
            theirs[i] = update(theirs[i], ours[i].grad.to(vs.float64).numpy(), memory[i], step)
        optimizer.step()
    for got, expected in zip(ours, theirs, strict=True):
        assert got.dtype == kind
        error = np.abs(got.detach().to(vs.float64).numpy() - expected)
        assert np.all(error <= TOLERANCE[dtype]), error.max()


SGD = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01, "maximize": True},
    {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True},
]


@pytest.mark.parametrize("options", SGD)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sgd(options, dtype):
    momentum, decay = options.get("momentum", 0), options.get("weight_decay", 0)

    def update(p, g, memory, step):
        g = (-g if options.get("maximize") else g) + decay * p
        if momentum:
            share = 1 - options.get("dampening", 0)
            v = memory["v"] = g if step == 1 else momentum * memory["v"] + share * g
            g = g + momentum * v if options.get("nesterov") else v
        return p - 0.1 * g

    train(lambda params: optim.SGD(params, lr=0.1, **options), update, dtype)


ADAM = [{}, {"weight_decay": 0.1}, {"amsgrad": True}, {"maximize": True, "betas": (0.3, 0.8)}]


@pytest.mark.parametrize("options", ADAM)
@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam(options, kind, dtype):
    beta1, beta2 = options.get("betas", (0.9, 0.999))
    decay = options.get("weight_decay", 0.0)

    def update(p, g, memory, step):
        g = -g if options.get("maximize") else g
        if kind is optim.AdamW:
            p = p * (1 - 0.01 * decay)
        else:
            g = g + decay * p
        m = memory["m"] = beta1 * memory.get("m", 0) + (1 - beta1) * g
        v = memory["v"] = beta2 * memory.get("v", 0) + (1 - beta2) * g * g
        if options.get("amsgrad"):
            v = memory["largest"] = np.maximum(memory.get("largest", 0), v)
        return p - 0.01 * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + 1e-8)

    train(lambda params: kind(params, lr=0.01, **{"weight_decay": 0.0, **options}), update, dtype)


MAKERS = [*((optim.SGD, o) for o in SGD), *((kind, o) for o in ADAM for kind in (optim.Adam, optim.AdamW))]


@pytest.mark.parametrize(("kind", "options"), MAKERS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_step_in_16_bits_is_one_in_float32_rounded(kind, options, dtype):
    """Of the parameters and of the buffers, bit by bit, from the same values in each step."""
    narrow = getattr(vs, dtype)
    halves = [vs.tensor(p).to(narrow).requires_grad_() for p in draws(0)]
    wides = [h.detach().float().requires_grad_() for h in halves]
    ours, reference = kind(halves, lr=0.1, **options), kind(wides, lr=0.1, **options)
    for step in range(1, 5):
        for half, wide, g in zip(halves, wides, draws(step), strict=True):
            half.grad = vs.tensor(g * 10.0**-step).to(narrow)  # down to where squares vanish
            wide.grad = half.grad.float()
        ours.step()
        reference.step()
        with vs.no_grad():
            for half, wide in zip(halves, wides, strict=True):
                buffers = [k for k, v in ours.state[half].items() if k != "step"]
                pairs = [(half, wide), *((ours.state[half][k], reference.state[wide][k]) for k in buffers)]
                for got, expected in pairs:
                    assert got.dtype is narrow
                    same = (got == expected.to(narrow)) | (got.isnan() & expected.isnan())
                    assert same.all()
                    expected.copy_(got)


def test_layouts_change_no_bit():
    """Gradients, parameters and buffers may each lie differently in memory."""
    values, grads = np.random.default_rng(0).standard_normal((2, 6, 5)).astype("float32")
    results = []
    for turn_parameter, turn_gradient in [(False, False), (True, False), (False, True), (True, True)]:
        arrange = lambda a, turn: vs.tensor(a.T.copy()).T if turn else vs.tensor(a)  # noqa: E731
        parameter = arrange(values, turn_parameter).requires_grad_()
        optimizer = optim.Adam([parameter], lr=0.1, weight_decay=0.1)
        for _ in range(3):
            parameter.grad = arrange(grads, turn_gradient)
            optimizer.step()
        results.append(parameter.detach().numpy())
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_threads_change_no_bit():
    before = vs.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            vs.set_num_threads(count)
            parameters = [vs.tensor(p).float().requires_grad_() for p in draws(0)]
            optimizer = optim.AdamW(parameters, lr=0.1)
            for p, g in zip(parameters, draws(1), strict=True):
                p.grad = vs.tensor(g).float()
            optimizer.step()
            results.append([p.detach().numpy() for p in parameters])
    finally:
        vs.set_num_threads(before)
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(got, expected)


def test_a_step_is_an_in_place_write():
    """A value saved for backward before the step may not be used after it."""
    weight = vs.ones(3, requires_grad=True)
    loss = (weight * weight).sum()
    loss.backward(retain_graph=True)
    optim.SGD([weight], lr=0.1).step()
    with refused(RuntimeError, "modified by an inplace operation"):
        loss.backward()


def test_read_only_parameters_are_refused():
    array = np.ones(3, "float32")
    array.flags.writeable = False
    parameter = vs.from_numpy(array).requires_grad_()
    parameter.grad = vs.ones(3)
    with refused(ValueError, "read-only"):
        optim.SGD([parameter], lr=0.1).step()
    assert array.tolist() == [1, 1, 1]
