"""W1 to W3: linear regression, control flow on values, a custom gradient. Almost nothing but overhead."""

from typing import Any

import numpy as np

from . import jax_optimizers, tensorflow_optimizers, torch_onestep
from .workload import Options, Step, Workload

# W1: three points, a weight, a bias, SGD.


def linear_regression_numbers() -> list[Any]:
    rs = np.random.RandomState(0)
    x, y, w = rs.randn(3, 1), rs.randn(3, 1), rs.randn(1, 1)
    return [a.astype(np.float32) for a in (x, y, w, np.zeros(1))]


def linear_regression(torch: Any, options: Options) -> Step:
    x, y, w, b = (torch.tensor(a) for a in linear_regression_numbers())
    w.requires_grad_()
    b.requires_grad_()
    optimizer = torch.optim.SGD([w, b], lr=0.01, **options.optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        loss = torch.mean((torch.matmul(x, w) + b - y) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    return step


def linear_regression_tensorflow(tf: Any, options: Options) -> Step:
    x, y, w, b = linear_regression_numbers()
    x, y, w, b = tf.constant(x), tf.constant(y), tf.Variable(w), tf.Variable(b)
    update = tensorflow_optimizers.sgd(tf, [w, b], 0.01)

    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.matmul(x, w) + b - y))
        update(tape.gradient(loss, [w, b]))
        return loss

    return step


def linear_regression_jax(jax: Any, options: Options) -> Step:
    x, y, *parameters = (jax.numpy.asarray(a) for a in linear_regression_numbers())

    def loss(parameters: list[Any]) -> Any:
        w, b = parameters
        return jax.numpy.mean((x @ w + b - y) ** 2)

    return jax_optimizers.sgd(jax, loss, parameters, 0.01)


def linear_regression_onestep(torch: Any, options: Options) -> Step:
    x, y, w, b = (torch.tensor(a) for a in linear_regression_numbers())
    parameters = [w.requires_grad_(), b.requires_grad_()]
    return torch_onestep.sgd(torch, lambda: torch.mean((x @ w + b - y) ** 2), parameters, 0.01)


# W2: a Python `if` decides, from the data, which function is differentiated.


def control_flow(torch: Any, options: Options) -> Step:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)

    def step() -> Any:
        x.grad = None
        y = x**2 if torch.sum(x) > 5 else torch.sqrt(x)
        torch.sum(y).backward()
        return x.grad

    return step


def control_flow_tensorflow(tf: Any, options: Options) -> Step:
    x = tf.Variable([1.0, 2.0, 3.0, 4.0])

    def step() -> Any:
        with tf.GradientTape() as tape:
            y = tf.square(x) if tf.reduce_sum(x) > 5 else tf.sqrt(x)
            loss = tf.reduce_sum(y)
        return tape.gradient(loss, x)

    return step


def control_flow_jax(jax: Any, options: Options) -> Step:
    jnp = jax.numpy

    def chosen(x: Any) -> Any:
        return jax.lax.cond(jnp.sum(x) > 5, jnp.square, jnp.sqrt, x)

    return jax_optimizers.differentiated(jax, chosen, jnp.array([1.0, 2.0, 3.0, 4.0]))


def control_flow_onestep(torch: Any, options: Options) -> Step:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)

    def step() -> Any:
        y = torch.where(torch.sum(x) > 5, x**2, torch.sqrt(x))
        return torch.autograd.grad(torch.sum(y), x)

    return torch_onestep.compiled(torch, step)


# W3: a logarithm that brings its own derivative.


def logarithm(torch: Any) -> Any:
    class Log(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.log(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g / x

    return Log.apply


def custom_gradient(torch: Any, options: Options) -> Step:
    log, x = logarithm(torch), torch.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def step() -> Any:
        x.grad = None
        torch.sum(log(x)).backward()
        return x.grad

    return step


def custom_gradient_tensorflow(tf: Any, options: Options) -> Step:
    @tf.custom_gradient
    def log(x: Any) -> Any:
        return tf.math.log(x), lambda g: g / x

    x = tf.Variable([1.0, 2.0, 3.0])

    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(log(x))
        return tape.gradient(loss, x)

    return step


def custom_gradient_jax(jax: Any, options: Options) -> Step:
    @jax.custom_vjp
    def log(x: Any) -> Any:
        return jax.numpy.log(x)

    log.defvjp(lambda x: (jax.numpy.log(x), x), lambda x, g: (g / x,))
    return jax_optimizers.differentiated(jax, log, jax.numpy.array([1.0, 2.0, 3.0]))


def custom_gradient_onestep(torch: Any, options: Options) -> Step:
    log, x = logarithm(torch), torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    return torch_onestep.compiled(torch, lambda: torch.autograd.grad(torch.sum(log(x)), x))


TARGETS = {"torch": 1 / 8, "tf": 1 / 40}

WORKLOADS = [
    Workload(
        "W1",
        "linear regression",
        "3 points, a weight and a bias, mean squared error; SGD",
        {
            "torch": linear_regression,
            "tensorflow": linear_regression_tensorflow,
            "jax": linear_regression_jax,
            "torch-onestep": linear_regression_onestep,
        },
        TARGETS,
        reads=frozenset({"optimizer"}),
    ),
    Workload(
        "W2",
        "control flow",
        "a Python if on a tensor's value decides which function is differentiated",
        {
            "torch": control_flow,
            "tensorflow": control_flow_tensorflow,
            "jax": control_flow_jax,
            "torch-onestep": control_flow_onestep,
        },
        TARGETS,
    ),
    Workload(
        "W3",
        "custom gradient",
        "a logarithm of 3 numbers whose derivative the program brings itself",
        {
            "torch": custom_gradient,
            "tensorflow": custom_gradient_tensorflow,
            "jax": custom_gradient_jax,
            "torch-onestep": custom_gradient_onestep,
        },
        TARGETS,
    ),
]
