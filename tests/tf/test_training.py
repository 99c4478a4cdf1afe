"""Layers, models, optimizers, losses, datasets, debugging and summaries in use."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import versant.tf as tf
from tests.utils.event_files import fields, values


def test_model_learns() -> None:
    tf.random.set_seed(0)

    class Net(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = tf.keras.layers.Dense(16, activation="tanh")
            self.out = tf.keras.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.out(self.hidden(inputs))

    x = tf.random.uniform([128, 2], -1.0, 1.0)
    y = x[:, :1] * x[:, 1:]
    model, optimizer = Net(), tf.keras.optimizers.Adam(0.02)
    first = None
    for _ in range(15):
        for a, b in tf.data.Dataset.from_tensor_slices((x, y)).shuffle(128, seed=1).batch(32):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(a) - b))
            optimizer.minimize(loss, model.trainable_variables, tape=tape)
            first = first or float(loss)
    assert float(loss) < 0.3 * first
    assert int(optimizer.iterations) == 60
    assert len(model.layers) == 2


def test_weights_travel(tmp_path: Path) -> None:
    one, other = (tf.keras.Sequential([tf.keras.layers.Dense(3), tf.keras.layers.Dense(2)]) for _ in range(2))
    x = tf.random.normal([4, 5])
    one(x), other(x)
    other.set_weights(one.get_weights())
    assert (one(x).numpy() == other(x).numpy()).all()
    one.save_weights(tmp_path / "weights.safetensors")
    other.layers[0].kernel.assign(tf.zeros([5, 3]))
    other.load_weights(tmp_path / "weights.safetensors")
    assert (one(x).numpy() == other(x).numpy()).all()
    with pytest.raises(ValueError, match="weights"):
        one.set_weights([])


def test_frozen_layers_and_penalties() -> None:
    layer = tf.keras.layers.Dense(2, kernel_regularizer=tf.keras.regularizers.L2(0.5))
    model = tf.keras.Sequential([layer, tf.keras.layers.Dense(1)])
    model(tf.ones([1, 3]))
    assert float(model.losses[0]) == pytest.approx(0.5 * (layer.kernel.numpy() ** 2).sum(), rel=1e-5)
    layer.trainable = False
    assert len(model.trainable_variables) == 2
    assert len(model.non_trainable_variables) == 2
    assert model.count_params() == 3 * 2 + 2 + 2 + 1


def test_layers_refuse() -> None:
    dense = tf.keras.layers.Dense(2)
    dense(tf.ones([1, 3]))
    with pytest.raises(ValueError, match=r"\[Dense\] expected a last axis of size 3"):
        dense(tf.ones([1, 4]))
    for make in (
        lambda: tf.keras.layers.Dense(0),
        lambda: tf.keras.layers.Dropout(2.0),
        lambda: tf.keras.layers.Dense(2, wrong=1),
    ):
        with pytest.raises(ValueError, match=r"\["):
            make()


def test_optimizers_refuse() -> None:
    v, w = tf.Variable([1.0]), tf.Variable([1.0])
    optimizer = tf.keras.optimizers.SGD(0.1)
    optimizer.apply_gradients([(tf.constant([1.0]), v)])
    with pytest.raises(ValueError, match="unknown variable"):
        optimizer.apply_gradients([(tf.constant([1.0]), w)])
    with pytest.raises(ValueError, match="no gradients"):
        optimizer.apply_gradients([(None, v)])
    with pytest.raises(ValueError, match="shape"):
        optimizer.apply_gradients([(tf.constant([1.0, 2.0]), v)])
    with pytest.raises(ValueError, match="momentum"):
        tf.keras.optimizers.SGD(momentum=2.0)


def test_learning_rates() -> None:
    v = tf.Variable([1.0])
    schedule = tf.keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    optimizer = tf.keras.optimizers.SGD(schedule)
    step = tf.function(lambda: optimizer.apply_gradients([(tf.constant([1.0]), v)]))
    values = []
    for _ in range(4):
        step()
        values.append(float(v))
    assert values == [0.0, -0.5, -0.75, -0.875]
    optimizer.learning_rate = 0.25
    step()
    optimizer.learning_rate.assign(1.0)
    step()
    assert float(v) == -2.125


def test_datasets() -> None:
    data = tf.data.Dataset
    order = [int(n) for n in data.range(100).shuffle(100, seed=3)]
    assert order != list(range(100))
    assert sorted(order) == list(range(100))
    shuffled = data.range(100).shuffle(10, seed=3)
    assert [int(n) for n in shuffled] != [int(n) for n in shuffled]
    calls: list[int] = []

    def noted(n: Any) -> Any:
        calls.append(1)
        return n

    cached = data.range(3).map(noted).cache().repeat(2)
    assert [int(n) for n in cached] == [0, 1, 2, 0, 1, 2]
    assert len(calls) == 3
    assert len(data.range(10).batch(3)) == 4
    assert data.range(4).batch(2).element_spec == tf.TensorSpec([2], tf.int64)
    pairs = data.from_tensor_slices({"a": [1, 2], "b": [[1.0], [2.0]]}).batch(2)
    assert next(iter(pairs))["b"].shape == [2, 1]
    with pytest.raises(ValueError, match="first axes differ"):
        data.from_tensor_slices(([1, 2], [1]))
    with pytest.raises(ValueError, match="different shapes"):
        list(data.from_tensor_slices([1, 2]).map(lambda n: tf.zeros([int(n)])).batch(2))
    with pytest.raises(TypeError, match="no end"):
        len(data.range(2).repeat())


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        ("assert_equal", (1, 2)),
        ("assert_less", (2, 1)),
        ("assert_positive", (-1.0,)),
        ("assert_near", (1.0, 1.1)),
        ("check_numerics", (float("nan"), "loss")),
        ("Assert", (False, ["said"])),
    ],
)
def test_assertions(check: str, bad: tuple[Any, ...]) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"\[{check}|\[assert"):
        getattr(tf.debugging, check)(*bad)


def test_check_numerics_names_the_line() -> None:
    tf.debugging.enable_check_numerics()
    try:
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[log\].*Inf.*test_training.py"):
            tf.math.log(tf.constant(0.0))
    finally:
        tf.debugging.disable_check_numerics()
    assert np.isinf(tf.math.log(tf.constant(0.0)).numpy())


def test_dumps(tmp_path: Path) -> None:
    tf.debugging.enable_dump_debug_info(tmp_path, "FULL_TENSOR", circular_buffer_size=-1)
    try:
        tf.square(tf.constant([1.0, float("nan")])) + 1.0
    finally:
        tf.debugging.disable_dump_debug_info()
    tf.square(tf.constant([5.0]))
    lines = [json.loads(line) for line in (tmp_path / "ops.jsonl").read_text().splitlines()]
    assert [line["op"] for line in lines] == ["square", "add"]
    assert lines[0]["outputs"][0]["nan"] == 1
    assert "test_training.py" in lines[0]["line"]


def test_summaries(tmp_path: Path) -> None:
    writer = tf.summary.create_file_writer(tmp_path)
    assert not tf.summary.scalar("loss", 1.0, step=1)
    with writer.as_default():
        assert tf.summary.scalar("loss", tf.constant(0.5), step=3)
        tf.summary.histogram("w", tf.constant([1.0, 2.0]), step=3, buckets=2)
        tf.summary.text("note", "hello", step=4)
        tf.summary.image("picture", tf.ones([5, 2, 3, 1]), step=4)
    loss, weights, note, picture = values(tmp_path)
    assert loss[:2] == (3, "loss")
    assert dict(fields(loss[2][8]))[5] == struct.pack("<f", 0.5)
    assert b"scalars" in loss[2][9]
    rows = np.frombuffer(dict(fields(weights[2][8]))[6]).reshape(2, 3)
    assert rows.tolist() == [[1.0, 1.5, 1.0], [1.5, 2.0, 1.0]]
    assert dict(fields(note[2][8]))[8] == b"hello"
    strings = [value for number, value in fields(picture[2][8]) if number == 8]
    assert [strings[:2], len(strings)] == [[b"3", b"2"], 5]
    writer.close()
    with writer.as_default(), pytest.raises(RuntimeError, match="the writer is closed"):
        tf.summary.scalar("loss", 1.0, step=1)


def test_forward_accumulator() -> None:
    x, t = tf.constant([1.0, 2.0]), tf.constant([1.0, 10.0])
    with tf.autodiff.ForwardAccumulator(x, t) as accumulator:
        y = x * x
        z = tf.reduce_sum(y)
    assert accumulator.jvp(y).numpy().tolist() == [2.0, 40.0]
    assert float(accumulator.jvp(z)) == 42.0
    assert accumulator.jvp(tf.constant(1.0)) is None
