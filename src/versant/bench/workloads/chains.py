"""W4: a thousand ops on one number, one after the other. What an op costs beside its arithmetic."""

from typing import Any

from . import jax_optimizers, torch_onestep
from .workload import Options, Step, Workload

# W4: times 1.0001, plus 0.001, tanh, in turn: 333 times all three and once more the first make 1000 ops.


def chain(torch: Any, options: Options) -> Step:
    x = torch.tensor([0.5], requires_grad=True)

    def step() -> Any:
        x.grad = None
        y = x
        for _ in range(333):
            y = torch.tanh(y * 1.0001 + 0.001)
        y = y * 1.0001
        y.backward()
        return x.grad

    return step


def chain_tensorflow(tf: Any, options: Options) -> Step:
    x = tf.constant([0.5])

    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(333):
                y = tf.tanh(y * 1.0001 + 0.001)
            y = y * 1.0001
        return tape.gradient(y, x)

    return step


def chain_jax(jax: Any, options: Options) -> Step:
    def function(y: Any) -> Any:
        for _ in range(333):
            y = jax.numpy.tanh(y * 1.0001 + 0.001)
        return y * 1.0001

    return jax_optimizers.differentiated(jax, function, jax.numpy.array([0.5]))


def chain_onestep(torch: Any, options: Options) -> Step:
    x = torch.tensor([0.5], requires_grad=True)

    def step() -> Any:
        y = x
        for _ in range(333):
            y = torch.tanh(y * 1.0001 + 0.001)
        return torch.autograd.grad(y * 1.0001, x)

    return torch_onestep.compiled(torch, step)


# W4a: a thousand additions, no gradient wanted.


def adds(torch: Any, options: Options) -> Step:
    x, c = torch.tensor([0.5]), torch.tensor([0.25])

    def step() -> Any:
        with torch.inference_mode():
            y = x
            for _ in range(1000):
                y = y + c
            return y

    return step


def adds_tensorflow(tf: Any, options: Options) -> Step:
    x, c = tf.constant([0.5]), tf.constant([0.25])

    def step() -> Any:
        y = x
        for _ in range(1000):
            y = y + c
        return y

    return step


def added(x: Any, c: Any) -> Any:
    for _ in range(1000):
        x = x + c
    return x


def adds_jax(jax: Any, options: Options) -> Step:
    x, c = jax.numpy.array([0.5]), jax.numpy.array([0.25])
    add = jax.jit(added)
    return lambda: add(x, c).block_until_ready()


# W4b: the same additions, then the gradient with respect to the first number.


def adds_and_backward(torch: Any, options: Options) -> Step:
    x, c = torch.tensor([0.5], requires_grad=True), torch.tensor([0.25])

    def step() -> Any:
        x.grad = None
        y = x
        for _ in range(1000):
            y = y + c
        y.backward()
        return x.grad

    return step


def adds_and_backward_tensorflow(tf: Any, options: Options) -> Step:
    x, c = tf.constant([0.5]), tf.constant([0.25])

    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(1000):
                y = y + c
        return tape.gradient(y, x)

    return step


def adds_and_backward_jax(jax: Any, options: Options) -> Step:
    c = jax.numpy.array([0.25])
    return jax_optimizers.differentiated(jax, lambda x: added(x, c), jax.numpy.array([0.5]))


def adds_and_backward_onestep(torch: Any, options: Options) -> Step:
    x, c = torch.tensor([0.5], requires_grad=True), torch.tensor([0.25])
    return torch_onestep.compiled(torch, lambda: torch.autograd.grad(added(x, c), x))


WORKLOADS = [
    Workload(
        "W4",
        "op chain",
        "1000 ops on one number, one after the other, and the gradient",
        {
            "torch": chain,
            "tensorflow": chain_tensorflow,
            "jax": chain_jax,
            "torch-onestep": chain_onestep,
        },
        {"torch": 1 / 20, "tf": 1 / 40},
        rtol=1e-4,  # the rounding of 333 hyperbolic tangents adds up
    ),
    Workload(
        "W4a",
        "adds, forward",
        "1000 additions of one number, no gradient wanted",
        {"torch": adds, "tensorflow": adds_tensorflow, "jax": adds_jax},
        {"torch": 1 / 10, "tf": 1 / 40},
    ),
    Workload(
        "W4b",
        "adds, and backward",
        "1000 additions of one number, and the gradient",
        {
            "torch": adds_and_backward,
            "tensorflow": adds_and_backward_tensorflow,
            "jax": adds_and_backward_jax,
            "torch-onestep": adds_and_backward_onestep,
        },
        {"torch": 1 / 12, "tf": 1 / 40},
    ),
]
