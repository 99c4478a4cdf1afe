"""What is compared of Keras: layers, activations, initial values, losses, metrics, optimizers."""

from typing import Any

import numpy as np
from oracle_tf.cases import floats, ints, with_call

from versant.tf.keras import activations

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
for name in [name for name in activations.__all__ if name not in ("deserialize", "get", "serialize")]:
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
