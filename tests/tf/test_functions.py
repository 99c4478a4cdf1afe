"""tf.function and control flow: traces, signatures, variables made inside, bits equal to eager."""

from typing import Any

import pytest

import versant as vs
import versant.tf as tf


def test_loops_and_branches_on_tensors() -> None:
    def collatz(n: Any) -> Any:
        steps = tf.constant(0)
        while n > 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        return steps

    compiled = tf.function(collatz)
    for n in (6, 1, 7, 6):
        assert int(compiled(tf.constant(n))) == int(collatz(tf.constant(n)))


def test_while_loop_and_cond_are_one_trace() -> None:
    def settle(x: Any) -> Any:
        i, x = tf.while_loop(
            lambda i, x: tf.reduce_sum(x) > 1.0, lambda i, x: (i + 1, x * 0.5), (tf.constant(0), x)
        )
        return i, tf.cond(i > 3, lambda: x * 2.0, lambda: x)

    compiled = tf.function(settle)
    for scale in (1.0, 8.0, 100.0):
        x = tf.constant([scale, scale])
        (i, y), (j, z) = compiled(x), settle(x)
        assert int(i) == int(j)
        assert (y.numpy() == z.numpy()).all()
    assert compiled.experimental_get_tracing_count() == 1


def test_input_signature() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def total(x: Any) -> Any:
        return tf.reduce_sum(x)

    assert float(total([[1.0, 2.0]])) == 3.0
    assert float(total(tf.ones([3, 2]))) == 6.0
    for wrong in (tf.ones([3, 3]), tf.ones([3, 2], tf.float64), tf.ones([2])):
        with pytest.raises(TypeError, match="input_signature"):
            total(wrong)
    with pytest.raises(TypeError, match="1 arguments"):
        total(tf.ones([1, 2]), tf.ones([1, 2]))


def test_run_eagerly() -> None:
    seen: list[int] = []

    @tf.function
    def noted(x: Any) -> Any:
        seen.append(1)
        return x

    tf.config.run_functions_eagerly(True)
    try:
        noted(tf.ones(1))
        noted(tf.ones(1))
    finally:
        tf.config.run_functions_eagerly(False)
    assert seen == [1, 1]


def test_variables_made_in_the_first_call() -> None:
    model = tf.keras.Sequential([tf.keras.layers.Dense(3, activation="relu"), tf.keras.layers.Dense(1)])
    call = tf.function(lambda x: model(x))
    x = tf.random.normal([4, 2])
    first = call(x)
    assert all((call(x).numpy() == first.numpy()).all() for _ in range(3))
    assert len(model.trainable_variables) == 4
    assert call.experimental_get_tracing_count() == 1


def test_methods() -> None:
    class Scale(tf.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = tf.Variable(by)

        @tf.function
        def __call__(self, x: Any) -> Any:
            return x * self.by

    two, three = Scale(2.0), Scale(3.0)
    for _ in range(2):
        assert (float(two(tf.constant(1.0))), float(three(tf.constant(1.0)))) == (2.0, 3.0)
    assert two.trainable_variables == (two.by,)


def test_function_under_a_tape() -> None:
    w = tf.Variable([2.0, 3.0])
    f = tf.function(lambda x: tf.reduce_sum(tf.square(x * w)))
    for _ in range(3):
        with tf.GradientTape() as tape:
            y = f(tf.ones([2]))
        assert tape.gradient(y, w).numpy().tolist() == [4.0, 6.0]


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Lion"]
)
def test_training_is_bit_equal_in_functions(name: str) -> None:
    def trained(compiled: bool) -> list[Any]:
        tf.random.set_seed(0)
        layers = tf.keras.layers
        model = tf.keras.Sequential(
            [
                layers.Conv2D(4, 3, padding="same"),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Dropout(0.3),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
        optimizer = getattr(tf.keras.optimizers, name)(learning_rate=0.05, clipnorm=1.0)
        loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        x, y = tf.random.normal([4, 5, 5, 2]), tf.constant([0, 1, 2, 1])
        model(x)
        optimizer.build(model.trainable_variables)

        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = loss_of(y, model(x, training=True))
            optimizer.apply_gradients(
                zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
            )
            return loss

        step = tf.function(step) if compiled else step
        losses = [step(x, y).numpy() for _ in range(4)]
        assert int(optimizer.iterations) == 4
        return [*losses, *model.get_weights()]

    assert all((a == b).all() for a, b in zip(trained(False), trained(True), strict=True))


def test_map_scan_fold() -> None:
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    assert tf.map_fn(tf.reduce_sum, x).numpy().tolist() == [3.0, 7.0]
    assert tf.scan(lambda a, b: a + b, x).numpy().tolist() == [[1.0, 2.0], [4.0, 6.0]]
    assert tf.foldl(lambda a, b: a - b, x).numpy().tolist() == [-2.0, -2.0]
    with pytest.raises(TypeError, match="became"):
        tf.while_loop(lambda v: v < 3, lambda v: tf.cast(v, tf.float32), (tf.constant(0),))
    with pytest.raises(ValueError, match=r"structures differ|items stand"):
        tf.while_loop(lambda a, b: a < 3, lambda a, b: (a,), (tf.constant(0), tf.constant(1)))
    with pytest.raises(TypeError, match="functions"):
        tf.cond(tf.constant(True), 1, 2)


def test_the_call_that_creates_variables_changes_others_once() -> None:
    calls, w = tf.Variable(0.0), tf.Variable([1.0, 2.0])
    optimizer = tf.keras.optimizers.SGD(0.5, momentum=0.9)

    @tf.function
    def step(x: Any) -> Any:
        calls.assign_add(1.0)
        noise = tf.random.normal([2])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(w * x)
        optimizer.apply_gradients([(tape.gradient(loss, w), w)])
        return noise

    tf.random.set_seed(1)
    found = [step(tf.ones([2])) for _ in range(3)]
    assert float(calls) == 3.0
    assert step.experimental_get_tracing_count() == 1
    tf.random.set_seed(1)
    for noise in found:
        assert vs.equal(noise, tf.random.normal([2]))
