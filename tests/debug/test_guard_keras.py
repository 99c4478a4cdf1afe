"""nan_guard and recordings name the layer in programs of TensorFlow's dialect, eager and compiled."""

from typing import Any

import pytest
from debug.planted import marked_line

import versant as vs
import versant.tf as tf
from versant.debug import NonFiniteError, nan_guard

KINDS = ["eager", "tf.function", "compile"]


class Block(tf.keras.layers.Layer):
    """A layer whose temperature may be 0; back: only the gradient is infinite then."""

    def __init__(self, back: bool = False) -> None:
        super().__init__()
        self.dense = tf.keras.layers.Dense(4)
        self.temperature = tf.Variable(1.0, trainable=False)
        self.back = back

    def call(self, x: Any) -> Any:
        x = self.dense(x)
        if self.back:
            return gives_infinite_slope(x, self.temperature)
        return tf.nn.tanh(x / self.temperature)  # planted


def gives_infinite_slope(x: Any, temperature: Any) -> Any:
    return tf.sqrt(tf.abs(x) * temperature)  # planted


class Net(tf.keras.Model):
    def __init__(self, back: bool) -> None:
        super().__init__()
        self.first = tf.keras.layers.Dense(4, activation="tanh")
        self.blocks = [Block(), Block(back)]

    def call(self, x: Any) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x


def training(model: Any, kind: str) -> Any:
    optimizer = tf.keras.optimizers.Adam(1e-3)

    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))  # planted
        return loss

    model(tf.ones([8, 4]))
    optimizer.build(model.trainable_variables)
    return {"eager": step, "tf.function": tf.function(step), "compile": vs.compile(step)}[kind]


def caught(step: Any, plant: Any) -> NonFiniteError:
    x = tf.random.normal([8, 4], seed=0)
    with nan_guard():
        for _ in range(3):
            step(x)
        plant()
        with pytest.raises(NonFiniteError) as caught:
            step(x)
    return caught.value


def line_of(error: NonFiniteError) -> str:
    return error.line.rpartition("/")[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("back", [False, True])
def test_the_layer_is_named(kind, back):
    tf.random.set_seed(0)
    model = Net(back)
    error = caught(training(model, kind), lambda: model.blocks[1].temperature.assign(0.0))
    assert (error.module, error.back) == ("Net.blocks.1", back)
    assert error.op == ("sqrt" if back else "div")
    assert line_of(error) == marked_line(gives_infinite_slope if back else Block.call)
    if not back:
        assert error.operands[1].name == "Net.blocks.1.temperature"


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_of_a_sequential_has_its_own_name(kind):
    tf.random.set_seed(0)
    scale = tf.Variable(1.0, trainable=False)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Dense(4),
            layers.BatchNormalization(name="norm"),
            layers.Dense(4, activation=lambda x: tf.math.log(tf.sigmoid(x) * scale), name="logs"),  # planted
        ]
    )
    error = caught(training(model, kind), lambda: scale.assign(-1.0))
    assert (error.op, error.kind, error.module) == ("log", "NaN", "Sequential.logs")
    assert line_of(error) == marked_line(test_a_layer_of_a_sequential_has_its_own_name)


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_names_the_variable(kind):
    tf.random.set_seed(0)
    model = tf.keras.Sequential([tf.keras.layers.Dense(4), tf.keras.layers.Dense(1, name="head")])
    step = training(model, kind)
    error = caught(step, lambda: model.layers[1].kernel.assign(tf.fill([4, 1], 3e38)))
    assert error.kind == "Inf"
    assert any(getattr(operand, "name", "") == "Sequential.head.kernel" for operand in error.operands)


@pytest.mark.parametrize("kind", KINDS)
def test_recordings_name_layers(kind, tmp_path):
    tf.random.set_seed(0)
    model = Net(False)
    step = training(model, kind)
    x = tf.ones([8, 4])
    step(x), step(x)
    with vs.debug.record(tmp_path / "run") as recorder:
        step(x)
        recorder.step()
    modules = {kind.module for kind in vs.debug.Recording(tmp_path / "run").kinds.values()}
    assert {"Net.first", "Net.blocks.0.dense", "Net.blocks.1"} <= modules


def test_a_weight_without_an_attribute_is_named_as_it_was_made():
    class Scaled(tf.keras.layers.Layer):
        def build(self, shape):
            self.add_weight((shape[-1],), "ones", name="scale")

        def call(self, x):
            return tf.sqrt(x * self.weights[0])

    layer = Scaled()
    layer(tf.ones([2]))
    layer.weights[0].assign([-1.0, 1.0])
    with nan_guard(), pytest.raises(NonFiniteError) as caught:
        layer(tf.ones([2]))
    assert (caught.value.op, caught.value.module) == ("sqrt", "Scaled")
    layer.weights[0].assign([3e38, 1.0])
    with nan_guard(), pytest.raises(NonFiniteError) as caught:
        layer(tf.fill([2], 3e38))
    assert caught.value.operands[1].name == "Scaled.scale"
