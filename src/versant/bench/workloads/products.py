"""W12 to W14: a matrix product, a big elementwise chain, attention. Arithmetic and memory, no overhead."""

from typing import Any

import numpy as np

from . import torch_onestep
from .workload import Options, Step, Workload, total, total_size

# W12: 1024 x 1024 times 1024 x 1024.

SIDE = 1024


def product(torch: Any, options: Options, dtype: str = "float32") -> Step:
    rs = np.random.RandomState(0)
    a, b = (torch.tensor(rs.randn(SIDE, SIDE).astype(np.float32)).to(getattr(torch, dtype)) for _ in range(2))

    def step() -> Any:
        with torch.inference_mode():
            return a @ b

    return step


def product_bfloat16(torch: Any, options: Options) -> Step:
    return product(torch, options, "bfloat16")


def product_tensorflow(tf: Any, options: Options, dtype: str = "float32") -> Step:
    rs = np.random.RandomState(0)
    a, b = (tf.cast(rs.randn(SIDE, SIDE).astype(np.float32), dtype) for _ in range(2))
    return lambda: tf.matmul(a, b)


def product_bfloat16_tensorflow(tf: Any, options: Options) -> Step:
    return product_tensorflow(tf, options, "bfloat16")


def product_jax(jax: Any, options: Options, dtype: str = "float32") -> Step:
    rs = np.random.RandomState(0)
    a, b = (jax.numpy.asarray(rs.randn(SIDE, SIDE).astype(np.float32)).astype(dtype) for _ in range(2))
    multiply = jax.jit(jax.numpy.matmul)
    return lambda: multiply(a, b).block_until_ready()


def product_bfloat16_jax(jax: Any, options: Options) -> Step:
    return product_jax(jax, options, "bfloat16")


# W13: tanh(x y + 1.5) sigmoid(x) + exp(-y y) over four million elements, and both gradients.

ELEMENTS = 4 * 1024 * 1024


def chain_numbers() -> list[Any]:
    rs = np.random.RandomState(0)
    return [rs.randn(ELEMENTS).astype(np.float32) for _ in range(2)]


def chain(torch: Any, options: Options) -> Step:
    x, y = (torch.tensor(a, requires_grad=True) for a in chain_numbers())

    def step() -> Any:
        z = torch.tanh(x * y + 1.5) * torch.sigmoid(x) + torch.exp(-y * y)
        return torch.autograd.grad(z.sum(), [x, y])

    return step


def chain_tensorflow(tf: Any, options: Options) -> Step:
    x, y = (tf.constant(a) for a in chain_numbers())

    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            z = tf.tanh(x * y + 1.5) * tf.sigmoid(x) + tf.exp(-y * y)
            loss = tf.reduce_sum(z)
        return tape.gradient(loss, [x, y])

    return step


def chain_jax(jax: Any, options: Options) -> Step:
    x, y = (jax.numpy.asarray(a) for a in chain_numbers())
    jnp = jax.numpy

    def total(x: Any, y: Any) -> Any:
        return jnp.sum(jnp.tanh(x * y + 1.5) * jax.nn.sigmoid(x) + jnp.exp(-y * y))

    gradients = jax.jit(jax.grad(total, (0, 1)))
    return lambda: jax.block_until_ready(gradients(x, y))


def chain_onestep(torch: Any, options: Options) -> Step:
    return torch_onestep.compiled(torch, chain(torch, options))


def chain_value(gradients: list[Any]) -> float:
    by_x, by_y = gradients
    return total([by_x]) + total_size([by_y])


# W14: causal attention of 2 x 8 heads, 1024 positions of 64 numbers, and its three gradients.

HEADS, LENGTH, SIZE = (2, 8), 1024, 64


def attention_numbers() -> list[Any]:
    rs = np.random.RandomState(0)
    return [rs.randn(*HEADS, LENGTH, SIZE).astype(np.float32) for _ in range(4)]


def attention(torch: Any, options: Options) -> Step:
    *qkv, g = (torch.tensor(a) for a in attention_numbers())
    q, k, v = (t.requires_grad_() for t in qkv)

    def step() -> Any:
        attended = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return torch.autograd.grad(attended, [q, k, v], g)

    return step


def attention_tensorflow(tf: Any, options: Options) -> Step:
    q, k, v, g = (tf.constant(a) for a in attention_numbers())
    mask = tf.constant(np.where(np.tri(LENGTH, dtype=bool), 0.0, -np.inf).astype(np.float32))

    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch([q, k, v])
            weights = tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / np.float32(np.sqrt(SIZE)) + mask)
            attended = tf.matmul(weights, v)
        return tape.gradient(attended, [q, k, v], output_gradients=g)

    return step


def attention_jax(jax: Any, options: Options) -> Step:
    q, k, v, g = (jax.numpy.asarray(a) for a in attention_numbers())
    mask = jax.numpy.tri(LENGTH, dtype=bool)

    def attended(q: Any, k: Any, v: Any) -> Any:
        scores = q @ k.swapaxes(2, 3) / np.float32(np.sqrt(SIZE))
        return jax.nn.softmax(jax.numpy.where(mask, scores, -jax.numpy.inf)) @ v

    gradients = jax.jit(lambda q, k, v, g: jax.vjp(attended, q, k, v)[1](g))
    return lambda: jax.block_until_ready(gradients(q, k, v, g))


def attention_onestep(torch: Any, options: Options) -> Step:
    return torch_onestep.compiled(torch, attention(torch, options))


WORKLOADS = [
    Workload(
        "W12f32",
        "matmul, float32",
        "a product of two matrices of 1024 x 1024",
        {"torch": product, "tensorflow": product_tensorflow, "jax": product_jax},
        {"torch": 0.95},
        value=total_size,
        flops=2.0 * SIDE**3,
    ),
    Workload(
        "W12bf16",
        "matmul, bfloat16",
        "a product of two bfloat16 matrices of 1024 x 1024",
        {
            "torch": product_bfloat16,
            "tensorflow": product_bfloat16_tensorflow,
            "jax": product_bfloat16_jax,
        },
        {"torch": 0.85},
        rtol=1e-3,
        value=total_size,
        flops=2.0 * SIDE**3,
    ),
    Workload(
        "W13",
        "big elementwise chain",
        "tanh(xy + 1.5) sigmoid(x) + exp(-yy) over 4 million numbers, and both gradients",
        {
            "torch": chain,
            "tensorflow": chain_tensorflow,
            "jax": chain_jax,
            "torch-onestep": chain_onestep,
        },
        {"torch": 0.6},
        value=chain_value,
        traffic=4.0 * 4 * ELEMENTS,  # both inputs read, both gradients written
    ),
    Workload(
        "W14",
        "attention",
        "causal attention, 16 heads, 1024 positions of 64 numbers, and its three gradients",
        {
            "torch": attention,
            "tensorflow": attention_tensorflow,
            "jax": attention_jax,
            "torch-onestep": attention_onestep,
        },
        {"torch": 0.7},
        value=total_size,
        flops=7.0 * 16 * LENGTH * LENGTH * SIZE,  # 7 products, half of each is masked
    ),
]
