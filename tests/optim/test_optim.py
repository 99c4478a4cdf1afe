"""Optimizers against their formulas in float64, their groups and state, and wrong arguments."""

import copy
import pickle

import numpy as np
import pytest

import versant as vs
from versant import nn, optim

SHAPES = [(3, 4), (5,), ()]


class ReferenceSGD:
    """The update of SGD's docstring, one parameter at a time."""

    def __init__(
        self, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False
    ) -> None:
        self.__dict__.update(locals())
        self.velocity: dict[int, np.ndarray] = {}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        g = (-g if self.maximize else g) + self.weight_decay * p
        if self.momentum:
            first = i not in self.velocity
            old = 0.0 if first else self.momentum * self.velocity[i]
            self.velocity[i] = old + (g if first else (1 - self.dampening) * g)
            g = g + self.momentum * self.velocity[i] if self.nesterov else self.velocity[i]
        return p - self.lr * g


class ReferenceAdam:
    """Kingma and Ba's algorithm 1, with the variants of Adam and AdamW, one parameter at a time."""

    def __init__(
        self,
        lr,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=False,
        maximize=False,
        decoupled=False,
    ) -> None:
        self.__dict__.update(locals())
        self.means: dict[int, list] = {}

    def update(self, i: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        (b1, b2), (t, m, v, top) = self.betas, self.means.get(i, [0, 0.0, 0.0, 0.0])
        g = -g if self.maximize else g
        if self.decoupled:
            p = p * (1 - self.lr * self.weight_decay)
        else:
            g = g + self.weight_decay * p
        t, m, v = t + 1, b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        top = np.maximum(top, v)
        self.means[i] = [t, m, v, top]
        scale = (top if self.amsgrad else v) / (1 - b2**t)
        return p - self.lr * (m / (1 - b1**t)) / (np.sqrt(scale) + self.eps)


def adamw(lr, weight_decay=1e-2, **options) -> ReferenceAdam:
    return ReferenceAdam(lr, weight_decay=weight_decay, decoupled=True, **options)


CASES = [
    (optim.SGD, ReferenceSGD, {}),
    (optim.SGD, ReferenceSGD, {"momentum": 0.9}),
    (optim.SGD, ReferenceSGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    (optim.SGD, ReferenceSGD, {"momentum": 0.9, "nesterov": True, "maximize": True}),
    (optim.Adam, ReferenceAdam, {}),
    (optim.Adam, ReferenceAdam, {"betas": (0.5, 0.8), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.Adam, ReferenceAdam, {"amsgrad": True, "maximize": True}),
    (optim.AdamW, adamw, {}),
    (optim.AdamW, adamw, {"weight_decay": 0.5, "amsgrad": True}),
]


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64], ids=str)
@pytest.mark.parametrize(("kind", "reference", "options"), CASES)
def test_updates_follow_the_formula(kind, reference, options, dtype) -> None:
    """Twelve steps, in which parameters go without gradient at times and the learning rate changes."""
    rng = np.random.default_rng(0)
    expected = [rng.standard_normal(shape) for shape in SHAPES]
    params = [vs.tensor(value, dtype=dtype).requires_grad_() for value in expected]
    optimizer, formula = kind(params, lr=0.1, **options), reference(0.1, **options)
    for step in range(12):
        if step == 6:
            optimizer.param_groups[0]["lr"] = formula.lr = 0.02
        for i, parameter in enumerate(params):
            parameter.grad = None
            if (step + i) % 5 != 4:
                gradient = rng.standard_normal(SHAPES[i])
                parameter.grad = vs.tensor(gradient, dtype=dtype)
                expected[i] = formula.update(i, expected[i], gradient)
        optimizer.step()
    tolerance = 1e-5 if dtype is vs.float32 else 1e-12
    for parameter, value in zip(params, expected, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), value, rtol=tolerance, atol=tolerance)


def parameter(value: float = 1.0, grad: float | None = 1.0):
    p = vs.tensor([value], requires_grad=True)
    if grad is not None:
        p.grad = vs.tensor([grad])
    return p


def test_groups_have_options_of_their_own() -> None:
    a, b = parameter(), parameter()
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.step()
    assert a.item() == pytest.approx(0.9)
    assert b.item() == pytest.approx(0.5)
    c = parameter()
    optimizer.add_param_group({"params": [c], "lr": 1.0})
    optimizer.step()
    assert c.item() == pytest.approx(0.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5, 1.0]


def test_parameters_keep_their_identity_and_count_a_version() -> None:
    p = parameter()
    version = p._version
    optim.AdamW([p], lr=0.1).step()
    assert p._version > version
    assert p.is_leaf


def test_a_changed_parameter_breaks_an_older_graph() -> None:
    p = vs.tensor([2.0], requires_grad=True)
    y = p * p
    y.sum().backward(retain_graph=True)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified"):
        y.sum().backward()


def test_zero_grad() -> None:
    p = parameter()
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert p.item() == 1.0


def test_closure_runs_with_gradients_and_its_loss_is_returned() -> None:
    p = parameter(grad=None)
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with vs.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert p.item() == pytest.approx(0.8)


def test_a_replaced_parameter_in_a_group_is_the_one_that_is_updated() -> None:
    old, new = parameter(), parameter()
    optimizer = optim.SGD([old], lr=0.1)
    optimizer.step()
    optimizer.param_groups[0]["params"][0] = new
    optimizer.step()
    assert (old.item(), new.item()) == (pytest.approx(0.9), pytest.approx(0.9))


def test_state_is_kept_by_parameter_and_may_be_changed() -> None:
    p = parameter()
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    optimizer.step()
    assert optimizer.state[p]["momentum_buffer"].tolist() == [1.0]
    optimizer.state[p]["momentum_buffer"] = vs.tensor([10.0])
    optimizer.step()
    assert p.item() == pytest.approx(1.0 - 1.0 - 6.0)


def test_state_dict_has_pytorchs_layout() -> None:
    p, idle = parameter(), parameter(grad=None)
    optimizer = optim.Adam([{"params": [p]}, {"params": [idle], "lr": 0.5}], lr=0.1, amsgrad=True)
    optimizer.step()
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert state["param_groups"][1]["lr"] == 0.5
    assert list(state["state"]) == [0]
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
    assert state["state"][0]["step"].item() == 2.0
    assert optim.SGD([parameter()], lr=0.1).state_dict()["state"] == {}


def restarted(optimizer, params, way: str):
    """A second optimizer that goes on from the state of the first."""
    if way == "pickle":
        twin = pickle.loads(pickle.dumps((optimizer, params)))
        return twin
    if way == "deepcopy":
        return copy.deepcopy((optimizer, params))
    params = [vs.tensor(p.tolist(), requires_grad=True) for p in params]
    twin = type(optimizer)(params)
    twin.load_state_dict(optimizer.state_dict())
    return twin, params


@pytest.mark.parametrize("way", ["state_dict", "pickle", "deepcopy"])
@pytest.mark.parametrize(
    ("kind", "options"), [(optim.SGD, {"momentum": 0.9, "dampening": 0.5}), (optim.AdamW, {})]
)
def test_a_restarted_optimizer_goes_on_the_same_way(kind, options, way: str) -> None:
    params = [parameter(1.0), parameter(2.0)]
    optimizer = kind(params, lr=0.1, **options)
    optimizer.step()
    optimizer.step()
    twin, twin_params = restarted(optimizer, params, way)
    for each in (params, twin_params):
        for p in each:
            p.grad = vs.tensor([0.3])
    optimizer.step()
    twin.step()
    assert [p.tolist() for p in params] == [p.tolist() for p in twin_params]
    assert all(p is not q for p, q in zip(params, twin_params, strict=True))


def test_loaded_state_takes_the_dtype_of_the_parameter_and_is_a_copy() -> None:
    p = parameter()
    optimizer = optim.Adam([p])
    optimizer.step()
    state = optimizer.state_dict()
    other = optim.Adam([vs.ones(1, dtype=vs.float64).requires_grad_()])
    other.load_state_dict(state)
    (values,) = other.state.values()
    assert values["exp_avg"].dtype is vs.float64
    before = values["exp_avg"].item()
    optimizer.step()
    assert values["exp_avg"].item() == before


def test_loading_what_does_not_fit_changes_nothing() -> None:
    p = parameter()
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    optimizer.step()
    good = optimizer.state_dict()
    misshapen = copy.deepcopy(good)
    misshapen["state"][0]["momentum_buffer"] = vs.ones(7)
    misshapen["param_groups"][0]["lr"] = 99.0
    stray = {**good, "state": {5: {}}}
    crowded = {**good, "param_groups": [{**good["param_groups"][0], "params": [0, 1]}]}
    for wrong, message in (
        (misshapen, r"'momentum_buffer' of parameter 0 has shape \(7,\), expected \(1,\)"),
        (stray, "state for parameter 5, which is in no group"),
        (crowded, r"the groups hold \[2\] parameters, this optimizer's \[1\]"),
        ({"state": {}}, "expected a dict with 'state' and 'param_groups'"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(wrong)
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.state[p]["momentum_buffer"].tolist() == [1.0]


def test_an_optimizer_of_ones_own() -> None:
    class Sign(optim.Optimizer):
        def __init__(self, params, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        def step(self, closure=None) -> None:
            with vs.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        self.state[p]["steps"] = self.state[p].get("steps", 0) + 1
                        p.sub_(group["lr"] * p.grad.sign())

    p = parameter(grad=-3.0)
    optimizer = Sign([p], lr=0.5)
    optimizer.step()
    optimizer.step()
    assert p.item() == 2.0
    assert optimizer.state[p] == {"steps": 2}


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_training_lowers_the_loss(kind) -> None:
    vs.manual_seed(0)
    x = vs.randn(64, 3)
    y = x @ vs.tensor([[1.0], [-2.0], [0.5]])
    model = nn.Linear(3, 1)
    optimizer = kind(model.parameters(), lr=0.05)
    for _ in range(300):
        loss = ((model(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3


BAD = [
    (lambda: optim.SGD([], lr=0.1), ValueError, r"\[SGD\] got an empty list of parameters"),
    (lambda: optim.SGD(parameter(), lr=0.1), TypeError, "must be an ordered collection, got a Tensor"),
    (lambda: optim.SGD({parameter()}, lr=0.1), TypeError, "must be an ordered collection, got a set"),
    (lambda: optim.Adam([1.0]), TypeError, "parameter 0 must be a Tensor, got float"),
    (lambda: optim.Adam([("a", parameter()), parameter()]), ValueError, "parameters of a group with names"),
    (lambda: optim.Adam([parameter() * 2]), ValueError, "only leaf tensors can be optimized"),
    (lambda: optim.Adam([vs.tensor([1])]), TypeError, "must be of a floating-point dtype"),
    (lambda: optim.Adam([parameter()] * 2), ValueError, "parameter 1 is given twice"),
    (lambda: optim.Adam([{"lr": 0.1}]), TypeError, "must be a dict with 'params'"),
    (lambda: optim.Adam([parameter()], lr=-1.0), ValueError, r"\[Adam\] lr must be at least 0, got -1.0"),
    (lambda: optim.SGD([parameter()], lr="fast"), TypeError, r"\[SGD\] lr must be a number, got str"),
    (lambda: optim.AdamW([parameter()], lr=float("nan")), ValueError, r"\[AdamW\] lr must be at least 0"),
    (
        lambda: optim.Adam([parameter()], betas=(0.9, 1.0)),
        ValueError,
        r"betas must be two numbers in \[0, 1\)",
    ),
    (
        lambda: optim.SGD([parameter()], lr=0.1, nesterov=True),
        ValueError,
        "nesterov needs a positive momentum",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_wrong_arguments_raise(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_the_same_parameter_in_two_groups_raises() -> None:
    p = parameter()
    optimizer = optim.SGD([p], lr=0.1)
    with pytest.raises(ValueError, match="given twice"):
        optimizer.add_param_group({"params": [p]})
    assert len(optimizer.param_groups) == 1


def test_a_gradient_of_the_wrong_shape_changes_no_parameter() -> None:
    good, bad = parameter(), vs.ones(2, requires_grad=True)
    bad.grad = vs.ones(2)
    optimizer = optim.SGD([good, bad], lr=0.1)
    with pytest.raises((RuntimeError, ValueError)):
        bad.grad = vs.ones(3)
    optimizer.step()
    assert good.item() == pytest.approx(0.9)


def test_repr_shows_the_options() -> None:
    assert "lr: 0.25" in repr(optim.SGD([parameter()], lr=0.25))


def test_a_step_keeps_the_plans_of_all_groups() -> None:
    params = [vs.ones(2, requires_grad=True) for _ in range(2)]
    optimizer = vs.optim.Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.1}])
    for param in params:
        param.grad = vs.ones(2)
    optimizer.step()
    plans = list(optimizer._plans.values())
    optimizer.step()
    assert [id(plan) for plan in optimizer._plans.values()] == [id(plan) for plan in plans]
    assert len(plans) == 2
    assert [state["step"].item() for state in optimizer.state.values()] == [2, 2]
