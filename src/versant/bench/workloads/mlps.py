"""W5 and W6: multilayer perceptrons with ReLU, trained by Adam."""

import itertools
from typing import Any

import numpy as np

from . import jax_optimizers, tensorflow_optimizers, torch_onestep
from .workload import Options, Step, Workload


def mlp_numbers(rs: np.random.RandomState, widths: list[int]) -> tuple[list[Any], list[Any]]:
    """Weights (inputs, outputs), normal / sqrt(inputs), and biases of zero."""
    weights = [(rs.randn(n, m) / np.sqrt(n)).astype(np.float32) for n, m in itertools.pairwise(widths)]
    return weights, [np.zeros(m, np.float32) for m in widths[1:]]


def mlp_tiny_numbers() -> tuple[list[Any], list[Any], Any, Any]:
    rs = np.random.RandomState(0)
    weights, biases = mlp_numbers(rs, [4, 64, 64, 2])
    return weights, biases, rs.randn(32, 4).astype(np.float32), rs.randn(32, 2).astype(np.float32)


def mlp_mnist_numbers() -> tuple[list[Any], list[Any], Any, Any]:
    rs = np.random.RandomState(0)
    weights, biases = mlp_numbers(rs, [784, 256, 128, 10])
    return weights, biases, rs.randn(64, 784).astype(np.float32), rs.randint(0, 10, 64)


def mlp(torch: Any, weights: list[Any], biases: list[Any]) -> Any:
    """Linear layers with ReLU between them."""
    layers = []
    for weight, bias in zip(weights, biases, strict=True):
        linear = torch.nn.Linear(*weight.shape)
        linear.load_state_dict({"weight": torch.tensor(weight.T), "bias": torch.tensor(bias)})
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


# W5: 4-64-64-2 on 32 samples, mean squared error.


def mlp_tiny(torch: Any, options: Options) -> Step:
    weights, biases, x, y = mlp_tiny_numbers()
    model = mlp(torch, weights, biases)
    x, y = torch.tensor(x), torch.tensor(y)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options.optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp_tiny_tensorflow(tf: Any, options: Options) -> Step:
    weights, biases, x, y = mlp_tiny_numbers()
    w1, w2, w3, b1, b2, b3 = parameters = [tf.Variable(a) for a in weights + biases]
    x, y = tf.constant(x), tf.constant(y)
    update = tensorflow_optimizers.adam(tf, parameters, 1e-3)

    def step() -> Any:
        with tf.GradientTape() as tape:
            h = tf.nn.relu(tf.matmul(x, w1) + b1)
            h = tf.nn.relu(tf.matmul(h, w2) + b2)
            loss = tf.reduce_mean(tf.square(tf.matmul(h, w3) + b3 - y))
        update(tape.gradient(loss, parameters))
        return loss

    return step


def outputs(relu: Any, x: Any, parameters: Any) -> Any:
    """Of three layers, in the arrays of any framework."""
    w1, w2, w3, b1, b2, b3 = parameters
    h = relu(x @ w1 + b1)
    h = relu(h @ w2 + b2)
    return h @ w3 + b3


def mlp_tiny_jax(jax: Any, options: Options) -> Step:
    weights, biases, x, y = mlp_tiny_numbers()
    x, y = jax.numpy.asarray(x), jax.numpy.asarray(y)

    def loss(parameters: list[Any]) -> Any:
        return jax.numpy.mean((outputs(jax.nn.relu, x, parameters) - y) ** 2)

    return jax_optimizers.adam(jax, loss, [jax.numpy.asarray(a) for a in weights + biases], 1e-3)


def mlp_tiny_onestep(torch: Any, options: Options) -> Step:
    weights, biases, x, y = mlp_tiny_numbers()
    parameters = [torch.tensor(a, requires_grad=True) for a in weights + biases]
    x, y = torch.tensor(x), torch.tensor(y)

    def loss() -> Any:
        return torch.nn.functional.mse_loss(outputs(torch.relu, x, parameters), y)

    return torch_onestep.adam(torch, loss, parameters, 1e-3)


# W6: 784-256-128-10 on 64 samples, cross-entropy.


def mlp_mnist(torch: Any, options: Options) -> Step:
    weights, biases, x, y = mlp_mnist_numbers()
    model = mlp(torch, weights, biases)
    x, y = torch.tensor(x), torch.tensor(y)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options.optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp_mnist_tensorflow(tf: Any, options: Options) -> Step:
    weights, biases, x, y = mlp_mnist_numbers()
    w1, w2, w3, b1, b2, b3 = parameters = [tf.Variable(a) for a in weights + biases]
    x, y = tf.constant(x), tf.constant(y)
    update = tensorflow_optimizers.adam(tf, parameters, 1e-3)

    def step() -> Any:
        with tf.GradientTape() as tape:
            h = tf.nn.relu(tf.matmul(x, w1) + b1)
            h = tf.nn.relu(tf.matmul(h, w2) + b2)
            logits = tf.matmul(h, w3) + b3
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
        update(tape.gradient(loss, parameters))
        return loss

    return step


def mlp_mnist_jax(jax: Any, options: Options) -> Step:
    weights, biases, x, y = mlp_mnist_numbers()
    x, y = jax.numpy.asarray(x), jax.numpy.asarray(y)

    def loss(parameters: list[Any]) -> Any:
        return jax_optimizers.cross_entropy(jax, outputs(jax.nn.relu, x, parameters), y)

    return jax_optimizers.adam(jax, loss, [jax.numpy.asarray(a) for a in weights + biases], 1e-3)


def mlp_mnist_onestep(torch: Any, options: Options) -> Step:
    weights, biases, x, y = mlp_mnist_numbers()
    parameters = [torch.tensor(a, requires_grad=True) for a in weights + biases]
    x, y = torch.tensor(x), torch.tensor(y)

    def loss() -> Any:
        return torch.nn.functional.cross_entropy(outputs(torch.relu, x, parameters), y)

    return torch_onestep.adam(torch, loss, parameters, 1e-3)


WORKLOADS = [
    Workload(
        "W5",
        "mlp-tiny",
        "4-64-64-2, ReLU, 32 samples, mean squared error; Adam",
        {
            "torch": mlp_tiny,
            "tensorflow": mlp_tiny_tensorflow,
            "jax": mlp_tiny_jax,
            "torch-onestep": mlp_tiny_onestep,
        },
        {"torch": 1 / 4, "tf": 1 / 40},
        reads=frozenset({"optimizer"}),
    ),
    Workload(
        "W6",
        "mlp-mnist",
        "784-256-128-10, ReLU, 64 samples, cross-entropy; Adam",
        {
            "torch": mlp_mnist,
            "tensorflow": mlp_mnist_tensorflow,
            "jax": mlp_mnist_jax,
            "torch-onestep": mlp_mnist_onestep,
        },
        {"torch": 0.65},
        reads=frozenset({"optimizer"}),
        flops=2.0 * 64 * (2 * 784 * 256 + 3 * (256 * 128 + 128 * 10)),
        rtol=5e-5,  # Adam's first steps divide tiny gradients by their own size and so magnify rounding
    ),
]
