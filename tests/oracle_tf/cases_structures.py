"""What is compared beside single ops: loops, tapes, images, datasets, random numbers, checks."""

from typing import Any

import numpy as np
from oracle_tf.cases import add, bools, floats, ints, with_call

# Control flow -----------------------------------------------------------------------------------------------

with_call("cond", lambda tf, a: tf.cond(tf.reduce_sum(a) > 0, lambda: a * 2.0, lambda: a * a), floats(3))
with_call(
    "case", lambda tf, a: tf.case([(tf.reduce_sum(a) > 100, lambda: a)], default=lambda: a * 3.0), floats(3)
)
with_call("switch_case", lambda tf, a: tf.switch_case(tf.constant(1), [lambda: a, lambda: a * a]), floats(3))
with_call(
    "while_loop",
    lambda tf, a: tf.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, v * 1.5), (tf.constant(0), a))[1],
    floats(3),
)
with_call("map_fn", lambda tf, a: tf.map_fn(lambda v: v * tf.reduce_sum(v), a), floats(3, 2))
with_call("vectorized_map", lambda tf, a: tf.vectorized_map(lambda v: v * tf.reduce_sum(v), a), floats(3, 2))
with_call("scan", lambda tf, a: tf.scan(lambda c, v: c * 0.5 + v, a), floats(4, 2))
with_call(
    "scan",
    lambda tf, a: tf.scan(lambda c, v: c * 0.5 + v, a, initializer=tf.zeros([2]), reverse=True),
    floats(4, 2),
)
with_call("foldl", lambda tf, a: tf.foldl(lambda c, v: c * 0.5 + v, a), floats(4, 2))
with_call("foldr", lambda tf, a: tf.foldr(lambda c, v: c * 0.5 + v, a), floats(4, 2))
with_call(
    "function", lambda tf, a: tf.function(lambda v: tf.square(v) if tf.reduce_sum(v) > 0 else v)(a), floats(3)
)
with_call("group", lambda tf: [tf.group()][1:], gradient=False)


def scaled(tf: Any, a: Any) -> Any:
    @tf.custom_gradient
    def double(v: Any) -> Any:
        return v * 2.0, lambda g: g * 5.0

    return double(a)


with_call("custom_gradient", scaled, floats(3))
with_call("grad_pass_through", lambda tf, a: tf.grad_pass_through(tf.sign)(a) * a, floats(3))
with_call("recompute_grad", lambda tf, a: tf.recompute_grad(lambda v: tf.sin(v) * v)(a), floats(3))


def forward(tf: Any, a: Any) -> Any:
    with tf.autodiff.ForwardAccumulator(a, tf.ones_like(a)) as accumulator:
        y = tf.sin(a) * a
    return accumulator.jvp(y)


with_call("autodiff.ForwardAccumulator", forward, floats(3), gradient=False)


def jacobian(tf: Any, a: Any, batch: bool) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(a)
        y = tf.tanh(a) * tf.reduce_sum(a, 1, keepdims=True)
    return tape.batch_jacobian(y, a) if batch else tape.jacobian(y, a)


with_call("GradientTape.jacobian", lambda tf, a: jacobian(tf, a, False), floats(2, 3), gradient=False)
with_call("GradientTape.batch_jacobian", lambda tf, a: jacobian(tf, a, True), floats(2, 3), gradient=False)


def second(tf: Any, a: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(a)
        y = tf.reduce_sum(tf.sin(a) * a)
    return tape.gradient(y, a)


with_call("GradientTape.gradient", second, floats(4))


def variable(tf: Any, a: Any) -> Any:
    v = tf.Variable(tf.zeros_like(a))
    v.assign(a)
    v.assign_add(a)
    v.assign_sub(a * 0.25)
    v.scatter_nd_update([[1]], [5.0])
    v.scatter_nd_add([[0], [0]], [1.0, 2.0])
    return [v.value(), v.read_value(), v + 1.0, v[1:]]


with_call("Variable", variable, floats(3), gradient=False)

# Images and datasets ----------------------------------------------------------------------------------------

add(
    "image.flip_left_right image.flip_up_down image.rot90 image.per_image_standardization",
    floats(4, 5, 3),
    rtol=1e-4,
    atol=1e-5,
)
add("image.adjust_brightness", floats(2, 4, 5, 3), delta=0.3)
add("image.adjust_contrast", floats(2, 4, 5, 3), contrast_factor=2.0, gradient=False, rtol=1e-4, atol=1e-5)
add("image.rgb_to_grayscale", floats(4, 5, 3), rtol=1e-4)
add("image.central_crop", floats(6, 8, 3), central_fraction=0.5)
with_call(
    "image.crop_to_bounding_box", lambda tf, a: tf.image.crop_to_bounding_box(a, 1, 2, 2, 2), floats(4, 5, 3)
)
with_call(
    "image.pad_to_bounding_box", lambda tf, a: tf.image.pad_to_bounding_box(a, 1, 2, 7, 8), floats(4, 5, 3)
)
with_call("image.resize", lambda tf, a: tf.image.resize(a, [7, 3]), floats(2, 4, 5, 3), rtol=1e-4, atol=1e-5)
with_call(
    "image.resize",
    lambda tf, a: tf.image.resize(a, [7, 3], method="nearest"),
    floats(2, 4, 5, 3),
    gradient=False,
)
with_call(
    "image.convert_image_dtype",
    lambda tf: tf.image.convert_image_dtype(np.array([0, 128, 255], np.uint8), tf.float32),
    gradient=False,
)

numbers = floats(7, 2)


def dataset(name: str, make: Any) -> None:
    with_call(
        f"data.Dataset.{name}",
        lambda tf: [
            np.asarray(x) for e in make(tf.data.Dataset) for x in (e if isinstance(e, tuple) else (e,))
        ],
        gradient=False,
    )


slices = lambda D: D.from_tensor_slices(numbers)  # noqa: E731
dataset("from_tensor_slices", slices)
dataset("from_tensors", lambda D: D.from_tensors(numbers))
dataset("range", lambda D: D.range(2, 9, 3))
dataset("zip", lambda D: D.zip((slices(D), D.range(5))))
dataset("map", lambda D: slices(D).map(lambda v: v * 2.0))
dataset("filter", lambda D: slices(D).filter(lambda v: v[0] > 0.0))
dataset("batch", lambda D: slices(D).batch(3))
dataset("batch", lambda D: slices(D).batch(3, drop_remainder=True))
dataset("unbatch", lambda D: slices(D).batch(3).unbatch())
dataset("repeat", lambda D: slices(D).repeat(2))
dataset("take", lambda D: slices(D).take(3))
dataset("skip", lambda D: slices(D).skip(3))
dataset("enumerate", lambda D: slices(D).enumerate(2))
dataset("concatenate", lambda D: slices(D).concatenate(slices(D)))
dataset("shard", lambda D: slices(D).shard(3, 1))
dataset("cache", lambda D: slices(D).cache())
dataset("prefetch", lambda D: slices(D).prefetch(2))
dataset("flat_map", lambda D: D.range(3).flat_map(lambda n: D.range(n + 1)))
dataset(
    "interleave", lambda D: D.range(4).interleave(lambda n: D.range(n + 1), cycle_length=2, block_length=1)
)
dataset("window", lambda D: D.range(7).window(3, shift=2, drop_remainder=True).flat_map(lambda w: w.batch(3)))
with_call(
    "data.Dataset.padded_batch",
    lambda tf: [
        np.asarray(batch)
        for batch in tf.data.Dataset.range(1, 5)
        .map(lambda n: tf.fill([tf.cast(n, tf.int32)], n))
        .padded_batch(2)
    ],
    gradient=False,
)
dataset("reduce", lambda D: [D.range(5).reduce(np.int64(0), lambda s, v: s + v)])
with_call(
    "data.Dataset.cardinality",
    lambda tf: [
        np.asarray(tf.data.Dataset.range(7).batch(2).cardinality()),
        np.asarray(tf.data.Dataset.range(3).repeat().cardinality()),
    ],
    gradient=False,
)
with_call(
    "data.Dataset.shuffle",
    lambda tf: np.sort([int(v) for v in tf.data.Dataset.range(9).shuffle(4, seed=1)]),
    gradient=False,
)

# Random numbers: shapes, dtypes and bounds ------------------------------------------------------------------


def drawn(tf: Any, make: Any) -> Any:
    values = np.asarray(make(tf))
    return [np.array(values.shape), np.round(values.mean(), 1), np.round(values.std(), 1)]


for name, make in {
    "normal": lambda tf: tf.random.normal([300, 300], 1.0, 2.0),
    "uniform": lambda tf: tf.random.uniform([300, 300], -1.0, 1.0),
    "truncated_normal": lambda tf: tf.random.truncated_normal([300, 300]),
    "poisson": lambda tf: tf.random.poisson([300, 300], 3.0),
    "gamma": lambda tf: tf.random.gamma([300, 300], 2.0),
    "categorical": lambda tf: tf.random.categorical([[0.0, 0.0]], 90000),
    "stateless_normal": lambda tf: tf.random.stateless_normal([300, 300], [1, 2]),
    "stateless_uniform": lambda tf: tf.random.stateless_uniform([300, 300], [1, 2]),
    "stateless_truncated_normal": lambda tf: tf.random.stateless_truncated_normal([300, 300], [1, 2]),
    "Generator": lambda tf: tf.random.Generator.from_seed(1).normal([300, 300]),
}.items():
    with_call(f"random.{name}", lambda tf, make=make: drawn(tf, make), gradient=False)
with_call("random.shuffle", lambda tf: np.sort(np.asarray(tf.random.shuffle(tf.range(9)))), gradient=False)

# Nests, checks and the rest ---------------------------------------------------------------------------------

with_call("nest.flatten", lambda tf: tf.nest.flatten({"b": [1, (2, 3)], "a": 4}), gradient=False)
with_call(
    "nest.map_structure",
    lambda tf: tf.nest.flatten(tf.nest.map_structure(lambda u, v: u + v, [1, (2,)], [3, (4,)])),
    gradient=False,
)
with_call(
    "nest.pack_sequence_as",
    lambda tf: tf.nest.flatten(tf.nest.pack_sequence_as([1, (2, 3)], [4, 5, 6])),
    gradient=False,
)
with_call(
    "nest.assert_same_structure",
    lambda tf: [tf.nest.assert_same_structure([1, (2,)], [3, (4,)])][1:],
    gradient=False,
)
with_call(
    "nest.is_nested",
    lambda tf: [tf.nest.is_nested([1]), tf.nest.is_nested(1), tf.nest.is_nested({})],
    gradient=False,
)
for check in ["equal", "less_equal", "greater_equal", "near"]:
    with_call(
        f"debugging.assert_{check}",
        lambda tf, a, c=check: [getattr(tf.debugging, f"assert_{c}")(a, a)][1:],
        floats(3),
        gradient=False,
    )
for check in ["positive", "non_negative"]:
    with_call(
        f"debugging.assert_{check}",
        lambda tf, a, c=check: [getattr(tf.debugging, f"assert_{c}")(tf.abs(a) + 1.0)][1:],
        floats(3),
        gradient=False,
    )
for check in ["negative", "non_positive"]:
    with_call(
        f"debugging.assert_{check}",
        lambda tf, a, c=check: [getattr(tf.debugging, f"assert_{c}")(-tf.abs(a) - 1.0)][1:],
        floats(3),
        gradient=False,
    )
for check, shift in (("less", 1.0), ("greater", -1.0), ("none_equal", 1.0)):
    with_call(
        f"debugging.assert_{check}",
        lambda tf, a, c=check, s=shift: [getattr(tf.debugging, f"assert_{c}")(a, a + s)][1:],
        floats(3),
        gradient=False,
    )
with_call("debugging.check_numerics", lambda tf, a: tf.debugging.check_numerics(a, "x"), floats(3))
with_call(
    "debugging.assert_all_finite",
    lambda tf, a: tf.debugging.assert_all_finite(a, "x"),
    floats(3),
    gradient=False,
)
with_call(
    "debugging.assert_rank", lambda tf, a: [tf.debugging.assert_rank(a, 1)][1:], floats(3), gradient=False
)
with_call(
    "debugging.assert_rank_at_least",
    lambda tf, a: [tf.debugging.assert_rank_at_least(a, 1)][1:],
    floats(3),
    gradient=False,
)
with_call(
    "debugging.assert_shapes",
    lambda tf, a: [tf.debugging.assert_shapes([(a, ("N", "N"))])][1:],
    floats(3, 3),
    gradient=False,
)
with_call(
    "debugging.assert_type",
    lambda tf, a: [tf.debugging.assert_type(a, tf.float32)][1:],
    floats(3),
    gradient=False,
)
with_call(
    "debugging.assert_integer", lambda tf, a: [tf.debugging.assert_integer(a)][1:], ints(3), gradient=False
)
with_call(
    "debugging.assert_scalar", lambda tf: [tf.debugging.assert_scalar(tf.constant(2.0))][1:], gradient=False
)
with_call(
    "debugging.is_numeric_tensor", lambda tf, a: [tf.debugging.is_numeric_tensor(a)], ints(3), gradient=False
)
with_call(
    "debugging.Assert",
    lambda tf, a: [tf.debugging.Assert(tf.reduce_all(a | ~a), [a])][1:],
    bools(3),
    gradient=False,
)
with_call("Assert", lambda tf, a: [tf.Assert(tf.reduce_all(a | ~a), [a])][1:], bools(3), gradient=False)
with_call(
    "is_tensor",
    lambda tf, a: [tf.is_tensor(a), tf.is_tensor(1), tf.is_tensor(tf.Variable(1.0))],
    floats(3),
    gradient=False,
)
with_call(
    "as_dtype",
    lambda tf: [tf.as_dtype("float32").name, tf.as_dtype(np.int64).name, tf.dtypes.as_dtype(tf.bool).name],
    gradient=False,
)
with_call(
    "TensorShape",
    lambda tf: [
        tf.TensorShape([2, 3]).num_elements(),
        tf.TensorShape([2, None]).as_list()[0],
        tf.TensorShape([2, 3]).rank,
    ],
    gradient=False,
)
with_call("keras.utils.to_categorical", lambda tf: tf.keras.utils.to_categorical([0, 2, 1]), gradient=False)
with_call("keras.utils.normalize", lambda tf: tf.keras.utils.normalize(numbers), gradient=False, rtol=1e-5)


def sequential(tf: Any, a: Any) -> Any:
    model = tf.keras.Sequential([tf.keras.layers.Dense(4, activation="relu"), tf.keras.layers.Dense(2)])
    model(a)
    rs = np.random.RandomState(3)
    model.set_weights([np.float32(rs.randn(*w.shape)) for w in model.get_weights()])
    return model(a)


with_call("keras.Sequential", sequential, floats(3, 5), rtol=1e-4, atol=1e-5)


def subclassed(tf: Any, a: Any) -> Any:
    class Net(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = tf.keras.layers.Dense(4, activation="relu", kernel_initializer="ones")
            self.second = tf.keras.layers.Dense(2, kernel_initializer="ones")

        def call(self, inputs: Any) -> Any:
            return self.second(self.first(inputs))

    return Net()(a)


with_call("keras.Model", subclassed, floats(3, 5), rtol=1e-4)


def plain_module(tf: Any, a: Any) -> Any:
    class Scale(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(2.0)
            self.frozen = tf.Variable(1.0, trainable=False)

        def __call__(self, v: Any) -> Any:
            return v * self.w + self.frozen

    own = Scale()
    return [own(a), tf.constant(len(own.trainable_variables)), tf.constant(len(own.variables))]


with_call("Module", plain_module, floats(3))
