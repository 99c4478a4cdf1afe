"""Training by hand in TensorFlow 2: sequences, images, embeddings, distillation, policies."""

from pathlib import Path
from typing import Any

import numpy as np
from tf.program_table import fill, floats, program, value


def trained(tf: Any, model: Any, optimizer: Any, loss_of: Any, steps: int = 3) -> Any:
    """Losses of some steps, in a tf.function, and the weights afterwards."""

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of()
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return [step() for _ in range(steps)], model.get_weights()


@program
def sentiment_of_sentences(tf: Any, folder: Path) -> Any:
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Embedding(20, 6),
            layers.LSTM(5, return_sequences=True),
            layers.GRU(4),
            layers.Dense(3, activation="relu", kernel_regularizer=tf.keras.regularizers.L2(0.01)),
            layers.Dense(1),
        ]
    )
    text = tf.constant(np.random.RandomState(0).randint(0, 20, (8, 7)))
    labels = tf.cast(tf.reduce_sum(text, axis=1, keepdims=True) % 2, tf.float32)
    model(text)
    fill(model)
    bce = tf.keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)

    def loss_of() -> Any:
        return bce(labels, model(text, training=True)) + tf.add_n(model.losses)

    return trained(tf, model, tf.keras.optimizers.RMSprop(0.01, rho=0.8, epsilon=1e-3), loss_of)


@program
def segmentation(tf: Any, folder: Path) -> Any:
    layers = tf.keras.layers

    class UNet(tf.keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.down = layers.Conv2D(4, 3, padding="same", activation="relu")
            self.pool = layers.MaxPooling2D()
            self.middle = layers.SeparableConv2D(6, 3, padding="same")
            self.norm = layers.BatchNormalization(momentum=0.9)
            self.up = layers.Conv2DTranspose(4, 2, strides=2)
            self.join = layers.Concatenate()
            self.out = layers.Conv2D(1, 1)

        def call(self, x: Any, training: bool = False) -> Any:
            skip = self.down(x)
            x = tf.nn.elu(self.norm(self.middle(self.pool(skip)), training=training))
            return self.out(self.join([self.up(x), skip]))

    model = UNet()
    images = tf.constant(floats(2, 8, 8, 2))
    masks = tf.cast(images[..., :1] > 0.2, tf.float32)
    model(images)
    fill(model)

    def loss_of() -> Any:
        logits = model(images, training=True)
        shares = tf.sigmoid(logits)
        both = tf.reduce_sum(shares * masks, axis=[1, 2, 3])
        dice = 1 - (2 * both + 1) / (
            tf.reduce_sum(shares, axis=[1, 2, 3]) + tf.reduce_sum(masks, axis=[1, 2, 3]) + 1
        )
        cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=masks, logits=logits)
        return tf.reduce_mean(dice) + tf.reduce_mean(cross)

    losses, _ = trained(tf, model, tf.keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True), loss_of)
    return losses, model(images), [tf.identity(value(w)) for w in model.non_trainable_variables]


@program
def factors_of_ratings(tf: Any, folder: Path) -> Any:
    users, items = tf.Variable(floats(6, 3)), tf.Variable(floats(5, 3, seed=1))
    offsets = tf.Variable(tf.zeros([6]))
    rows = np.random.RandomState(2)
    who, what = tf.constant(rows.randint(0, 6, 12)), tf.constant(rows.randint(0, 5, 12))
    stars = tf.constant(floats(12, seed=3))
    optimizer = tf.keras.optimizers.Adagrad(0.1)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            u, v = tf.nn.embedding_lookup(users, who), tf.gather(items, what)
            guess = tf.reduce_sum(u * v, axis=1) + tf.gather(offsets, who)
            loss = tf.reduce_mean(tf.math.squared_difference(guess, stars)) + 0.01 * tf.nn.l2_loss(u)
        gradients = tape.gradient(loss, [users, items, offsets])
        gradients = [tf.convert_to_tensor(g) for g in gradients]
        optimizer.apply_gradients(zip(gradients, [users, items, offsets], strict=True))
        return loss

    best = tf.math.top_k(tf.matmul(users, items, transpose_b=True), k=2)
    return [step() for _ in range(4)], users, items, offsets, best.values, best.indices


@program
def words_in_context(tf: Any, folder: Path) -> Any:
    inside, outside = tf.Variable(floats(9, 4)), tf.Variable(floats(9, 4, seed=1))
    rows = np.random.RandomState(5)
    centre, near, noise = (tf.constant(rows.randint(0, 9, shape)) for shape in (10, (10, 1), (10, 3)))
    rate = tf.Variable(0.5, trainable=False)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            at = tf.nn.embedding_lookup(inside, centre)
            others = tf.nn.embedding_lookup(outside, tf.concat([near, noise], axis=1))
            logits = tf.einsum("nd,nkd->nk", at, others)
            labels = tf.one_hot(tf.zeros([10], tf.int32), 4)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))
        for variable, g in zip((inside, outside), tape.gradient(loss, (inside, outside)), strict=True):
            variable.assign_sub(rate * tf.convert_to_tensor(g))
        rate.assign(rate * 0.9)
        return loss

    losses = [step() for _ in range(4)]
    unit = tf.math.l2_normalize(inside, axis=1)
    return losses, rate, tf.matmul(unit, unit, transpose_b=True)


@program
def a_policy_by_its_returns(tf: Any, folder: Path) -> Any:
    model = tf.keras.Sequential([tf.keras.layers.Dense(5, activation="tanh"), tf.keras.layers.Dense(2)])
    model.build((None, 3))
    fill(model)
    states, actions = tf.constant(floats(7, 3)), tf.constant([0, 1, 1, 0, 1, 0, 0])
    rewards = tf.constant(floats(7, seed=1))

    def returns(rewards: Any, gamma: float = 0.9) -> Any:
        n = tf.shape(rewards)[0]
        found = tf.TensorArray(tf.float32, size=n)
        total = tf.constant(0.0)
        for i in tf.range(n):
            total = rewards[n - 1 - i] + gamma * total
            found = found.write(n - 1 - i, total)
        found = found.stack()
        return (found - tf.math.reduce_mean(found)) / (tf.math.reduce_std(found) + 1e-6)

    def loss_of() -> Any:
        chances = tf.nn.log_softmax(model(states))
        chosen = tf.gather(chances, actions, batch_dims=1)
        spread = -tf.reduce_sum(tf.exp(chances) * chances, axis=-1)
        return -tf.reduce_mean(chosen * tf.stop_gradient(returns(rewards))) - 0.01 * tf.reduce_mean(spread)

    return trained(tf, model, tf.keras.optimizers.Adam(0.01, beta_1=0.8), loss_of), returns(rewards)


@program
def a_student_of_a_teacher(tf: Any, folder: Path) -> Any:
    def network(width: int) -> Any:
        model = tf.keras.Sequential(
            [tf.keras.layers.Dense(width), tf.keras.layers.LeakyReLU(0.1), tf.keras.layers.Dense(3)]
        )
        model.build((None, 4))
        fill(model)
        return model

    teacher, student, average = network(8), network(3), network(3)
    teacher.trainable = False
    x, y = tf.constant(floats(9, 4)), tf.constant(np.arange(9) % 3)
    divergence = tf.keras.losses.KLDivergence()
    hard = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.AdamW(0.01, weight_decay=0.1)

    @tf.function
    def step() -> Any:
        wanted = tf.nn.softmax(teacher(x) / 3.0)
        with tf.GradientTape() as tape:
            logits = student(x, training=True)
            loss = 0.3 * hard(y, logits) + 0.7 * 9.0 * divergence(wanted, tf.nn.softmax(logits / 3.0))
        gradients = tape.gradient(loss, student.trainable_variables)
        optimizer.apply_gradients(zip(gradients, student.trainable_variables, strict=True))
        for mean, new in zip(average.trainable_variables, student.trainable_variables, strict=True):
            mean.assign(0.9 * mean + 0.1 * new)
        return loss

    losses = [step() for _ in range(4)]
    return losses, len(teacher.trainable_variables), student.get_weights(), average.get_weights()


@program
def distances_that_are_learned(tf: Any, folder: Path) -> Any:
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(6, activation="gelu"),
            tf.keras.layers.LayerNormalization(),
            tf.keras.layers.Dense(3),
        ]
    )
    model.build((None, 5))
    fill(model)
    anchor, same, other = (tf.constant(floats(8, 5, seed=i)) for i in range(3))
    rate = tf.keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.5, staircase=True)
    optimizer = tf.keras.optimizers.SGD(rate)
    norms = []

    for _ in range(4):
        with tf.GradientTape() as tape:
            a, s, o = (tf.math.l2_normalize(model(x, training=True), axis=-1) for x in (anchor, same, other))
            gap = tf.norm(a - s, axis=-1) - tf.norm(a - o, axis=-1)
            loss = tf.reduce_mean(tf.maximum(gap + 0.5, 0.0))
        gradients, norm = tf.clip_by_global_norm(tape.gradient(loss, model.trainable_variables), 0.5)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        norms.append([loss, norm])
    return norms, model.get_weights(), float(rate(4))


@program
def gradients_that_wait(tf: Any, folder: Path) -> Any:
    model = tf.keras.Sequential([tf.keras.layers.Dense(4, activation="softplus"), tf.keras.layers.Dense(1)])
    model.build((None, 3))
    fill(model)
    optimizer = tf.keras.optimizers.Adamax(0.02)
    variables = model.trainable_variables
    sums = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
    count = tf.Variable(0, dtype=tf.int64, trainable=False)
    data = tf.data.Dataset.from_tensor_slices((floats(24, 3), floats(24, 1, seed=1))).batch(4)

    @tf.function
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.keras.losses.huber(y, model(x, training=True)))
        for total, g in zip(sums, tape.gradient(loss, variables), strict=True):
            total.assign_add(g / 3.0)
        count.assign_add(1)
        return loss

    @tf.function
    def update() -> None:
        optimizer.apply_gradients(zip(sums, variables, strict=True))
        for total in sums:
            total.assign(tf.zeros_like(total))

    losses = []
    for x, y in data:
        losses.append(step(x, y))
        if count % 3 == 0:
            update()
    return losses, count, model.get_weights()


@program
def an_image_in_a_style(tf: Any, folder: Path) -> Any:
    features = [
        tf.keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
        tf.keras.layers.Conv2D(5, 3, strides=2, padding="same", activation="relu"),
    ]
    content = tf.constant(np.random.RandomState(0).uniform(size=(1, 8, 8, 3)).astype(np.float32))
    style = tf.constant(np.random.RandomState(1).uniform(size=(1, 8, 8, 3)).astype(np.float32))

    def seen(x: Any) -> list[Any]:
        found = []
        for layer in features:
            x = layer(x)
            found.append(x)
        return found

    def gram(x: Any) -> Any:
        places = tf.cast(tf.shape(x)[1] * tf.shape(x)[2], tf.float32)
        return tf.linalg.einsum("bijc,bijd->bcd", x, x) / places

    seen(content)
    for i, layer in enumerate(features):
        layer.set_weights([floats(*w.shape, seed=i, scale=0.4) for w in layer.get_weights()])
    wanted_content, wanted_style = seen(content)[1], [gram(x) for x in seen(style)]
    image = tf.Variable(content)
    optimizer = tf.keras.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=1e-1)

    @tf.function
    def step(image: Any) -> Any:
        with tf.GradientTape() as tape:
            found = seen(image)
            loss = tf.add_n(
                [tf.reduce_mean((gram(x) - g) ** 2) for x, g in zip(found, wanted_style, strict=True)]
            )
            loss += 0.1 * tf.reduce_mean((found[1] - wanted_content) ** 2)
            loss += 1e-3 * tf.reduce_sum(tf.image.total_variation(image))
        optimizer.apply_gradients([(tape.gradient(loss, image), image)])
        image.assign(tf.clip_by_value(image, 0.0, 1.0))
        return loss

    return [step(image) for _ in range(4)], image


@program
def a_model_of_variables_alone(tf: Any, folder: Path) -> Any:
    class Mixture(tf.Module):  # type: ignore[misc, name-defined]
        """A mixture of normal distributions, fitted by gradients of its likelihood."""

        def __init__(self) -> None:
            super().__init__(name="mixture")
            self.weights = tf.Variable([0.1, -0.1, 0.0])
            self.means = tf.Variable(floats(3, 2))
            self.scales = tf.Variable(tf.zeros([3, 2]))

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
        def likelihood(self, x: Any) -> Any:
            z = (x[:, None] - self.means) * tf.exp(-self.scales)
            each = -0.5 * tf.reduce_sum(z**2, -1) - tf.reduce_sum(self.scales, -1) - np.log(2 * np.pi)
            return tf.reduce_mean(tf.reduce_logsumexp(each + tf.nn.log_softmax(self.weights), axis=-1))

    model, x = Mixture(), tf.constant(floats(30, 2, seed=8))
    optimizer = tf.keras.optimizers.Nadam(0.05)

    @tf.function
    def fit(x: Any, steps: int) -> Any:
        found = tf.TensorArray(tf.float32, size=steps)
        for i in range(steps):
            with tf.GradientTape() as tape:
                loss = -model.likelihood(x)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            found = found.write(i, loss)
        return found.stack()

    return fit(x, 4), [tf.identity(v) for v in model.trainable_variables], model.likelihood(x[:5])
