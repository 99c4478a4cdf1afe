"""Functions, data, gradients, metrics and modules, as people use them first in TensorFlow 2."""

from pathlib import Path
from typing import Any

import numpy as np
from tf.program_table import fill, floats, program, value


@program
def functions_with_signatures(tf: Any, folder: Path) -> Any:
    @tf.function(input_signature=[tf.TensorSpec(shape=[None], dtype=tf.int32)])
    def next_collatz(x: Any) -> Any:
        return tf.where(x % 2 == 0, x // 2, 3 * x + 1)

    @tf.function(input_signature=(tf.TensorSpec(shape=[], dtype=tf.float32), tf.TensorSpec([], tf.int32)))
    def power(x: Any, n: Any) -> Any:
        i, y = tf.constant(0), tf.constant(1.0)
        _, y = tf.while_loop(lambda i, y: i < n, lambda i, y: [i + 1, y * x], [i, y])
        return y

    @tf.function
    def shrink(x: Any) -> Any:
        while tf.reduce_sum(x) > 1.0:
            x = tf.tanh(x)
        return x

    @tf.function
    def fibonacci(n: int) -> Any:
        numbers = tf.TensorArray(tf.int32, size=0, dynamic_size=True)
        a, b = tf.constant(0), tf.constant(1)
        for i in range(n):
            numbers = numbers.write(i, a)
            a, b = b, a + b
        return numbers.stack()

    class Counter(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.count = tf.Variable(0)

        @tf.function
        def __call__(self, by: Any) -> Any:
            return self.count.assign_add(by)

    counter = Counter()
    for i in range(3):
        counter(tf.constant(i))
    with tf.GradientTape() as tape:
        x = tf.constant(2.0)
        tape.watch(x)
        y = power(x, tf.constant(3))
    return [
        next_collatz(tf.constant([1, 2, 7])),
        next_collatz(tf.constant([5])),
        power(tf.constant(1.5), tf.constant(5)),
        tape.gradient(y, x),
        shrink(tf.constant([1.0, 2.0])),
        shrink(tf.constant([0.1, 0.2])),
        fibonacci(8),
        counter.count,
        tf.map_fn(lambda v: v * v, tf.constant([1.0, 2.0, 3.0])),
        tf.switch_case(tf.constant(1), [lambda: tf.constant(10), lambda: tf.constant(20)]),
        tf.cond(tf.constant(3) > 2, lambda: tf.constant(1.0), lambda: tf.constant(-1.0)),
    ]


@program
def data_pipelines(tf: Any, folder: Path) -> Any:
    data = tf.data.Dataset
    numbers = data.range(10)

    def generated() -> Any:
        for i in range(4):
            yield i, [float(i)] * 2

    from_generator = data.from_generator(
        generated, output_signature=(tf.TensorSpec((), tf.int32), tf.TensorSpec((2,), tf.float32))
    )
    features = {"a": np.arange(6, dtype=np.float32), "b": floats(6, 2)}
    rows = data.from_tensor_slices((features, np.arange(6))).batch(4)
    return [
        list(numbers.map(lambda x: x * x, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator()),
        list(numbers.filter(lambda x: x % 3 == 0)),
        [tuple(b.shape) for b in numbers.batch(4, drop_remainder=True).prefetch(tf.data.AUTOTUNE)],
        list(numbers.skip(2).take(3).repeat(2)),
        sorted(int(x) for x in numbers.shuffle(10, seed=1)),
        list(data.zip((numbers, numbers.map(lambda x: -x))).take(2)),
        [(i, x) for i, x in numbers.take(2).enumerate(start=5)],
        list(numbers.batch(3).unbatch().cache().take(4)),
        numbers.reduce(np.int64(0), lambda total, x: total + x),
        list(from_generator),
        [(f["a"], f["b"], y) for f, y in rows],
        int(numbers.batch(3).cardinality()),
        list(numbers.take(2).concatenate(numbers.take(1))),
        list(numbers.flat_map(lambda x: tf.data.Dataset.from_tensors(x).repeat(2)).take(4)),
        list(numbers.shard(3, 1)),
        len(numbers),
        [tf.cast(w, tf.int32) for w in numbers.window(4, drop_remainder=True).flat_map(lambda w: w.batch(4))],
        list(
            data.from_tensor_slices([1, 2, 3]).interleave(
                lambda x: tf.data.Dataset.from_tensors(x).repeat(2), cycle_length=2
            )
        ),
    ]


@program
def custom_gradients(tf: Any, folder: Path) -> Any:
    @tf.custom_gradient
    def log1pexp(x: Any) -> Any:
        e = tf.exp(x)

        def grad(upstream: Any) -> Any:
            return upstream * (1 - 1 / (1 + e))

        return tf.math.log(1 + e), grad

    @tf.custom_gradient
    def clip_gradients(y: Any) -> Any:
        def backward(dy: Any) -> Any:
            return tf.clip_by_norm(dy, 0.5)

        return y, backward

    @tf.custom_gradient
    def two(x: Any, y: Any) -> Any:
        def grad(dz: Any, dw: Any) -> Any:
            return dz * y + dw, dz * x - dw

        return (x * y, x + y), grad

    x, v = tf.constant([0.0, 1.0, 100.0]), tf.Variable(2.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        a = log1pexp(x)
        b = clip_gradients(v * v)
        c, d = two(v, v * 3.0)
        e = tf.stop_gradient(v) * v
        with tf.GradientTape() as inner:
            f = clip_gradients(v) ** 3
        second = inner.gradient(f, v)
    return [
        tape.gradient(a, x),
        tape.gradient(b, v),
        tape.gradient([c, d], v),
        tape.gradient(e, v),
        second,
        tape.gradient(second, v),
        tape.gradient(a, v),
        tape.gradient(a, v, unconnected_gradients=tf.UnconnectedGradients.ZERO),
    ]


@program
def forward_accumulators(tf: Any, folder: Path) -> Any:
    accumulator = tf.autodiff.ForwardAccumulator
    x, v = tf.constant([[2.0, 3.0], [1.0, 4.0]]), tf.Variable([1.0, 2.0])
    c, one = tf.constant(1.1), tf.constant(1.0)
    results = []
    with accumulator(v, tf.constant([1.0, -1.0])) as acc:  # forward over backward
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(v) * v**2)
        gradient = tape.gradient(loss, v)
    results += [acc.jvp(gradient), acc.jvp(loss)]
    with tf.GradientTape() as tape:  # backward over forward
        with accumulator(v, tf.constant([1.0, -1.0])) as acc:
            loss = tf.reduce_sum(tf.sin(v) * v**2)
        slope = acc.jvp(loss)
    results.append(tape.gradient(slope, v))
    with accumulator(c, one) as outer, accumulator(c, one) as inner:
        y = c**3.5
    first = inner.jvp(y)
    results += [first, outer.jvp(y), outer.jvp(first)]
    dense = tf.keras.layers.Dense(3, kernel_initializer=tf.constant_initializer(0.3))
    dense.build((None, 2))
    kernel, bias = value(dense.kernel), value(dense.bias)
    with accumulator(kernel, tf.ones_like(kernel)) as acc:
        y = tf.tanh(dense(x))
        results.append(acc.jvp(y))
    results += [acc.jvp(y), acc.jvp(bias), acc.jvp(one, unconnected_gradients="zero")]
    with accumulator([v, c], [tf.ones([2]), one]) as acc:
        products = {"a": v * c, "b": tf.constant(2.0)}
    along = acc.jvp(products)
    results += [along["a"], along["b"], acc.jvp(v * 2.0), v, c]

    @tf.function
    def hvp(w: Any) -> Any:
        with tf.autodiff.ForwardAccumulator(w, tf.ones_like(w)) as acc:
            with tf.GradientTape() as t:
                t.watch(w)
                cube = tf.reduce_sum(w**3)
            g = t.gradient(cube, w)
        return acc.jvp(g)

    results += [hvp(tf.constant([1.0, 2.0]) * float(i + 1)) for i in range(3)]
    double = tf.function(lambda w: tf.exp(w) * 2.0)
    with accumulator(c, one) as acc:
        y = double(c)
        stopped, whole = tf.stop_gradient(c) * c, tf.cast(c, tf.int32)
    results += [acc.jvp(y), acc.jvp(stopped), acc.jvp(whole)]
    image = tf.reshape(tf.range(16.0), [1, 4, 4, 1]) / 10
    with accumulator(image, tf.ones_like(image)) as acc:
        filtered = tf.nn.relu(tf.nn.conv2d(image, tf.ones([2, 2, 1, 1]) * 0.1, 1, "VALID"))
        pooled = tf.reduce_max(filtered) + tf.reduce_mean(filtered)
    results.append(acc.jvp(pooled))
    with accumulator(x, tf.ones_like(x)) as acc:
        entropy = tf.nn.softmax_cross_entropy_with_logits(tf.constant([[1.0, 0.0], [0.0, 1.0]]), x)
        square = tf.linalg.matmul(x, x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            q = x * tf.reduce_sum(x, 1, keepdims=True)
        rows = tape.batch_jacobian(q, x)
    return [*results, acc.jvp(entropy), acc.jvp(square), acc.jvp(rows)]


@program
def metrics(tf: Any, folder: Path) -> Any:
    names = tf.keras.metrics
    y, p = np.array([0, 1, 1, 0, 1]), np.array([0.2, 0.7, 0.4, 0.6, 0.9], np.float32)
    classes = np.eye(3, dtype=np.float32)[[0, 2, 1, 2]]
    scores = floats(4, 3)
    results = []
    for metric in (
        names.BinaryAccuracy(),
        names.Precision(),
        names.Recall(),
        names.AUC(),
        names.AUC(curve="PR"),
        names.BinaryCrossentropy(),
    ):
        metric.update_state(y[:3], p[:3])
        metric.update_state(y[3:], p[3:])
        results.append(metric.result())
        metric.reset_state()
        if not metric.name.startswith("binary"):
            metric.update_state(y, p, sample_weight=[1.0, 2.0, 0.0, 1.0, 1.0])
            results.append(metric.result())
    for metric in (
        names.CategoricalAccuracy(),
        names.TopKCategoricalAccuracy(k=2),
        names.MeanSquaredError(),
        names.MeanAbsoluteError(),
        names.RootMeanSquaredError(),
        names.CosineSimilarity(axis=1),
        names.CategoricalCrossentropy(from_logits=True),
    ):
        results.append(metric(classes, scores))

    class BinaryTruePositives(names.Metric):  # type: ignore[misc, name-defined]
        def __init__(self, name: str = "binary_true_positives", **kwargs: Any) -> None:
            super().__init__(name=name, **kwargs)
            self.true_positives = self.add_weight(name="tp", initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            both = tf.logical_and(tf.cast(y_true, tf.bool), tf.cast(y_pred > 0.5, tf.bool))
            self.true_positives.assign_add(tf.reduce_sum(tf.cast(both, tf.float32)))

        def result(self) -> Any:
            return value(self.true_positives)

    positives = BinaryTruePositives()
    positives.update_state(tf.constant(y), tf.constant(p))
    positives.update_state(tf.constant(y), tf.constant(p))
    mean, total = names.Mean(), names.Sum()
    for loss in (1.0, 2.0, 6.0):
        mean.update_state(loss)
        total.update_state(loss)
    mean.update_state([1.0, 3.0], sample_weight=[0.5, 2.0])
    return [*results, positives.result(), mean.result(), total.result(), mean.name]


@program
def saved_weights(tf: Any, folder: Path) -> Any:
    def make() -> Any:
        model = tf.keras.Sequential(
            [
                tf.keras.layers.Dense(4, activation="elu"),
                tf.keras.layers.LayerNormalization(),
                tf.keras.layers.Dense(2),
            ]
        )
        model.build((None, 3))
        return model

    first, second = make(), make()
    fill(first)
    np.savez(folder / "weights.npz", *first.get_weights())
    with np.load(folder / "weights.npz") as file:
        second.set_weights([file[name] for name in file.files])
    x = tf.constant(floats(2, 3))
    layer = second.layers[0]
    kernel = layer.get_weights()[0]
    layer.trainable = False
    for target, source in zip(second.trainable_variables, first.trainable_variables[2:], strict=True):
        target.assign(value(source) * 2.0)
    return (
        first(x),
        second(x),
        kernel,
        len(second.trainable_variables),
        first.count_params(),
        [tuple(w.shape) for w in first.weights],
        [layer.built for layer in first.layers],
    )


@program
def summaries(tf: Any, folder: Path) -> Any:
    writer = tf.summary.create_file_writer(str(folder / "logs"))
    w = tf.Variable(5.0)
    optimizer = tf.optimizers.SGD(0.1, momentum=0.9)
    losses = []
    with writer.as_default():
        for step in tf.range(5, dtype=tf.int64):
            with tf.GradientTape() as tape:
                loss = (w - 1.0) ** 2
            optimizer.apply_gradients([(tape.gradient(loss, w), w)])
            tf.summary.scalar("loss", loss, step=step)
            tf.summary.histogram("w", tf.fill([3], w), step=step)
            losses.append(loss)
    writer.flush()
    return losses, w, len(list(folder.rglob("*"))) > 0


@program
def modules_and_derivatives(tf: Any, folder: Path) -> Any:
    class Dense(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self, in_features: int, out_features: int, name: str | None = None) -> None:
            super().__init__(name=name)
            self.w = tf.Variable(floats(in_features, out_features, seed=out_features, scale=0.5), name="w")
            self.b = tf.Variable(tf.zeros([out_features]), name="b")

        def __call__(self, x: Any) -> Any:
            return tf.nn.tanh(tf.matmul(x, self.w) + self.b)

    class MLP(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self, name: str | None = None) -> None:
            super().__init__(name=name)
            with self.name_scope:
                self.layers = [Dense(1, 8), Dense(8, 1)]
            self.steps = tf.Variable(0, trainable=False)

        @tf.Module.with_name_scope
        def __call__(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return x

    model = MLP("solver")
    x = tf.reshape(tf.linspace(0.0, 1.0, 7), [-1, 1])
    for _ in range(4):  # y'' = -y
        with tf.GradientTape() as outer:
            with tf.GradientTape() as second:
                second.watch(x)
                with tf.GradientTape() as first:
                    first.watch(x)
                    y = model(x)
                dy = first.gradient(y, x)
            d2y = second.gradient(dy, x)
            loss = tf.reduce_mean((d2y + y) ** 2) + tf.reduce_sum((y[0] - 1.0) ** 2)
        for v, g in zip(
            model.trainable_variables, outer.gradient(loss, model.trainable_variables), strict=True
        ):
            v.assign_sub(0.05 * g)
        model.steps.assign_add(1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = model(x) * x
    return (
        loss,
        model.steps,
        len(model.trainable_variables),
        len(model.variables),
        tape.jacobian(y, model.trainable_variables),
        tape.batch_jacobian(y, x),
        tape.jacobian(y, x, experimental_use_pfor=False),
        tape.jacobian(tf.constant(1.0), x),
    )
