"""W7: a network that learns Burgers' equation: derivatives of a network by its inputs, inside the loss."""

from typing import Any

import numpy as np

from . import jax_optimizers, tensorflow_optimizers, torch_onestep
from .mlps import mlp_numbers
from .workload import Options, Step, Workload


def numbers() -> tuple[list[Any], list[Any], Any, Any]:
    rs = np.random.RandomState(0)
    weights, biases = mlp_numbers(rs, [2, 64, 64, 64, 1])
    t, x = rs.rand(256, 1), rs.rand(256, 1) * 2 - 1
    return weights, biases, t.astype(np.float32), x.astype(np.float32)


def derivatives(torch: Any, model: Any, t: Any, x: Any) -> Any:
    """u, u_t, u_x and u_xx."""
    u = model(torch.cat([t, x], 1))
    u_t, u_x = torch.autograd.grad(u.sum(), [t, x], create_graph=True)
    (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
    return u, u_t, u_x, u_xx


def derivatives_of_functions(torch: Any, model: Any, t: Any, x: Any) -> Any:
    """The same for torch.compile, which cannot differentiate what came out of a compiled graph twice."""

    def network(t: Any, x: Any) -> Any:
        u = model(torch.cat([t, x], 1))
        return u.sum(), u

    def by_x(x: Any) -> Any:
        (u_t, u_x), u = torch.func.grad(network, (0, 1), has_aux=True)(t, x)
        return u_x.sum(), (u, u_t, u_x)

    u_xx, (u, u_t, u_x) = torch.func.grad(by_x, has_aux=True)(x)
    return u, u_t, u_x, u_xx


def pinn(torch: Any, options: Options) -> Step:
    weights, biases, t, x = numbers()
    layers = []
    for weight, bias in zip(weights, biases, strict=True):
        linear = torch.nn.Linear(*weight.shape)
        linear.load_state_dict({"weight": torch.tensor(weight.T), "bias": torch.tensor(bias)})
        layers += [linear, torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    t, x = (torch.tensor(a, requires_grad=not options.functional) for a in (t, x))
    derive = derivatives_of_functions if options.functional else derivatives
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options.optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        u, u_t, u_x, u_xx = derive(torch, model, t, x)
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


def pinn_jax(jax: Any, options: Options) -> Step:
    weights, biases, t, x = numbers()
    jnp = jax.numpy
    t, x = jnp.asarray(t), jnp.asarray(x)

    def loss(parameters: list[Any]) -> Any:
        w1, w2, w3, w4, b1, b2, b3, b4 = parameters

        def network(t: Any, x: Any) -> Any:
            h = jnp.tanh(jnp.concatenate([t, x], 1) @ w1 + b1)
            h = jnp.tanh(h @ w2 + b2)
            h = jnp.tanh(h @ w3 + b3)
            u = h @ w4 + b4
            return jnp.sum(u), u

        def by_x(x: Any) -> Any:
            (u_t, u_x), u = jax.grad(network, (0, 1), has_aux=True)(t, x)
            return jnp.sum(u_x), (u, u_t, u_x)

        u_xx, (u, u_t, u_x) = jax.grad(by_x, has_aux=True)(x)
        return jnp.mean((u_t + u * u_x - 0.01 * u_xx) ** 2)

    return jax_optimizers.adam(jax, loss, [jnp.asarray(a) for a in weights + biases], 1e-3)


def pinn_onestep(torch: Any, options: Options) -> Step:
    weights, biases, t, x = numbers()
    parameters = [torch.tensor(a, requires_grad=True) for a in weights + biases]
    w1, w2, w3, w4, b1, b2, b3, b4 = parameters
    t, x = torch.tensor(t, requires_grad=True), torch.tensor(x, requires_grad=True)

    def loss() -> Any:
        h = torch.tanh(torch.cat([t, x], 1) @ w1 + b1)
        h = torch.tanh(h @ w2 + b2)
        h = torch.tanh(h @ w3 + b3)
        u = h @ w4 + b4
        u_t, u_x = torch.autograd.grad(u.sum(), [t, x], create_graph=True)
        (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
        return ((u_t + u * u_x - 0.01 * u_xx) ** 2).mean()

    return torch_onestep.adam(torch, loss, parameters, 1e-3)


WORKLOADS = [
    Workload(
        "W7",
        "pinn",
        "Burgers' equation: second derivatives of a tanh network inside the loss, 256 points; Adam",
        {
            "torch": pinn,
            "tensorflow": pinn_tensorflow,
            "jax": pinn_jax,
            "torch-onestep": pinn_onestep,
        },
        {"torch": 0.4},
        reads=frozenset({"optimizer", "functional"}),
        rtol=1e-4,  # Adam's first steps divide tiny gradients by their own size and so magnify rounding
        flops=51_150_848,
    ),
]
