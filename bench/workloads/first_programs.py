"""W1 to W3: linear regression, control flow on values, a custom gradient. Almost nothing but overhead."""

import numpy as np

from workloads import tensorflow_optimizers
from workloads.workload import Workload

# W1: three points, a weight, a bias, SGD.


def linear_regression_numbers():
    rs = np.random.RandomState(0)
    x, y, w = rs.randn(3, 1), rs.randn(3, 1), rs.randn(1, 1)
    return [a.astype(np.float32) for a in (x, y, w, np.zeros(1))]


def linear_regression(torch, options):
    x, y, w, b = (torch.tensor(a) for a in linear_regression_numbers())
    w.requires_grad_()
    b.requires_grad_()
    optimizer = torch.optim.SGD([w, b], lr=0.01, **options.optimizer)

    def step():
        optimizer.zero_grad()
        loss = torch.mean((torch.matmul(x, w) + b - y) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    return step


def linear_regression_tensorflow(tf, options):
    x, y, w, b = linear_regression_numbers()
    x, y, w, b = tf.constant(x), tf.constant(y), tf.Variable(w), tf.Variable(b)
    update = tensorflow_optimizers.sgd(tf, [w, b], 0.01)

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.matmul(x, w) + b - y))
        update(tape.gradient(loss, [w, b]))
        return loss

    return step


# W2: a Python `if` decides, from the data, which function is differentiated.


def control_flow(torch, options):
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)

    def step():
        x.grad = None
        y = x**2 if torch.sum(x) > 5 else torch.sqrt(x)
        torch.sum(y).backward()
        return x.grad

    return step


def control_flow_tensorflow(tf, options):
    x = tf.Variable([1.0, 2.0, 3.0, 4.0])

    def step():
        with tf.GradientTape() as tape:
            y = tf.square(x) if tf.reduce_sum(x) > 5 else tf.sqrt(x)
            loss = tf.reduce_sum(y)
        return tape.gradient(loss, x)

    return step


# W3: a logarithm that brings its own derivative.


def custom_gradient(torch, options):
    class Log(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.log(x)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g / x

    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def step():
        x.grad = None
        torch.sum(Log.apply(x)).backward()
        return x.grad

    return step


def custom_gradient_tensorflow(tf, options):
    @tf.custom_gradient
    def log(x):
        return tf.math.log(x), lambda g: g / x

    x = tf.Variable([1.0, 2.0, 3.0])

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(log(x))
        return tape.gradient(loss, x)

    return step


TARGETS = {"torch": 1 / 8, "tf": 1 / 40}

WORKLOADS = [
    Workload(
        "W1",
        "linear regression",
        {"torch": linear_regression, "tensorflow": linear_regression_tensorflow},
        TARGETS,
        reads=frozenset({"optimizer"}),
    ),
    Workload("W2", "control flow", {"torch": control_flow, "tensorflow": control_flow_tensorflow}, TARGETS),
    Workload(
        "W3", "custom gradient", {"torch": custom_gradient, "tensorflow": custom_gradient_tensorflow}, TARGETS
    ),
]
