"""Optimizers against their published formulas, written out in numpy, and what each keeps in its state."""

import numpy as np
import pytest

import versant as vs
from versant import optim


def adagrad(p, g, s, t, lr=0.05, lr_decay=0.1, eps=1e-10):
    s["sum"] = s.get("sum", 0.0) + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["sum"]) + eps)


def adadelta(p, g, s, t, lr=0.05, rho=0.9, eps=1e-6):
    s["v"] = rho * s.get("v", 0.0) + (1 - rho) * g * g
    step = g * np.sqrt(s.get("d", 0.0) + eps) / np.sqrt(s["v"] + eps)
    s["d"] = rho * s.get("d", 0.0) + (1 - rho) * step * step
    return p - lr * step


def rmsprop(p, g, s, t, lr=0.05, alpha=0.8, eps=1e-8, momentum=0.5):
    s["v"] = alpha * s.get("v", 0.0) + (1 - alpha) * g * g
    s["mean"] = alpha * s.get("mean", 0.0) + (1 - alpha) * g
    s["run"] = momentum * s.get("run", 0.0) + g / (np.sqrt(s["v"] - s["mean"] ** 2) + eps)
    return p - lr * s["run"]


def adamax(p, g, s, t, lr=0.05, beta1=0.9, beta2=0.999, eps=1e-8):
    s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
    s["u"] = np.maximum(beta2 * s.get("u", 0.0), np.abs(g) + eps)
    return p - lr / (1 - beta1**t) * s["m"] / s["u"]


def nadam(p, g, s, t, lr=0.05, beta1=0.9, beta2=0.999, eps=1e-8, decay=4e-3):
    mu, later = (beta1 * (1 - 0.96 ** (k * decay) / 2) for k in (t, t + 1))
    s["product"] = s.get("product", 1.0) * mu
    s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g * g
    mean = later * s["m"] / (1 - s["product"] * later) + (1 - mu) * g / (1 - s["product"])
    return p - lr * mean / (np.sqrt(s["v"] / (1 - beta2**t)) + eps)


def radam(p, g, s, t, lr=0.05, beta1=0.9, beta2=0.99, eps=1e-8):
    s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g * g
    mean, end = s["m"] / (1 - beta1**t), 2 / (1 - beta2) - 1
    now = end - 2 * t * beta2**t / (1 - beta2**t)
    if now <= 5:
        return p - lr * mean
    rectified = np.sqrt((now - 4) * (now - 2) * end / ((end - 4) * (end - 2) * now))
    return p - lr * rectified * mean * np.sqrt(1 - beta2**t) / (np.sqrt(s["v"]) + eps)


def rprop(p, g, s, t, lr=0.05, least=1e-4, most=0.3):
    turn = np.sign(g * s.get("g", 0.0))
    s["size"] = np.clip(s.get("size", lr) * np.where(turn > 0, 1.2, np.where(turn < 0, 0.5, 1)), least, most)
    s["g"] = np.where(turn < 0, 0, g)
    return p - np.sign(s["g"]) * s["size"]


def asgd(p, g, s, t, lr=0.05, lambd=0.1, alpha=0.75, t0=3):
    eta = np.float32(lr) if t == 1 else np.float32(lr / (1 + lambd * lr * (t - 1)) ** alpha)
    p = p * (1 - lambd * float(eta)) - float(eta) * g
    mu = 1 / max(1, t - 1 - t0)
    s["ax"] = p if mu == 1 else s["ax"] + (p - s["ax"]) * float(np.float32(mu))
    return p


CASES = [
    (optim.Adagrad, adagrad, {"lr_decay": 0.1}, ["step", "sum"]),
    (optim.Adadelta, adadelta, {}, ["step", "square_avg", "acc_delta"]),
    (
        optim.RMSprop,
        rmsprop,
        {"alpha": 0.8, "momentum": 0.5, "centered": True},
        ["step", "square_avg", "momentum_buffer", "grad_avg"],
    ),
    (optim.Adamax, adamax, {}, ["step", "exp_avg", "exp_inf"]),
    (optim.NAdam, nadam, {}, ["step", "mu_product", "exp_avg", "exp_avg_sq"]),
    (optim.RAdam, radam, {"betas": (0.9, 0.99)}, ["step", "exp_avg", "exp_avg_sq"]),
    (optim.Rprop, rprop, {"step_sizes": (1e-4, 0.3)}, ["step", "prev", "step_size"]),
    (optim.ASGD, asgd, {"lambd": 0.1, "t0": 3}, ["step", "eta", "mu", "ax"]),
]


@pytest.mark.parametrize(("kind", "formula", "options", "names"), CASES)
def test_steps_follow_the_formula(kind, formula, options, names) -> None:
    """Twelve steps; each parameter is without gradient at times, and counts its own steps."""
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape) for shape in ((3, 4), (5,), ())]
    params = [vs.tensor(value, dtype=vs.float64).requires_grad_() for value in values]
    states, steps = [{} for _ in values], [0] * len(values)
    optimizer = kind(params, lr=0.05, **options)
    for turn in range(12):
        if turn == 6:  # a saved and loaded state goes on the same way
            state = optimizer.state_dict()
            optimizer = kind(params, lr=0.05)
            optimizer.load_state_dict(state)
        for i, p in enumerate(params):
            p.grad = None
            if (turn + i) % 5 != 4:
                g = rng.standard_normal(values[i].shape)
                p.grad = vs.tensor(g, dtype=vs.float64)
                steps[i] += 1
                values[i] = formula(values[i], g, states[i], steps[i])
        optimizer.step()
    for p, value, count in zip(params, values, steps, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), value, rtol=1e-6, atol=1e-7)
        assert list(optimizer.state[p]) == names
        assert optimizer.state[p]["step"].item() == count


def test_asgd_averages() -> None:
    p, values, state = vs.tensor([1.0, 2.0], dtype=vs.float64, requires_grad=True), np.array([1.0, 2.0]), {}
    optimizer = optim.ASGD([p], lr=0.05, lambd=0.1, t0=3)
    for t in range(1, 9):
        p.grad = vs.tensor([0.5, -1.0], dtype=vs.float64)
        values = asgd(values, np.array([0.5, -1.0]), state, t)
        optimizer.step()
    np.testing.assert_allclose(optimizer.state[p]["ax"].numpy(), state["ax"], rtol=1e-6)


def test_adafactor_follows_the_formula() -> None:
    rng = np.random.default_rng(1)
    matrix, vector = rng.standard_normal((4, 3)), rng.standard_normal(5)
    params = [vs.tensor(a).requires_grad_() for a in (matrix, vector)]
    optimizer = optim.Adafactor(params, lr=0.05, weight_decay=0.1, d=1.5)
    rows, columns, variance = np.zeros((4, 1)), np.zeros((1, 3)), np.zeros(5)
    rms = lambda x: np.sqrt(np.mean(x * x))  # noqa: E731
    for t in range(1, 6):
        g, h = rng.standard_normal((4, 3)), rng.standard_normal(5)
        params[0].grad, params[1].grad = vs.tensor(g), vs.tensor(h)
        share = t**-0.8
        rows = (1 - share) * rows + share * np.mean(g * g, 1, keepdims=True)
        columns = (1 - share) * columns + share * np.mean(g * g, 0, keepdims=True)
        variance = (1 - share) * variance + share * h * h
        updates = g / np.sqrt(rows @ columns / rows.mean()), h / np.sqrt(variance)
        size = min(0.05, t**-0.5)
        sizes = [max(1e-3, rms(p)) * size for p in (matrix, vector)]
        matrix, vector = (
            p * (1 - 0.05 * 0.1) - a * u / max(1, rms(u) / 1.5)
            for p, a, u in zip((matrix, vector), sizes, updates, strict=True)
        )
        optimizer.step()
    np.testing.assert_allclose(params[0].detach().numpy(), matrix, rtol=1e-10)
    np.testing.assert_allclose(params[1].detach().numpy(), vector, rtol=1e-10)
    assert list(optimizer.state[params[0]]) == ["step", "row_var", "col_var"]
    assert list(optimizer.state[params[1]]) == ["step", "variance"]


def test_muon_steps_along_an_orthogonal_matrix() -> None:
    rng = np.random.default_rng(2)
    for shape in ((6, 4), (4, 6)):
        p = vs.zeros(*shape).requires_grad_()
        gradient = rng.standard_normal(shape)
        p.grad = vs.tensor(gradient).float()
        optim.Muon([p], lr=1.0, weight_decay=0.0).step()
        u, _, v = np.linalg.svd(gradient, full_matrices=False)
        scale = np.sqrt(max(1, shape[0] / shape[1]))
        inside = u.T @ (-p.detach().numpy() / scale) @ v.T
        # The iteration leaves the singular values near 1 and their directions alone.
        assert np.abs(inside - np.diag(np.diag(inside))).max() < 0.05
        assert np.all((np.diag(inside) > 0.5) & (np.diag(inside) < 1.5))
    with pytest.raises(ValueError, match=r"parameter 0 must be a matrix, got shape \(3,\)"):
        optim.Muon([vs.zeros(3).requires_grad_()])


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_finds_the_minimum_of_a_quadratic(search) -> None:
    a = vs.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=vs.float64)
    b = vs.tensor([1.0, -1.0], dtype=vs.float64)
    x = vs.zeros(2, dtype=vs.float64, requires_grad=True)
    optimizer = optim.LBFGS([x], line_search_fn=search)
    calls = 0

    def closure():
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = 0.5 * x @ a @ x - b @ x
        loss.backward()
        return loss

    first = optimizer.step(closure)
    optimizer.step(closure)
    assert first.item() == 0.0
    np.testing.assert_allclose(x.detach().numpy(), np.linalg.solve(a.numpy(), b.numpy()), rtol=1e-6)
    assert optimizer.state[x]["func_evals"] == calls


def test_lbfgs_descends_rosenbrocks_valley() -> None:
    x = vs.tensor([-1.2, 1.0], dtype=vs.float64, requires_grad=True)
    optimizer = optim.LBFGS([x], max_iter=100, max_eval=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(x.detach().numpy(), [1.0, 1.0], rtol=1e-4)
    with pytest.raises(TypeError, match="needs a closure"):
        optimizer.step()
    with pytest.raises(ValueError, match="one group"):
        optim.LBFGS([{"params": [x]}, {"params": [vs.zeros(1, requires_grad=True)]}])


def test_hooks_stand_around_steps_and_states() -> None:
    p = vs.ones(1, requires_grad=True)
    p.grad = vs.ones(1)
    optimizer, seen = optim.SGD([p], lr=0.5, momentum=0.9), []
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after")),
    ]
    optimizer.step()
    assert seen == ["before", "after"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert seen == ["before", "after"]
    assert "step" not in vars(optimizer)
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("saving"))
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "note": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, state: seen.append(state["note"]))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen[2:] == ["saving", 1, "loaded"]
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match=r"returns None or \(args, kwargs\)"):
        optimizer.step()


def test_named_parameters_leave_their_names_in_the_state_dict() -> None:
    layer = vs.nn.Linear(2, 1)
    optimizer = optim.AdamW(layer.named_parameters())
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="all groups of parameters with names"):
        optimizer.add_param_group({"params": [vs.ones(1, requires_grad=True)]})


def test_a_state_of_another_optimizer_is_refused() -> None:
    p = vs.ones(1, requires_grad=True)
    p.grad = vs.ones(1)
    other = optim.SGD([p], momentum=0.9)
    other.step()
    optimizer = optim.Adam([p])
    with pytest.raises(ValueError, match="'momentum_buffer', which Adam does not keep"):
        optimizer.load_state_dict(other.state_dict())
    assert optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.Adadelta(p, rho=1.5), ValueError, r"\[Adadelta\] rho must be at most 1"),
        (lambda p: optim.RMSprop(p, alpha=-1), ValueError, r"\[RMSprop\] alpha must be at least 0"),
        (
            lambda p: optim.Rprop(p, etas=(1.1, 1.2)),
            ValueError,
            r"\[Rprop\] etas must be two numbers around 1",
        ),
        (lambda p: optim.NAdam(p, betas=(0.9, 1.0)), ValueError, r"\[NAdam\] betas"),
        (lambda p: optim.Adafactor(p, d=0.5), ValueError, r"\[Adafactor\] d must be at least 1"),
        (lambda p: optim.LBFGS(p, line_search_fn="armijo"), ValueError, "must be 'strong_wolfe' or None"),
        (lambda p: optim.Adam(p, lr=vs.ones(2)), ValueError, r"lr must be one number, got shape \(2,\)"),
        (lambda p: optim.Adam(p, fused=True, foreach=True), RuntimeError, "fused and foreach"),
        (lambda p: optim.SGD(p, fused=True, differentiable=True), RuntimeError, "fused or differentiable"),
    ],
)
def test_wrong_options_raise(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make([vs.ones(2, requires_grad=True)])
