"""W7: a network that learns Burgers' equation: derivatives of a network by its inputs, inside the loss."""

from typing import Any

import numpy as np

from . import tensorflow_optimizers
from .mlps import mlp_numbers
from .workload import Options, Step, Workload


def numbers() -> tuple[list[Any], list[Any], Any, Any]:
    rs = np.random.RandomState(0)
    weights, biases = mlp_numbers(rs, [2, 64, 64, 64, 1])
    t, x = rs.rand(256, 1), rs.rand(256, 1) * 2 - 1
    return weights, biases, t.astype(np.float32), x.astype(np.float32)


def pinn(torch: Any, options: Options) -> Step:
    weights, biases, t, x = numbers()
    layers = []
    for weight, bias in zip(weights, biases, strict=True):
        linear = torch.nn.Linear(*weight.shape)
        linear.load_state_dict({"weight": torch.tensor(weight.T), "bias": torch.tensor(bias)})
        layers += [linear, torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    t, x = torch.tensor(t, requires_grad=True), torch.tensor(x, requires_grad=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options.optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        u = model(torch.cat([t, x], 1))
        u_t, u_x = torch.autograd.grad(u.sum(), [t, x], create_graph=True)
        (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
        loss = ((u_t + u * u_x - 0.01 * u_xx) ** 2).mean()
        loss.backward(inputs=list(model.parameters()))
        optimizer.step()
        return loss

    return step


def pinn_tensorflow(tf: Any, options: Options) -> Step:
    weights, biases, t, x = numbers()
    w1, w2, w3, w4, b1, b2, b3, b4 = parameters = [tf.Variable(a) for a in weights + biases]
    t, x = tf.constant(t), tf.constant(x)
    update = tensorflow_optimizers.adam(tf, parameters, 1e-3)

    def step() -> Any:
        with tf.GradientTape() as tape:
            with tf.GradientTape() as second:
                second.watch(x)
                with tf.GradientTape() as first:
                    first.watch([t, x])
                    h = tf.tanh(tf.matmul(tf.concat([t, x], 1), w1) + b1)
                    h = tf.tanh(tf.matmul(h, w2) + b2)
                    h = tf.tanh(tf.matmul(h, w3) + b3)
                    u = tf.matmul(h, w4) + b4
                u_t, u_x = first.gradient(u, [t, x])
            u_xx = second.gradient(u_x, x)
            loss = tf.reduce_mean(tf.square(u_t + u * u_x - 0.01 * u_xx))
        update(tape.gradient(loss, parameters))
        return loss

    return step


WORKLOADS = [
    Workload(
        "W7",
        "pinn",
        "Burgers' equation: second derivatives of a tanh network inside the loss, 256 points; Adam",
        {"torch": pinn, "tensorflow": pinn_tensorflow},
        {"torch": 0.4},
        reads=frozenset({"optimizer"}),
        rtol=1e-4,  # Adam's first steps divide tiny gradients by their own size and so magnify rounding
        flops=51_150_848,
    ),
]
