"""Programs of tapes in tapes, loops with gradients, tables of NumPy, codes; see program_table.py."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from tf.program_table import fill, floats, program


def dense(tf: Any, *widths: int, activation: str = "tanh") -> Any:
    layers = [tf.keras.layers.Dense(n, activation=activation) for n in widths[1:-1]]
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(widths[-1])])
    model(tf.zeros([1, widths[0]]))
    fill(model, 0.5)
    return model


@program
def tables_of_numpy(tf: Any, folder: Path) -> Any:
    """Positions, class weights and statistics are arrays that the compiled step reads."""
    mean, scale = floats(4, seed=1), abs(floats(4, seed=2)) + 0.5
    angles = np.arange(5)[:, None] / np.power(50.0, np.arange(4)[None] / 4)
    positions = np.where(np.arange(4) % 2 == 0, np.sin(angles), np.cos(angles)).astype(np.float32)
    class_weights = np.array([0.5, 2.0, 1.0], np.float32)
    model = dense(tf, 4, 6, 3)
    optimizer = tf.keras.optimizers.SGD(0.1, momentum=0.9)

    @tf.function
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            h = (x - mean) / scale + positions[np.newaxis]
            found = tf.reshape(model(tf.reshape(h, [-1, 4])), [-1, 5, 3])
            logits = tf.reduce_mean(found, 1) + tf.constant(np.log(class_weights))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
            loss = tf.reduce_mean(losses * tf.gather(tf.convert_to_tensor(class_weights), y))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss, tf.reduce_sum(tf.one_hot(y, 3) * class_weights, 0)

    x, y = floats(6, 5, 4, seed=5), np.array([0, 1, 2, 2, 1, 0])
    return [step(tf.constant(x), tf.constant(y)) for _ in range(3)], model.get_weights()


@program
def derivatives_of_both_kinds(tf: Any, folder: Path) -> Any:
    """Products with Hessians: back over forward, forward over back, back over back; Jacobians of slopes."""
    model, x = dense(tf, 3, 5, 1), tf.constant(floats(4, 3, seed=3))
    direction = tf.constant(floats(4, 3, seed=4))

    def energy(x: Any) -> Any:
        return tf.reduce_sum(tf.square(model(x)))

    @tf.function
    def forward_over_back(x: Any) -> Any:
        with tf.autodiff.ForwardAccumulator(x, direction) as forward:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = energy(x)
            slope = tape.gradient(y, x)
        return slope, forward.jvp(slope)

    def after_both(x: Any) -> Any:
        with tf.autodiff.ForwardAccumulator(x, direction) as forward, tf.GradientTape() as tape:
            tape.watch(x)
            y = energy(x)
        return tape.gradient(y, x), forward.jvp(y)

    def back_over_forward(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            with tf.autodiff.ForwardAccumulator(x, direction) as forward:
                y = energy(x)
            along = forward.jvp(y)
        return tape.gradient(along, x)

    @tf.function
    def back_over_back(x: Any) -> Any:
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = energy(x)
            along = tf.reduce_sum(inner.gradient(y, x) * direction)
        return outer.gradient(along, x)

    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = energy(x)
        slope = inner.gradient(y, x)
    return (
        forward_over_back(x),
        after_both(x),
        back_over_forward(x),
        [back_over_back(x) for _ in range(2)],
        outer.batch_jacobian(slope, x),
        outer.gradient(slope, model.trainable_variables),
    )


@program
def equations_of_heat(tf: Any, folder: Path) -> Any:
    """Raissi et al. 2019: residuals of u_t + u u_x - nu u_xx, through two tapes, weights learned too."""
    model = dense(tf, 2, 8, 8, 1)
    nu, log_weight = tf.Variable(0.1), tf.Variable([0.0, 0.0])
    variables = [*model.trainable_variables, nu, log_weight]
    optimizer = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.9))

    @tf.function(jit_compile=False)
    def step(t: Any, x: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            with tf.GradientTape(persistent=True) as outer:
                outer.watch([t, x])
                with tf.GradientTape(persistent=True) as inner:
                    inner.watch([t, x])
                    u = model(tf.stack([t, x], axis=1))[:, 0]
                u_x = inner.gradient(u, x)
            u_xx = outer.gradient(u_x, x)
            residual = inner.gradient(u, t) + u * u_x - tf.nn.softplus(nu) * u_xx
            parts = tf.stack([tf.reduce_mean(residual**2), tf.reduce_mean((u - target) ** 2)])
            loss = tf.reduce_sum(tf.exp(-log_weight) * parts + log_weight)
        gradients = tape.gradient(loss, variables)
        gradients, norm = tf.clip_by_global_norm(gradients, 1.0)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss, norm

    t, x, target = (tf.constant(floats(7, seed=k)) for k in range(3))
    return [step(t, x, target) for _ in range(4)], nu, log_weight


@program
def paths_in_loops(tf: Any, folder: Path) -> Any:
    """A path of Runge and Kutta in tf.while_loop, with gradients; tf.scan and tf.foldl over its steps."""
    model = dense(tf, 2, 6, 2)

    def rk4(x: Any, h: Any) -> Any:
        k1 = model(x)
        k2 = model(x + h / 2 * k1)
        k3 = model(x + h / 2 * k2)
        k4 = model(x + h * k3)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    @tf.function
    def train(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            n, z = tf.while_loop(lambda i, z: i < 5, lambda i, z: (i + 1, rk4(z, 0.2)), (tf.constant(0), x))
            loss = tf.reduce_mean(tf.abs(z - y))
        gradients = tape.gradient(loss, model.trainable_variables)
        for v, g in zip(model.trainable_variables, gradients, strict=True):
            v.assign_sub(0.1 * g)
        return loss, n

    x, y = tf.constant(floats(5, 2, seed=1)), tf.constant(floats(5, 2, seed=2))
    losses = [train(x, y) for _ in range(3)]
    steps = tf.fill([5], 0.2)
    return losses, tf.scan(rk4, steps, initializer=x), tf.foldl(rk4, steps, initializer=x)


@program
def fast_weights(tf: Any, folder: Path) -> Any:
    """Finn et al. 2017: inner steps are functions of weights; the outer tape goes through the inner ones."""
    slow = [
        tf.Variable(floats(*shape, seed=k, scale=0.5)) for k, shape in enumerate([(1, 6), (6,), (6, 1), (1,)])
    ]
    optimizer = tf.keras.optimizers.RMSprop(0.01, rho=0.8)

    def predict(weights: Any, x: Any) -> Any:
        w1, b1, w2, b2 = weights
        return tf.nn.tanh(x @ w1 + b1) @ w2 + b2

    @tf.function
    def outer_step(tasks: Any) -> Any:
        with tf.GradientTape() as outer:
            losses = []
            for xs, ys, xq, yq in tasks:
                fast = [tf.identity(v) for v in slow]
                for _ in range(2):
                    with tf.GradientTape() as inner:
                        inner.watch(fast)
                        loss = tf.reduce_mean(tf.math.squared_difference(predict(fast, xs), ys))
                    fast = [w - 0.1 * g for w, g in zip(fast, inner.gradient(loss, fast), strict=True)]
                losses.append(tf.reduce_mean(tf.math.squared_difference(predict(fast, xq), yq)))
            total = tf.add_n(losses) / len(losses)
        optimizer.apply_gradients(zip(outer.gradient(total, slow), slow, strict=True))
        return total, losses

    tasks = [tuple(tf.constant(floats(4, 1, seed=10 * k + j)) for j in range(4)) for k in range(2)]
    return [outer_step(tasks) for _ in range(3)], slow


@program
def codes_and_averages(tf: Any, folder: Path) -> Any:
    """van den Oord et al. 2017: the nearest code, gradients straight through, codes as averages."""
    encoder, decoder = dense(tf, 4, 6, 3), dense(tf, 3, 6, 4)
    codes = tf.Variable(floats(5, 3, seed=9), trainable=False)
    sizes, sums = tf.Variable(tf.ones([5]), trainable=False), tf.Variable(codes, trainable=False)
    variables = encoder.trainable_variables + decoder.trainable_variables
    optimizer = tf.keras.optimizers.Adam(0.01)

    class Quantize(tf.keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, z: Any, training: bool = False) -> Any:
            distances = (
                tf.reduce_sum(z**2, axis=1, keepdims=True)
                - 2 * tf.matmul(z, codes, transpose_b=True)
                + tf.reduce_sum(tf.square(codes), axis=1)
            )
            index = tf.argmin(distances, axis=1)
            picked = tf.nn.embedding_lookup(codes, index)
            self.add_loss(0.25 * tf.reduce_mean((tf.stop_gradient(picked) - z) ** 2))
            if training:
                counts = tf.math.unsorted_segment_sum(tf.ones_like(z[:, 0]), index, 5)
                sizes.assign(0.9 * sizes + 0.1 * counts)
                sums.assign(0.9 * sums + 0.1 * tf.math.unsorted_segment_sum(tf.stop_gradient(z), index, 5))
                codes.assign(sums / tf.maximum(sizes, 1e-3)[:, None])
            return z + tf.stop_gradient(picked - z), index

    quantize = Quantize()

    @tf.function
    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            z, index = quantize(encoder(x), training=True)
            loss = tf.reduce_mean((decoder(z) - x) ** 2) + sum(quantize.losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss, index

    x = tf.constant(floats(8, 4, seed=20))
    return [step(x) for _ in range(4)], codes, sizes


@program
def twin_critics(tf: Any, folder: Path) -> Any:
    """Fujimoto et al. 2018: the smaller of two targets, slow copies; one persistent tape."""
    actor, critics = dense(tf, 3, 6, 2), [dense(tf, 5, 6, 1) for _ in range(2)]
    slow_actor, slow_critics = dense(tf, 3, 6, 2), [dense(tf, 5, 6, 1) for _ in range(2)]
    actor_optimizer, critic_optimizer = (tf.keras.optimizers.Adam(1e-2) for _ in range(2))

    def value(critic: Any, s: Any, a: Any) -> Any:
        return critic(tf.concat([s, a], axis=-1))

    @functools.partial(tf.function, reduce_retracing=True)
    def update(s: Any, a: Any, r: Any, s2: Any, noise: Any) -> Any:
        a2 = tf.clip_by_value(slow_actor(s2) + tf.clip_by_value(noise, -0.5, 0.5), -1.0, 1.0)
        target = r + 0.9 * tf.minimum(*[value(c, s2, a2) for c in slow_critics])
        with tf.GradientTape(persistent=True) as tape:
            losses = [tf.reduce_mean((value(c, s, a) - tf.stop_gradient(target)) ** 2) for c in critics]
            wanted = -tf.reduce_mean(value(critics[0], s, tf.tanh(actor(s))))
        weights = [v for c in critics for v in c.trainable_variables]
        slopes = [
            g
            for c, loss in zip(critics, losses, strict=True)
            for g in tape.gradient(loss, c.trainable_variables)
        ]
        of_actor = tape.gradient(wanted, actor.trainable_variables)
        critic_optimizer.apply_gradients(zip(slopes, weights, strict=True))
        actor_optimizer.apply_gradients(zip(of_actor, actor.trainable_variables, strict=True))
        del tape
        for fast, slow in zip([actor, *critics], [slow_actor, *slow_critics], strict=True):
            for v, w in zip(fast.trainable_variables, slow.trainable_variables, strict=True):
                w.assign(0.95 * w + 0.05 * v)
        return losses, wanted

    batch = [tf.constant(floats(6, n, seed=n + k)) for k, n in enumerate([3, 2, 1, 3, 2])]
    return [update(*batch) for _ in range(3)], slow_actor.get_weights()


@program
def labels_along_a_chain(tf: Any, folder: Path) -> Any:
    """Lafferty et al. 2001: the log sum over paths by tf.scan, the best by tf.while_loop, TensorArray."""
    emit, transitions = dense(tf, 4, 6, 3), tf.Variable(floats(3, 3, seed=5))
    variables = [*emit.trainable_variables, transitions]

    def scores_of(x: Any) -> Any:
        return tf.reshape(emit(tf.reshape(x, [-1, 4])), [2, -1, 3])

    def log_sum(scores: Any) -> Any:
        def along(alpha: Any, score: Any) -> Any:
            return tf.reduce_logsumexp(alpha[:, :, None] + transitions, axis=1) + score

        alphas = tf.scan(along, scores[1:], initializer=scores[0])
        return tf.reduce_logsumexp(alphas[-1], axis=-1)

    @tf.function
    def step(x: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = tf.transpose(scores_of(x), [1, 0, 2])
            picked = tf.reduce_sum(tf.gather(scores, tf.transpose(labels), axis=2, batch_dims=2), axis=0)
            pairs = tf.stack([labels[:, :-1], labels[:, 1:]], axis=-1)
            picked += tf.reduce_sum(tf.gather_nd(transitions, pairs), axis=1)
            loss = tf.reduce_mean(log_sum(scores) - picked)
        for v, g in zip(variables, tape.gradient(loss, variables), strict=True):
            v.assign_sub(0.1 * g)
        return loss

    @tf.function
    def best(x: Any) -> Any:
        scores = tf.transpose(scores_of(x), [1, 0, 2])
        length = tf.shape(scores)[0]
        back = tf.TensorArray(tf.int32, size=length - 1)

        def ahead(i: Any, alpha: Any, back: Any) -> Any:
            both = alpha[:, :, None] + transitions
            back = back.write(i - 1, tf.argmax(both, axis=1, output_type=tf.int32))
            return i + 1, tf.reduce_max(both, axis=1) + scores[i], back

        _, alpha, back = tf.while_loop(lambda i, *_: i < length, ahead, (1, scores[0], back))
        last = tf.argmax(alpha, axis=-1, output_type=tf.int32)
        links = tf.reverse(back.stack(), [0])
        path = tf.scan(lambda now, link: tf.gather(link, now, batch_dims=1), links, initializer=last)
        return tf.transpose(tf.reverse(tf.concat([last[None], path], 0), [0]))

    x = tf.constant(floats(2, 5, 4, seed=8))
    labels = tf.constant([[0, 1, 2, 1, 0], [2, 2, 1, 0, 0]])
    return [step(x, labels) for _ in range(3)], best(x), transitions
