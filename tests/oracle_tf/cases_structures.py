"""What is compared beside single ops: loops, layers, losses, metrics, optimizers, images, datasets."""

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

# Layers -----------------------------------------------------------------------------------------------------


def layer(make: Any, *shape: int, training: Any = None, integers: bool = False, **tolerance: float) -> None:
    """Built in both frameworks, given the same weights; values and gradients of inputs."""

    def call(tf: Any, a: Any) -> Any:
        own = make(tf.keras.layers)
        kwargs = {} if training is None else {"training": training}
        own(a, **kwargs)
        rs = np.random.RandomState(3)
        own.set_weights([np.float32(np.abs(rs.randn(*w.shape)) * 0.5) for w in own.get_weights()])
        found = own(a, **kwargs)
        after = list(own.get_weights()) if training else []
        return [found, *after] if not isinstance(found, list) else [*found, *after]

    name = _name_of(make)
    array = ints(*shape, high=4) if integers else floats(*shape)
    with_call(f"keras.layers.{name}", call, array, gradient=not integers, rtol=1e-4, atol=1e-5)


def _name_of(make: Any) -> str:
    return str(make.__code__.co_names[0])


layer(lambda k: k.Dense(4, activation="relu"), 3, 5)
layer(lambda k: k.Dense(4, use_bias=False), 2, 3, 5)
layer(lambda k: k.Conv2D(4, 3, padding="same", activation="tanh"), 2, 6, 5, 3)
layer(lambda k: k.Conv2D(4, (3, 2), strides=2, groups=1), 2, 6, 5, 4)
layer(lambda k: k.Conv1D(4, 3, padding="causal"), 2, 6, 3)
layer(lambda k: k.Conv3D(2, 2), 1, 4, 4, 4, 2)
layer(lambda k: k.DepthwiseConv2D(3, depth_multiplier=2), 2, 6, 5, 3)
layer(lambda k: k.SeparableConv2D(4, 3), 2, 6, 5, 3)
layer(lambda k: k.Conv2DTranspose(4, 3, strides=2, padding="same"), 2, 4, 3, 3)
layer(lambda k: k.Conv2DTranspose(4, 3, strides=2), 2, 4, 3, 3)
layer(lambda k: k.BatchNormalization(), 4, 3, training=True)
layer(lambda k: k.BatchNormalization(), 2, 4, 4, 3, training=False)
layer(lambda k: k.LayerNormalization(), 3, 4)
layer(lambda k: k.GroupNormalization(2), 2, 4, 4, 6)
layer(lambda k: k.UnitNormalization(), 3, 4)
layer(lambda k: k.Embedding(4, 3), 2, 5, integers=True)
layer(lambda k: k.SimpleRNN(4), 2, 5, 3)
layer(lambda k: k.LSTM(4, return_sequences=True), 2, 5, 3)
layer(lambda k: k.LSTM(4, return_state=True), 2, 5, 3)
layer(lambda k: k.GRU(4), 2, 5, 3)
for n in (1, 2, 3):
    sizes = (2, *(4,) * n, 3)
    for kind in ("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling"):
        with_call(
            f"keras.layers.{kind}{n}D",
            lambda tf, a, name=f"{kind}{n}D": getattr(tf.keras.layers, name)(
                *(() if "Global" in name else (2,))
            )(a),
            floats(*sizes),
        )
for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
    with_call(
        f"keras.layers.{kind}",
        lambda tf, a, b, name=kind: getattr(tf.keras.layers, name)()([a, b]),
        floats(2, 3),
        floats(2, 3),
    )
with_call(
    "keras.layers.Dot", lambda tf, a, b: tf.keras.layers.Dot(axes=1)([a, b]), floats(2, 3), floats(2, 3)
)
layer(lambda k: k.Flatten(), 2, 3, 4)
layer(lambda k: k.Reshape((4, -1)), 2, 3, 4)
layer(lambda k: k.Permute((2, 1)), 2, 3, 4)
layer(lambda k: k.RepeatVector(3), 2, 4)
layer(lambda k: k.Rescaling(0.5, 1.0), 2, 4)
layer(lambda k: k.Activation("selu"), 2, 4)
layer(lambda k: k.ReLU(max_value=1.0, negative_slope=0.1), 2, 4)
layer(lambda k: k.LeakyReLU(), 2, 4)
layer(lambda k: k.ELU(), 2, 4)
layer(lambda k: k.Softmax(), 2, 4)
layer(lambda k: k.Dropout(0.5), 2, 4, training=False)
layer(lambda k: k.GaussianNoise(0.5), 2, 4, training=False)
layer(lambda k: k.Identity(), 2, 4)
layer(lambda k: k.ZeroPadding2D(((1, 2), (0, 1))), 1, 3, 3, 2)
layer(lambda k: k.Cropping2D(((1, 0), (0, 1))), 1, 3, 3, 2)
layer(lambda k: k.UpSampling2D(2), 1, 3, 3, 2)
with_call("keras.layers.Lambda", lambda tf, a: tf.keras.layers.Lambda(lambda v: v * 2.0)(a), floats(3))
for name in [
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
]:
    with_call(
        f"keras.activations.{name}",
        lambda tf, a, name=name: getattr(tf.keras.activations, name)(a),
        floats(3, 4),
    )
for name in ("l1", "l2", "L1", "L2"):
    with_call(
        f"keras.regularizers.{name}",
        lambda tf, a, name=name: getattr(tf.keras.regularizers, name)(0.1)(a),
        floats(3),
    )
with_call("keras.regularizers.L1L2", lambda tf, a: tf.keras.regularizers.L1L2(0.1, 0.2)(a), floats(3))
for name in ("zeros", "ones", "Zeros", "Ones"):
    with_call(
        f"keras.initializers.{name}",
        lambda tf, name=name: getattr(tf.keras.initializers, name)()([2, 3]),
        gradient=False,
    )
with_call(
    "keras.initializers.Constant", lambda tf: tf.keras.initializers.Constant(2.5)([2, 3]), gradient=False
)


def spread(tf: Any, name: str) -> Any:
    """Random values differ; their mean and deviation agree."""
    values = np.asarray(getattr(tf.keras.initializers, name)()([200, 300]))
    return [np.round(values.mean(), 1), np.round(values.std() * 4, 1) / 4]


for name in [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
]:
    with_call(f"keras.initializers.{name}", lambda tf, name=name: spread(tf, name), gradient=False)

# Losses and metrics -----------------------------------------------------------------------------------------

LOSSES = """mse mae mape msle hinge squared_hinge categorical_hinge huber logcosh kld poisson
cosine_similarity categorical_crossentropy binary_crossentropy binary_focal_crossentropy MSE
MAE MAPE MSLE KLD kullback_leibler_divergence"""
CLASSES = """MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError
Hinge SquaredHinge CategoricalHinge Huber LogCosh KLDivergence Poisson CosineSimilarity
CategoricalCrossentropy BinaryCrossentropy BinaryFocalCrossentropy"""
true = np.eye(4, dtype=np.float32)[[0, 2, 3]]
scores = floats(3, 4, low=0.05, high=0.95)
for name in LOSSES.split():
    with_call(
        f"keras.losses.{name}",
        lambda tf, p, name=name: getattr(tf.keras.losses, name)(true, p),
        scores,
        rtol=1e-4,
    )
for name in CLASSES.split():
    for options in ({}, {"reduction": "sum"}):
        with_call(
            f"keras.losses.{name}",
            lambda tf, p, name=name, o=options: getattr(tf.keras.losses, name)(**o)(
                true, p, sample_weight=np.array([1.0, 0.5, 2.0], np.float32)
            ),
            scores,
            rtol=1e-4,
        )
for logits in (False, True):
    with_call(
        "keras.losses.SparseCategoricalCrossentropy",
        lambda tf, p, f=logits: tf.keras.losses.SparseCategoricalCrossentropy(from_logits=f)(
            np.array([0, 2, 3]), p
        ),
        scores,
        rtol=1e-4,
    )
    with_call(
        "keras.losses.sparse_categorical_crossentropy",
        lambda tf, p, f=logits: tf.keras.losses.sparse_categorical_crossentropy(
            np.array([0, 2, 3]), p, from_logits=f
        ),
        scores,
        rtol=1e-4,
    )
    with_call(
        "keras.losses.CategoricalCrossentropy",
        lambda tf, p, f=logits: tf.keras.losses.CategoricalCrossentropy(from_logits=f, label_smoothing=0.1)(
            true, p
        ),
        scores,
        rtol=1e-4,
    )
    with_call(
        "keras.losses.BinaryCrossentropy",
        lambda tf, p, f=logits: tf.keras.losses.BinaryCrossentropy(from_logits=f, label_smoothing=0.1)(
            true, p
        ),
        scores,
        rtol=1e-4,
    )


def metric(name: str, labels: Any, predictions: Any, **kwargs: Any) -> None:
    def call(tf: Any) -> Any:
        own = getattr(tf.keras.metrics, name)(**kwargs)
        own.update_state(labels, predictions)
        own.update_state(labels[:2], predictions[:2])
        first = own.result()
        own.reset_state()
        own.update_state(labels[1:], predictions[1:])
        return [first, own.result()]

    with_call(f"keras.metrics.{name}", call, gradient=False, rtol=1e-4)


for name in [
    "MeanSquaredError",
    "MeanAbsoluteError",
    "RootMeanSquaredError",
    "KLDivergence",
    "CosineSimilarity",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "Precision",
    "Recall",
    "TruePositives",
    "FalsePositives",
    "TrueNegatives",
    "FalseNegatives",
]:
    metric(name, true, scores)
metric("TopKCategoricalAccuracy", true, scores, k=2)
metric("SparseTopKCategoricalAccuracy", np.array([0, 2, 3]), scores, k=2)
metric("SparseCategoricalAccuracy", np.array([0, 2, 3]), scores)
metric("SparseCategoricalCrossentropy", np.array([0, 2, 3]), scores)
metric("Accuracy", np.float32(ints(3, 4, high=2)), np.float32(ints(3, 4, high=2)))
for name in ("Mean", "Sum"):

    def gathered(tf: Any, name: str = name) -> Any:
        own = getattr(tf.keras.metrics, name)()
        own.update_state([1.0, 2.0, 6.0])
        own.update_state([3.0], sample_weight=[0.5])
        return own.result()

    with_call(f"keras.metrics.{name}", gathered, gradient=False)

# Optimizers -------------------------------------------------------------------------------------------------


def optimizer(name: str, **kwargs: Any) -> None:
    """Five steps on two variables."""

    def call(tf: Any, a: Any, b: Any) -> Any:
        own = getattr(tf.keras.optimizers, name)(**kwargs)
        v, w = tf.Variable(a), tf.Variable(b)
        for i in range(5):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(v - 0.3) * (1.0 + 0.1 * i)) + tf.reduce_sum(tf.sin(w))
            own.apply_gradients(zip(tape.gradient(loss, [v, w]), [v, w], strict=True))
        return [v.value(), w.value()]

    with_call(f"keras.optimizers.{name}", call, floats(3, 2), floats(4), gradient=False, rtol=1e-4, atol=1e-5)


optimizer("SGD")
optimizer("SGD", momentum=0.9)
optimizer("SGD", momentum=0.9, nesterov=True, weight_decay=0.01)
optimizer("Adam", learning_rate=0.1)
optimizer("Adam", amsgrad=True, clipnorm=0.1)
optimizer("AdamW", learning_rate=0.1)
optimizer("Nadam", learning_rate=0.1)
optimizer("Adamax", learning_rate=0.1)
optimizer("RMSprop", learning_rate=0.1)
optimizer("RMSprop", momentum=0.9, centered=True, clipvalue=0.5)
optimizer("Adagrad", learning_rate=0.1)
optimizer("Adadelta", learning_rate=0.1, global_clipnorm=0.5)
optimizer("Lion", learning_rate=0.1)
for name, arguments in {
    "ExponentialDecay": (0.1, 10, 0.5, True),
    "InverseTimeDecay": (0.1, 10, 0.5),
    "PolynomialDecay": (0.1, 10),
    "PiecewiseConstantDecay": ([3, 7], [1.0, 0.5, 0.1]),
    "CosineDecay": (0.1, 10, 0.1),
}.items():
    with_call(
        f"keras.optimizers.schedules.{name}",
        lambda tf, n=name, a=arguments: [
            np.float32(getattr(tf.keras.optimizers.schedules, n)(*a)(step)) for step in (0, 3, 4, 12)
        ],
        gradient=False,
        rtol=1e-5,
    )

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
dataset("padded_batch", lambda D: D.range(1, 5).batch(2))
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
