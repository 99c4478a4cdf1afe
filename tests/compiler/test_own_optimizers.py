"""Optimizers that a compiled function makes itself, differentiable ones among them; steps with closures."""

import inspect

import pytest
from compiler.comparison import bits, once

import versant as vs
from versant import nn, optim

NAMES = sorted(
    name
    for name in optim.__all__
    if inspect.isclass(kind := getattr(optim, name)) and issubclass(kind, optim.Optimizer)
)
NAMES.remove("Optimizer")
OPTIONS = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "Adam": {"amsgrad": True, "weight_decay": 0.1},
    "AdamW": {"lr": 0.05},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "ASGD": {"t0": 1.0},
}


def agree(f, *calls, reads=False):
    g = vs.compile(f)
    for arguments in calls:
        assert bits(g(*arguments)) == bits(f(*arguments))
    if not reads:
        once(g)


def start(n):
    vs.manual_seed(n)
    return vs.randn(3, 4)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "LBFGS"])
def test_made_inside_of_the_function(name):
    def f(x):
        p, q = x.detach().clone().requires_grad_(), (x[0] * 2).detach().to(vs.float64).requires_grad_()
        params = [p] if name == "Muon" else [p, q]
        optimizer = getattr(optim, name)(params, **OPTIONS.get(name, {}))
        for _ in range(4):
            optimizer.zero_grad()
            ((p * p).sum() + (q * q).sum() - (p * p * p).mean()).backward()
            optimizer.step()
        return p.detach(), q.detach()

    # Adafactor reads values: each call with new ones is another trace.
    agree(f, (start(1),), (start(2),), (start(1) * 3,), reads=name == "Adafactor")


DIFFERENTIABLE = [
    name for name in NAMES if "differentiable" in inspect.signature(getattr(optim, name)).parameters
]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_through_steps(name):
    rate = vs.tensor(0.3, requires_grad=True)

    def f(x):
        x = x.detach().requires_grad_()
        p = x * rate
        optimizer = getattr(optim, name)([p], differentiable=True, **OPTIONS.get(name, {}))
        for _ in range(3):
            q = p.clone()
            (p.grad,) = vs.autograd.grad(((q - 1) * q * x).sum(), q, create_graph=True)
            optimizer.step()
        return vs.autograd.grad(p.square().sum(), [x, rate])

    agree(f, (start(1),), (start(2),), (start(1) * 3,))


def test_an_optimizer_of_ones_own_made_inside():
    class Plain(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})
            self.steps = 0

        def step(self, closure=None):
            loss = None if closure is None else closure()
            self.steps += 1
            with vs.no_grad():
                for p in self.param_groups[0]["params"]:
                    p -= p.grad / self.steps
            return loss

    def f(x):
        p = x.detach().clone().requires_grad_()
        optimizer = Plain([p])

        def closure():
            optimizer.zero_grad()
            loss = p.square().sum()
            loss.backward()
            return loss.detach()

        return [optimizer.step(closure) for _ in range(3)], p.detach()

    agree(f, (start(1),), (start(2),))


def test_made_inside_for_parameters_of_a_model():
    def trained(compiled):
        vs.manual_seed(0)
        model = nn.Linear(4, 2)

        def f(x):
            optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for _ in range(2):
                optimizer.zero_grad()
                model(x).square().sum().backward()
                optimizer.step()

        g = vs.compile(f) if compiled else f
        for i in range(1, 4):
            g(start(i))
        return bits([model.state_dict(), [p.grad for p in model.parameters()]])

    assert trained(True) == trained(False)


def test_differentiable_ones_made_before_are_refused():
    p = vs.ones(3)
    optimizer = optim.Adam([p], differentiable=True)

    def f(x):
        p.grad = x
        optimizer.step()

    with pytest.raises(RuntimeError, match=r"Adam\(differentiable=True\) was made before.*make it inside"):
        vs.compile(f)(vs.ones(3))


# Closures -------------------------------------------------------------------------------------------------


class Backtracking(optim.Optimizer):
    """Halves its step until the loss falls."""

    def __init__(self, params):
        super().__init__(params, {"lr": 1.0})

    def step(self, closure):
        loss = closure()
        params = [p for group in self.param_groups for p in group["params"]]
        before, slopes = [p.detach().clone() for p in params], [p.grad.clone() for p in params]
        rate = self.param_groups[0]["lr"]
        while rate > 1e-3:
            with vs.no_grad():
                for p, start, slope in zip(params, before, slopes, strict=True):
                    p.copy_(start - rate * slope)
            if float(closure()) < float(loss):
                break
            rate /= 2
        return loss


CLOSURES = {
    "LBFGS": optim.LBFGS,
    "LBFGS with a line search": lambda p: optim.LBFGS(p, max_iter=5, line_search_fn="strong_wolfe"),
    "one's own": Backtracking,
}


def trained_by(make, compiled):
    vs.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 1))
    optimizer = make(model.parameters())
    calls = vs.zeros(())

    def step(x, y):
        calls.add_(1)

        def closure(scale=0.5):
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean() * scale
            loss.backward()
            return loss

        return optimizer.step(closure).detach() + vs.rand(())

    function = vs.compile(step) if compiled else step
    losses = [function(vs.randn(16, 4), vs.randn(16, 1)) for _ in range(4)]
    return bits([losses, model.state_dict(), calls]), function


@pytest.mark.parametrize("name", CLOSURES)
def test_functions_around_closures_run_as_they_are_written(name):
    expected, _ = trained_by(CLOSURES[name], False)
    found, function = trained_by(CLOSURES[name], True)
    assert found == expected
    assert "runs as it is written" in function.explain()
    assert function.stats()["traces"] == 0
    [(_, closure)] = function._closures.values()
    once(closure)
    assert closure.stats()["replays"] > 3


def test_closures_that_cannot_be_compiled_are_called_as_they_are():
    def run(compiled):
        evaluations = 0
        w = vs.tensor([3.0, -2.0], requires_grad=True)
        optimizer = optim.LBFGS([w])

        def step(x):
            def closure():
                nonlocal evaluations
                evaluations += 1
                optimizer.zero_grad()
                loss = (w - x).square().sum()
                loss.backward()
                return loss

            return optimizer.step(closure).detach()

        g = vs.compile(step) if compiled else step
        return bits([g(vs.ones(2) * i) for i in range(4)]), evaluations

    assert run(True) == run(False)


def test_closures_that_are_never_replayed_are_compiled_no_more():
    def f(x):
        p = x.detach().clone().requires_grad_()
        optimizer = optim.LBFGS([p], max_iter=1)  # another object in every call

        def closure():
            optimizer.zero_grad()
            loss = p.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        return p.detach()

    g = vs.compile(f)
    for i in range(15):
        assert bits(g(start(i))) == bits(f(start(i)))
    [(_, closure)] = g._closures.values()
    assert closure.stats()["traces"] < 12


def test_closures_in_bodies_are_refused():
    w = vs.ones(2, requires_grad=True)
    optimizer = optim.LBFGS([w])

    def f(x):
        return vs.cond(x.sum() > 0, lambda: optimizer.step(lambda: w.sum()), lambda: w.sum())

    with pytest.raises(RuntimeError, match="must stand outside of cond"):
        vs.compile(f)(vs.ones(2))
