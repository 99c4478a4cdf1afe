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


def test_every_program_has_a_test() -> None:
    tested = {"linear_regression", "control_flow", "custom_layer", "custom_derivative", "making_tensors"}
    assert {path.stem for path in FOLDER.glob("*.py")} == tested | {"stopping_inside"}
