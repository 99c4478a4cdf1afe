"""The first programs run as they are and compute the right values."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import versant as vs

FOLDER = Path(__file__).parents[2] / "examples" / "first_programs"


def after(name: str) -> dict:
    """The global names that a program leaves behind."""
    return runpy.run_path(str(FOLDER / f"{name}.py"))


def test_linear_regression() -> None:
    vs.manual_seed(0)
    w = vs.randn([1, 1])
    vs.manual_seed(0)
    program = after("linear_regression")
    x, y = vs.tensor([[1.0], [2.0], [3.0]]), vs.tensor([[2.0], [4.0], [6.0]])
    error = x @ w - y
    assert vs.allclose(program["loss"], (error**2).mean())
    assert vs.allclose(program["w"], w - 0.01 * (2 * error * x).mean())
    assert vs.allclose(program["b"], -0.01 * (2 * error).mean())
    assert program["w"].grad is None
    assert vs.allclose(program["x"].grad, 2 * error * w / 3)


def test_control_flow() -> None:
    program = after("control_flow")
    assert program["loss"].item() == 30.0
    assert program["x"].grad.tolist() == [2.0, 4.0, 6.0, 8.0]
    assert vs.allclose(program["complex_model_pt"](vs.tensor([4.0])), vs.tensor([2.0]))


@pytest.mark.parametrize("name", ["custom_layer", "custom_derivative"])
def test_logarithms(name: str) -> None:
    program = after(name)
    assert vs.allclose(program["loss"], vs.log(vs.tensor(6.0)))
    assert vs.allclose(program["x"].grad, 1 / vs.tensor([1.0, 2.0, 3.0]))


def test_making_tensors() -> None:
    program = after("making_tensors")
    assert program["z"].shape == (5, 3)
    assert vs.equal(program["z"], program["x"] + program["y"])
    assert 0.0 <= program["x"].min().item() <= program["x"].max().item() < 1.0
    assert not vs.equal(program["x"], program["y"])


def test_stopping_inside() -> None:
    command = [sys.executable, str(FOLDER / "stopping_inside.py")]
    typed = "p tuple(model[0](x).shape)\nc\n"
    done = subprocess.run(command, input=typed, capture_output=True, text=True, check=True)
    assert "(10, 8, 30, 30)" in done.stdout


# --- the same inside of compiled functions: all calls give eager's bits, and only the first one records -----


def agrees(function, *arguments, traces: int = 1) -> None:
    vs.manual_seed(0)
    expected = function(*arguments)
    compiled = vs.compile(function)
    for _ in range(3):
        vs.manual_seed(0)
        found = compiled(*arguments)
        assert all(vs.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert compiled.stats()["traces"] == traces


def test_linear_regression_compiled() -> None:
    x, y = vs.tensor([[1.0], [2.0], [3.0]]), vs.tensor([[2.0], [4.0], [6.0]])

    def step(x, y):
        w, b = vs.randn([1, 1], requires_grad=True), vs.zeros([1], requires_grad=True)
        y_pred = vs.matmul(x, w) + b
        loss = vs.mean((y_pred - y) ** 2)
        loss.backward()
        optimizer = vs.optim.SGD([w, b], lr=0.01)
        optimizer.step()
        return loss.detach(), w.detach(), b.detach()

    agrees(step, x, y)


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0, 4.0], [0.5, 1.0]], ids=["one branch", "the other"])
def test_control_flow_compiled(values: list[float]) -> None:
    model = after("control_flow")["complex_model_pt"]

    def gradient(x):
        x = x.detach().requires_grad_()
        loss = vs.sum(model(x))
        loss.backward()
        return loss.detach(), x.grad

    agrees(gradient, vs.tensor(values))


@pytest.mark.parametrize("name", ["custom_layer", "custom_derivative"])
def test_logarithms_compiled(name: str) -> None:
    program = after(name)
    layer = program["layer"] if name == "custom_layer" else program["Log"].apply

    def gradient(x):
        x = x.detach().requires_grad_()
        y = layer(x)
        vs.sum(y).backward()
        return y.detach(), x.grad

    agrees(gradient, vs.tensor([1.0, 2.0, 3.0]))


def test_making_tensors_compiled() -> None:
    def make():
        x, y = vs.rand(5, 3), vs.rand(5, 3)
        return x, y, x + y

    agrees(make)


def test_every_program_has_a_test() -> None:
    tested = {"linear_regression", "control_flow", "custom_layer", "custom_derivative", "making_tensors"}
    assert {path.stem for path in FOLDER.glob("*.py")} == tested | {"stopping_inside"}
