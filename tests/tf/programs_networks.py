"""Networks and the loops that train them, as people write them first in TensorFlow 2."""

from pathlib import Path
from typing import Any

import numpy as np
from tf.program_table import fill, floats, program, value


@program
def custom_training_loop(tf: Any, folder: Path) -> Any:
    x, y = floats(48, 6), np.random.RandomState(1).randint(0, 3, 48)
    train = tf.data.Dataset.from_tensor_slices((x[:32], y[:32])).batch(8)
    test = tf.data.Dataset.from_tensor_slices((x[32:], y[32:])).batch(16)
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(16, activation="relu"),
            tf.keras.layers.Dropout(0.0),
            tf.keras.layers.Dense(3),
        ]
    )
    model.build((None, 6))
    fill(model)
    loss_object = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.Adam(learning_rate=0.01)
    train_loss = tf.keras.metrics.Mean(name="train_loss")
    train_accuracy = tf.keras.metrics.SparseCategoricalAccuracy(name="train_accuracy")
    test_loss = tf.keras.metrics.Mean(name="test_loss")

    @tf.function
    def train_step(images: Any, labels: Any) -> None:
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            loss = loss_object(labels, predictions)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        train_loss(loss)
        train_accuracy(labels, predictions)

    @tf.function
    def test_step(images: Any, labels: Any) -> None:
        test_loss(loss_object(labels, model(images, training=False)))

    history = []
    for _ in range(3):
        train_loss.reset_state()
        train_accuracy.reset_state()
        test_loss.reset_state()
        for images, labels in train:
            train_step(images, labels)
        for images, labels in test:
            test_step(images, labels)
        history.append([train_loss.result(), train_accuracy.result(), test_loss.result()])
    return history, int(optimizer.iterations), model.get_weights()


@program
def dcgan_step(tf: Any, folder: Path) -> Any:
    layers = tf.keras.layers

    def make_generator_model() -> Any:
        model = tf.keras.Sequential()
        model.add(layers.Dense(2 * 2 * 8, use_bias=False, input_shape=(5,)))
        model.add(layers.BatchNormalization())
        model.add(layers.LeakyReLU())
        model.add(layers.Reshape((2, 2, 8)))
        model.add(layers.Conv2DTranspose(4, (3, 3), strides=(2, 2), padding="same", use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.LeakyReLU())
        model.add(layers.Conv2DTranspose(1, (3, 3), strides=(2, 2), padding="same", activation="tanh"))
        return model

    def make_discriminator_model() -> Any:
        model = tf.keras.Sequential()
        model.add(layers.Conv2D(4, (3, 3), strides=(2, 2), padding="same", input_shape=[8, 8, 1]))
        model.add(layers.LeakyReLU())
        model.add(layers.Dropout(0.0))
        model.add(layers.Flatten())
        model.add(layers.Dense(1))
        return model

    generator, discriminator = make_generator_model(), make_discriminator_model()
    fill(generator, 0.2)
    fill(discriminator, 0.2)
    cross_entropy = tf.keras.losses.BinaryCrossentropy(from_logits=True)
    # Without a large epsilon, gradients near zero become steps of either sign.
    generator_optimizer = tf.keras.optimizers.Adam(1e-3, epsilon=1e-3)
    discriminator_optimizer = tf.keras.optimizers.Adam(1e-3, epsilon=1e-3)

    @tf.function
    def train_step(images: Any, noise: Any) -> Any:
        with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
            generated_images = generator(noise, training=True)
            real_output = discriminator(images, training=True)
            fake_output = discriminator(generated_images, training=True)
            gen_loss = cross_entropy(tf.ones_like(fake_output), fake_output)
            disc_loss = cross_entropy(tf.ones_like(real_output), real_output) + cross_entropy(
                tf.zeros_like(fake_output), fake_output
            )
        gradients_of_generator = gen_tape.gradient(gen_loss, generator.trainable_variables)
        gradients_of_discriminator = disc_tape.gradient(disc_loss, discriminator.trainable_variables)
        generator_optimizer.apply_gradients(
            zip(gradients_of_generator, generator.trainable_variables, strict=True)
        )
        discriminator_optimizer.apply_gradients(
            zip(gradients_of_discriminator, discriminator.trainable_variables, strict=True)
        )
        return gen_loss, disc_loss

    losses = [
        train_step(tf.constant(floats(4, 8, 8, 1, seed=i)), tf.constant(floats(4, 5, seed=9 + i)))
        for i in range(4)
    ]
    picture = generator(tf.constant(floats(2, 5)), training=False)
    return losses, picture, len(generator.trainable_variables), [w.shape for w in generator.get_weights()]


@program
def custom_layers(tf: Any, folder: Path) -> Any:
    class Linear(tf.keras.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, units: int = 32, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(
                shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True, name="w"
            )
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True, name="b")
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

        def call(self, inputs: Any, training: bool = False) -> Any:
            if training:
                self.calls.assign_add(1.0)
            return tf.matmul(inputs, self.w) + self.b

        def get_config(self) -> Any:
            return {**super().get_config(), "units": self.units}

    class ActivityRegularization(tf.keras.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, rate: float = 1e-2) -> None:
            super().__init__()
            self.rate = rate

        def call(self, inputs: Any) -> Any:
            self.add_loss(self.rate * tf.reduce_sum(inputs))
            return inputs

    class Block(tf.keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear_1, self.linear_2 = Linear(8), Linear(4)
            self.regular = ActivityRegularization()
            self.out = tf.keras.layers.Dense(1, kernel_regularizer=tf.keras.regularizers.l2(1e-2))

        def call(self, inputs: Any, training: bool = False) -> Any:
            x = tf.nn.relu(self.linear_1(inputs, training=training))
            x = self.regular(tf.nn.relu(self.linear_2(x, training=training)))
            return self.out(x)

    block = Block()
    x = tf.constant(floats(5, 3))
    block(x)
    fill(block)
    with tf.GradientTape() as tape:
        y = block(x, training=True)
        loss = tf.reduce_mean(tf.square(y)) + tf.add_n(block.losses)
    grads = tape.gradient(loss, block.trainable_weights)
    return (
        y,
        loss,
        grads,
        len(block.weights),
        len(block.non_trainable_weights),
        len(block.losses),
        Linear(7).get_config()["units"],
        value(block.linear_1.calls),
    )


@program
def wgan_gradient_penalty(tf: Any, folder: Path) -> Any:
    critic = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(12, activation=tf.nn.leaky_relu),
            tf.keras.layers.Dense(12, activation="tanh"),
            tf.keras.layers.Dense(1),
        ]
    )
    critic.build((None, 4))
    fill(critic)
    optimizer = tf.keras.optimizers.Adam(learning_rate=2e-3, beta_1=0.5, beta_2=0.9)

    def gradient_penalty(real: Any, fake: Any, alpha: Any) -> Any:
        interpolated = real + alpha * (fake - real)
        with tf.GradientTape() as gp_tape:
            gp_tape.watch(interpolated)
            pred = critic(interpolated, training=True)
        grads = gp_tape.gradient(pred, [interpolated])[0]
        norm = tf.sqrt(tf.reduce_sum(tf.square(grads), axis=[1]))
        return tf.reduce_mean((norm - 1.0) ** 2)

    @tf.function
    def step(real: Any, fake: Any, alpha: Any) -> Any:
        with tf.GradientTape() as tape:
            cost = tf.reduce_mean(critic(fake, training=True)) - tf.reduce_mean(critic(real, training=True))
            penalty = gradient_penalty(real, fake, alpha)
            loss = cost + penalty * 10.0
        gradient = tape.gradient(loss, critic.trainable_variables)
        optimizer.apply_gradients(zip(gradient, critic.trainable_variables, strict=True))
        return loss, penalty

    alpha = tf.constant(np.random.RandomState(5).uniform(size=(6, 1)).astype(np.float32))
    return [
        step(tf.constant(floats(6, 4, seed=i)), tf.constant(floats(6, 4, seed=50 + i)), alpha)
        for i in range(4)
    ]


@program
def text_generation(tf: Any, folder: Path) -> Any:
    text = "hello versant, hello tensor, hello gradient"
    letters = sorted(set(text))
    ids = np.array([letters.index(c) for c in text], np.int32)

    class Writer(tf.keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self, size: int) -> None:
            super().__init__()
            self.embedding = tf.keras.layers.Embedding(size, 6)
            self.gru = tf.keras.layers.GRU(8, return_sequences=True, return_state=True)
            self.dense = tf.keras.layers.Dense(size)

        def call(
            self, inputs: Any, states: Any = None, return_state: bool = False, training: bool = False
        ) -> Any:
            x = self.embedding(inputs, training=training)
            x, states = self.gru(x, initial_state=states, training=training)
            x = self.dense(x, training=training)
            return (x, states) if return_state else x

    model = Writer(len(letters))
    model(tf.constant(ids[None, :4]))
    fill(model)
    sequences = tf.data.Dataset.from_tensor_slices(ids).batch(9, drop_remainder=True)
    batches = sequences.map(lambda s: (s[:-1], s[1:])).batch(2)
    loss_of = tf.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = tf.optimizers.Adam(0.02)
    losses = []
    for _ in range(3):
        for inputs, targets in batches:
            with tf.GradientTape() as tape:
                loss = loss_of(targets, model(inputs, training=True))
            # TensorFlow's gradient of a lookup is sparse, and its norm another one where rows repeat.
            grads = [tf.convert_to_tensor(g) for g in tape.gradient(loss, model.trainable_variables)]
            grads, norm = tf.clip_by_global_norm(grads, 1.0)
            optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
            losses += [loss, norm]
    states, letter, written = None, tf.constant(ids[None, :1]), []
    for _ in range(12):
        logits, states = model(letter, states=states, return_state=True)
        letter = tf.argmax(logits[:, -1, :] / 0.8, axis=-1, output_type=tf.int32)[:, tf.newaxis]
        written.append(letters[int(letter[0, 0])])
    return losses, "".join(written), states


@program
def variational_autoencoder(tf: Any, folder: Path) -> Any:
    class CVAE(tf.keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self, latent_dim: int) -> None:
            super().__init__()
            self.latent_dim = latent_dim
            self.encoder = tf.keras.Sequential(
                [
                    tf.keras.layers.InputLayer(input_shape=(8, 8, 1)),
                    tf.keras.layers.Conv2D(4, 3, strides=(2, 2), activation="relu"),
                    tf.keras.layers.Flatten(),
                    tf.keras.layers.Dense(latent_dim + latent_dim),
                ]
            )
            self.decoder = tf.keras.Sequential(
                [
                    tf.keras.layers.InputLayer(input_shape=(latent_dim,)),
                    tf.keras.layers.Dense(units=2 * 2 * 4, activation=tf.nn.relu),
                    tf.keras.layers.Reshape(target_shape=(2, 2, 4)),
                    tf.keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu"),
                    tf.keras.layers.UpSampling2D(2),
                    tf.keras.layers.Conv2D(1, 3, padding="same"),
                ]
            )

        def encode(self, x: Any) -> Any:
            return tf.split(self.encoder(x), num_or_size_splits=2, axis=1)

        def decode(self, z: Any, apply_sigmoid: bool = False) -> Any:
            logits = self.decoder(z)
            return tf.sigmoid(logits) if apply_sigmoid else logits

    def log_normal_pdf(sample: Any, mean: Any, logvar: Any, raxis: int = 1) -> Any:
        log2pi = tf.math.log(2.0 * np.pi)
        return tf.reduce_sum(-0.5 * ((sample - mean) ** 2.0 * tf.exp(-logvar) + logvar + log2pi), axis=raxis)

    model = CVAE(2)
    fill(model.encoder, 0.2)
    fill(model.decoder, 0.2)
    optimizer = tf.keras.optimizers.Adam(1e-2)
    x = tf.constant((floats(4, 8, 8, 1) > 0.5).astype(np.float32))

    def compute_loss(eps: Any) -> Any:
        mean, logvar = model.encode(x)
        z = eps * tf.exp(logvar * 0.5) + mean
        x_logit = model.decode(z)
        cross_ent = tf.nn.sigmoid_cross_entropy_with_logits(logits=x_logit, labels=x)
        logpx_z = -tf.reduce_sum(cross_ent, axis=[1, 2, 3])
        return -tf.reduce_mean(logpx_z + log_normal_pdf(z, 0.0, 0.0) - log_normal_pdf(z, mean, logvar))

    @tf.function
    def train_step(eps: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = compute_loss(eps)
        variables = model.encoder.trainable_variables + model.decoder.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    losses = [train_step(tf.constant(floats(4, 2, seed=i))) for i in range(4)]
    return losses, model.decode(tf.zeros([1, 2]), apply_sigmoid=True)


@program
def transformer_step(tf: Any, folder: Path) -> Any:
    class Schedule(tf.keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc, name-defined]
        def __init__(self, d_model: int, warmup_steps: int = 4) -> None:
            super().__init__()
            self.d_model, self.warmup_steps = tf.cast(d_model, tf.float32), warmup_steps

        def __call__(self, step: Any) -> Any:
            step = tf.cast(step, dtype=tf.float32)
            return tf.math.rsqrt(self.d_model) * tf.math.minimum(
                tf.math.rsqrt(step + 1.0), step * (self.warmup_steps**-1.5)
            )

    def positional_encoding(length: int, depth: int) -> Any:
        positions = np.arange(length)[:, np.newaxis]
        depths = np.arange(depth // 2)[np.newaxis, :] / (depth // 2)
        angles = positions * (1 / (10000**depths))
        return tf.cast(np.concatenate([np.sin(angles), np.cos(angles)], axis=-1), dtype=tf.float32)

    class Attention(tf.keras.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, d_model: int, heads: int) -> None:
            super().__init__()
            self.heads, self.depth = heads, d_model // heads
            self.qkv = tf.keras.layers.Dense(3 * d_model)
            self.norm = tf.keras.layers.LayerNormalization(epsilon=1e-6)
            self.project = tf.keras.layers.Dense(d_model)

        def call(self, x: Any) -> Any:
            batch, length = tf.shape(x)[0], tf.shape(x)[1]
            q, k, v = tf.split(self.qkv(self.norm(x)), 3, axis=-1)

            def heads(t: Any) -> Any:
                t = tf.reshape(t, (batch, length, self.heads, self.depth))
                return tf.transpose(t, perm=[0, 2, 1, 3])

            scores = tf.matmul(heads(q), heads(k), transpose_b=True) / tf.math.sqrt(
                tf.cast(self.depth, tf.float32)
            )
            mask = 1 - tf.linalg.band_part(tf.ones((length, length)), -1, 0)
            weights = tf.nn.softmax(scores + mask * -1e9, axis=-1)
            out = tf.einsum("bhqk,bhkd->bqhd", weights, heads(v))
            return x + self.project(tf.reshape(out, (batch, length, -1)))

    embedding, attention = tf.keras.layers.Embedding(11, 8), Attention(8, 2)
    head = tf.keras.layers.Dense(11)
    tokens = tf.constant(np.random.RandomState(0).randint(0, 11, (3, 6)))

    def logits_of(tokens: Any) -> Any:
        x = embedding(tokens) * tf.math.sqrt(8.0) + positional_encoding(6, 8)[tf.newaxis, :, :]
        return head(attention(x))

    logits_of(tokens)
    for layer in (embedding, attention, head):
        fill(layer)
    variables = embedding.trainable_variables + attention.trainable_variables + head.trainable_variables
    schedule = Schedule(8)
    optimizer = tf.keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9)
    losses = []
    for _ in range(5):
        with tf.GradientTape() as tape:
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=tokens[:, 1:], logits=logits_of(tokens)[:, :-1]
            )
            mask = tf.cast(tokens[:, 1:] != 0, each.dtype)
            loss = tf.reduce_sum(each * mask) / tf.reduce_sum(mask)
        grads = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        optimizer.apply_gradients(zip(grads, variables, strict=True))
        losses.append(loss)
    return losses, [schedule(tf.constant(i)) for i in (1, 3, 9)], logits_of(tokens)


@program
def adversarial_images(tf: Any, folder: Path) -> Any:
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            tf.keras.layers.MaxPooling2D(),
            tf.keras.layers.SeparableConv2D(4, 3, padding="same"),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.build((None, 8, 8, 3))
    fill(model)
    image = tf.constant(np.random.RandomState(3).uniform(0, 1, (1, 8, 8, 3)).astype(np.float32))
    label = tf.one_hot([1], 3)
    loss_of = tf.keras.losses.CategoricalCrossentropy()
    with tf.GradientTape() as tape:
        tape.watch(image)
        loss = loss_of(label, model(image))
    signed = tf.sign(tape.gradient(loss, image))
    changed = tf.clip_by_value(image + 0.1 * signed, 0, 1)

    def gram_matrix(x: Any) -> Any:
        result = tf.linalg.einsum("bijc,bijd->bcd", x, x)
        shape = tf.shape(x)
        return result / tf.cast(shape[1] * shape[2], tf.float32)

    picture = tf.Variable(image)
    optimizer = tf.keras.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=1e-1)
    for _ in range(3):
        with tf.GradientTape() as tape:
            style = tf.reduce_mean((gram_matrix(model.layers[0](picture)) - 0.5) ** 2)
            total = style + 0.1 * tf.reduce_sum(tf.image.total_variation(picture))
        optimizer.apply_gradients([(tape.gradient(total, picture), picture)])
        picture.assign(tf.clip_by_value(picture, clip_value_min=0.0, clip_value_max=1.0))
    return model(changed), loss, picture, total


@program
def actor_critic(tf: Any, folder: Path) -> Any:
    model_common = tf.keras.layers.Dense(8, activation="relu")
    actor, critic = tf.keras.layers.Dense(2), tf.keras.layers.Dense(1)
    for layer, width in ((model_common, 4), (actor, 8), (critic, 8)):
        layer.build((None, width))
        fill(layer)
    rewards = tf.constant([1.0, 1.0, 0.0, 1.0, 1.0])
    states = tf.constant(floats(5, 4))
    actions = np.array([0, 1, 1, 0, 1], np.int32)
    huber_loss = tf.keras.losses.Huber(reduction="sum")

    def get_expected_return(rewards: Any, gamma: float) -> Any:
        n = rewards.shape[0]
        returns = tf.TensorArray(dtype=tf.float32, size=n)
        reverse = tf.cast(rewards[::-1], dtype=tf.float32)
        discounted_sum = tf.constant(0.0)
        for i in range(n):
            discounted_sum = reverse[i] + gamma * discounted_sum
            returns = returns.write(i, discounted_sum)
        stacked = returns.stack()[::-1]
        return (stacked - tf.math.reduce_mean(stacked)) / (tf.math.reduce_std(stacked) + 1e-7)

    optimizer = tf.keras.optimizers.RMSprop(learning_rate=0.01)
    losses = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            hidden = model_common(states)
            probabilities = tf.nn.softmax(actor(hidden))
            values = tf.squeeze(critic(hidden))
            chosen = tf.gather_nd(probabilities, tf.stack([tf.range(5), actions], axis=1))
            returns = get_expected_return(rewards, 0.99)
            advantage = returns - values
            actor_loss = -tf.math.reduce_sum(tf.math.log(chosen) * advantage)
            loss = actor_loss + huber_loss(values, returns)
        variables = [v for layer in (model_common, actor, critic) for v in layer.trainable_variables]
        grads = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(grads, variables, strict=True))
        losses.append(loss)
    return losses, chosen, returns
