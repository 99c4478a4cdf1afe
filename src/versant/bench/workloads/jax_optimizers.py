"""SGD and Adam for JAX: compiled steps that own their parameters."""

from collections.abc import Callable
from typing import Any

from .workload import Step

Loss = Callable[[Any], Any]  # of the list of parameters


def sgd(jax: Any, loss: Loss, parameters: list[Any], lr: float) -> Step:
    def advance(parameters: list[Any]) -> Any:
        value, gradients = jax.value_and_grad(loss)(parameters)
        return [p - lr * g for p, g in zip(parameters, gradients, strict=True)], value

    return repeated(jax, advance, parameters)


def adam(jax: Any, loss: Loss, parameters: list[Any], lr: float) -> Step:
    jnp = jax.numpy

    def advance(state: Any) -> Any:
        t, parameters, means, squares = state
        value, gradients = jax.value_and_grad(loss)(parameters)
        t = t + 1.0
        means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients, strict=True)]
        squares = [0.999 * v + 0.001 * g * g for v, g in zip(squares, gradients, strict=True)]
        first, second = 1 - 0.9**t, 1 - 0.999**t  # the corrections of the bias
        parameters = [
            p - lr * (m / first) / (jnp.sqrt(v / second) + 1e-8)
            for p, m, v in zip(parameters, means, squares, strict=True)
        ]
        return (t, parameters, means, squares), value

    zeros = [[jnp.zeros_like(p) for p in parameters] for _ in range(2)]
    return repeated(jax, advance, (jnp.float32(0.0), parameters, *zeros))


def repeated(jax: Any, advance: Callable[[Any], Any], state: Any) -> Step:
    """Carries the state from step to step; its memory is used again. A step waits until it is done."""
    advance = jax.jit(advance, donate_argnums=0)

    def step() -> Any:
        nonlocal state
        state, value = jax.block_until_ready(advance(state))
        return value

    return step
