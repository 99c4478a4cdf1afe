"""TensorFlow's first programs run as they are, alone and inside of compiled functions."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import versant as vs
import versant.tf as tf

FOLDER = Path(__file__).parents[2] / "examples" / "first_programs" / "tensorflow"


def after(name: str) -> dict[str, Any]:
    """The global names that a program leaves behind."""
    return runpy.run_path(str(FOLDER / f"{name}.py"))


def test_linear_regression() -> None:
    tf.random.set_seed(0)
    w = float(tf.random.normal([1, 1]))
    tf.random.set_seed(0)
    program = after("linear_regression")
    errors = [w * x - 2.0 * x for x in (1.0, 2.0, 3.0)]
    grad_w = sum(2 * e * x for e, x in zip(errors, (1.0, 2.0, 3.0), strict=True)) / 3
    grad_b = sum(2 * e for e in errors) / 3
    assert float(program["loss"]) == pytest.approx(sum(e * e for e in errors) / 3, rel=1e-5)
    assert float(program["grad_w"]) == pytest.approx(grad_w, rel=1e-5)
    assert float(program["w"]) == pytest.approx(w - 0.01 * grad_w, rel=1e-5)
    assert float(program["b"]) == pytest.approx(-0.01 * grad_b, rel=1e-5)


def test_control_flow() -> None:
    program = after("control_flow")
    assert float(program["loss"]) == 30.0
    assert program["grads"].numpy().tolist() == [2.0, 4.0, 6.0, 8.0]
    assert program["complex_model"](tf.constant([4.0])).numpy().tolist() == [2.0]


def test_custom_layer() -> None:
    program = after("custom_layer")
    assert program["grads"].numpy().tolist() == pytest.approx([1.0, 1 / 2, 1 / 3])
    assert program["y"].shape == [3]


def test_making_tensors() -> None:
    program = after("making_tensors")
    assert program["z"].shape == (5, 3)
    assert (program["z"].numpy() == program["x"].numpy() + program["y"].numpy()).all()


def test_stopping_inside(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(vs.__file__).parents[1])}
    subprocess.run(
        [sys.executable, str(FOLDER / "stopping_inside.py")], cwd=tmp_path, env=environment, check=True
    )
    lines = [json.loads(line) for line in (tmp_path / "dump_folder" / "ops.jsonl").read_text().splitlines()]
    assert [10, 111, 111, 8] in [output["shape"] for line in lines for output in line["outputs"]]


@pytest.mark.parametrize("compiled", [tf.function, vs.compile], ids=["function", "compile"])
def test_linear_regression_compiled(compiled: Any) -> None:
    x, y = tf.constant([[1.0], [2.0], [3.0]]), tf.constant([[2.0], [4.0], [6.0]])

    def trained(wrap: Any) -> list[Any]:
        w, b = tf.Variable([[0.3]]), tf.Variable([0.1])
        optimizer = tf.optimizers.SGD(learning_rate=0.01, momentum=0.9)
        optimizer.build([w, b])

        def step() -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(tf.matmul(x, w) + b - y))
            optimizer.apply_gradients(zip(tape.gradient(loss, [w, b]), [w, b], strict=True))
            return loss

        step = wrap(step)
        losses = [step().numpy() for _ in range(5)]
        return [*losses, w.numpy(), b.numpy()]

    eager, replayed = trained(lambda f: f), trained(compiled)
    assert all((a == b).all() for a, b in zip(eager, replayed, strict=True))


@pytest.mark.parametrize("compiled", [tf.function, vs.compile], ids=["function", "compile"])
def test_control_flow_compiled(compiled: Any) -> None:
    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(x) if tf.reduce_sum(x) > 5 else tf.sqrt(x))
        return tape.gradient(loss, x)

    replayed = compiled(gradient)
    for values in ([1.0, 2.0, 3.0, 4.0], [0.25, 1.0], [4.0, 9.0], [1.0, 1.0], [0.5, 0.1]):
        x = tf.constant(values)
        found = replayed(x)
        assert isinstance(found, tf.Tensor)
        assert (found.numpy() == gradient(x).numpy()).all()


@pytest.mark.parametrize("compiled", [tf.function, vs.compile], ids=["function", "compile"])
def test_custom_layer_compiled(compiled: Any) -> None:
    class Log(tf.keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return tf.math.log(inputs)

    layer, x = Log(), tf.Variable([1.0, 2.0, 3.0])
    layer(x)

    def gradient() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, x)

    replayed = compiled(gradient)
    assert all((replayed().numpy() == gradient().numpy()).all() for _ in range(3))


def test_random_tensors_compiled() -> None:
    def draw() -> Any:
        return tf.add(tf.random.normal([5, 3]), tf.random.uniform([5, 3]))

    tf.random.set_seed(3)
    eager = [draw().numpy() for _ in range(3)]
    tf.random.set_seed(3)
    replayed = tf.function(draw)
    assert all((replayed().numpy() == one).all() for one in eager)
