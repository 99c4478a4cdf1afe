"""SGD and Adam for JAX: compiled steps that own their parameters, a tree of arrays."""

from collections.abc import Callable
from typing import Any

from .workload import Step

Loss = Callable[[Any], Any]  # of the parameters


def sgd(jax: Any, loss: Loss, parameters: Any, lr: float) -> Step:
    def advance(parameters: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(parameters)
        return jax.tree.map(lambda p, g: p - lr * g, parameters, gradients), value

    return repeated(jax, advance, parameters)


def adam(jax: Any, loss: Loss, parameters: Any, lr: float, weight_decay: float = 0.0) -> Step:
    """Adam; with weight_decay AdamW, which shrinks the parameters before the step."""
    jnp, tree = jax.numpy, jax.tree

    def advance(state: Any) -> Any:
        t, parameters, means, squares = state
        value, gradients = jax.value_and_grad(loss)(parameters)
        t = t + 1.0
        means = tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
        first, second = 1 - 0.9**t, 1 - 0.999**t  # the corrections of the bias

        def moved(p: Any, m: Any, v: Any) -> Any:
            return p * (1 - lr * weight_decay) - lr * (m / first) / (jnp.sqrt(v / second) + 1e-8)

        return (t, tree.map(moved, parameters, means, squares), means, squares), value

    zeros = [tree.map(jnp.zeros_like, parameters) for _ in range(2)]
    return repeated(jax, advance, (jnp.float32(0.0), parameters, *zeros))


def repeated(jax: Any, advance: Callable[[Any], Any], state: Any) -> Step:
    """Carries the state from step to step; its memory is used again. A step waits until it is done."""
    advance = jax.jit(advance, donate_argnums=0)

    def step() -> Any:
        nonlocal state
        state, value = advance(state)
        return value.block_until_ready()  # all results of a compiled function are ready at once

    return step


def differentiated(jax: Any, function: Callable[[Any], Any], x: Any) -> Step:
    """A step without state: the gradient of the function's sum at `x`."""
    gradient = jax.jit(jax.grad(lambda x: jax.numpy.sum(function(x))))
    return lambda: gradient(x).block_until_ready()


def cross_entropy(jax: Any, logits: Any, labels: Any) -> Any:
    """The mean over the rows of `logits`."""
    jnp = jax.numpy
    chosen = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)
