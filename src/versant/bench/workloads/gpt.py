"""W9: a small language model of the GPT kind, trained by AdamW; in float32 and under autocast(bfloat16)."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from . import jax_optimizers, tensorflow_optimizers, torch_onestep
from .workload import Options, Step, Workload

WIDTH, LAYERS, HEADS, LENGTH, BATCH, VOCABULARY = 256, 4, 4, 128, 8, 256
SIZE = WIDTH // HEADS


def numbers() -> tuple[dict[str, Any], Any, Any]:
    """Parameters by name, weights stored (inputs, outputs); tokens and the tokens that follow them."""
    rs = np.random.RandomState(0)

    def normal(n: int, m: int) -> Any:
        return (rs.randn(n, m) / np.sqrt(n)).astype(np.float32)

    parameters = {"tokens": normal(VOCABULARY, WIDTH), "positions": normal(LENGTH, WIDTH)}
    for layer in range(LAYERS):
        shapes = {"qkv": (WIDTH, 3 * WIDTH), "out": (WIDTH, WIDTH)}
        shapes |= {"up": (WIDTH, 4 * WIDTH), "down": (4 * WIDTH, WIDTH)}
        for name, (n, m) in shapes.items():
            parameters[f"{layer}.{name}.weight"] = normal(n, m)
            parameters[f"{layer}.{name}.bias"] = np.zeros(m, np.float32)
    for name in [f"{layer}.norm{k}" for layer in range(LAYERS) for k in (1, 2)] + ["norm"]:
        parameters[f"{name}.weight"] = np.ones(WIDTH, np.float32)
        parameters[f"{name}.bias"] = np.zeros(WIDTH, np.float32)
    parameters["head"] = normal(WIDTH, VOCABULARY)
    text = rs.randint(0, VOCABULARY, (BATCH, LENGTH + 1))
    return parameters, text[:, :-1].copy(), text[:, 1:].copy()


def modules(torch: Any) -> Any:
    nn = torch.nn

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            qkv = self.qkv(self.norm1(x)).view(BATCH, LENGTH, 3, HEADS, SIZE)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(attended.transpose(1, 2).reshape(BATCH, LENGTH, WIDTH))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class GPT(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions.weight
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return GPT()


def loaded(torch: Any) -> tuple[Any, Any, Any]:
    """The model with the numbers in it, and both texts."""
    parameters, tokens, following = numbers()
    model = modules(torch)
    state = {}
    for name, array in parameters.items():
        if name[0].isdigit():
            name = f"blocks.{name}"
        if name in ("tokens", "positions", "head"):
            name = f"{name}.weight"
        linear = name.endswith("weight") and array.ndim == 2 and name[0] not in "tp"
        state[name] = torch.tensor(array.T if linear else array)
    model.load_state_dict(state)
    return model, torch.tensor(tokens), torch.tensor(following)


def gpt(torch: Any, options: Options, autocast: Callable[[], Any] = contextlib.nullcontext) -> Step:
    model, tokens, following = loaded(torch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.01, **options.optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        with autocast():
            logits = model(tokens)
            loss = torch.nn.functional.cross_entropy(logits.view(-1, VOCABULARY), following.view(-1))
        loss.backward()
        optimizer.step()
        return loss

    return step


def gpt_bfloat16(torch: Any, options: Options) -> Step:
    return gpt(torch, options, lambda: torch.autocast("cpu", dtype=torch.bfloat16))


def gpt_onestep(torch: Any, options: Options, autocast: Callable[[], Any] = contextlib.nullcontext) -> Step:
    model, tokens, following = loaded(torch)

    def loss() -> Any:
        with autocast():
            logits = model(tokens)
            return torch.nn.functional.cross_entropy(logits.view(-1, VOCABULARY), following.view(-1))

    return torch_onestep.adam(torch, loss, list(model.parameters()), 3e-4, weight_decay=0.01)


def gpt_bfloat16_onestep(torch: Any, options: Options) -> Step:
    return gpt_onestep(torch, options, lambda: torch.autocast("cpu", dtype=torch.bfloat16))


def gpt_tensorflow(tf: Any, options: Options) -> Step:
    arrays, tokens, following = numbers()
    p = {name: tf.Variable(array) for name, array in arrays.items()}
    tokens, following = tf.constant(tokens), tf.constant(following)
    variables = list(p.values())
    update = tensorflow_optimizers.adam(tf, variables, 3e-4, weight_decay=0.01)
    mask = tf.constant(np.where(np.tri(LENGTH, dtype=bool), 0.0, -np.inf).astype(np.float32))

    def norm(x: Any, name: str) -> Any:
        mean = tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(x - mean), -1, keepdims=True)
        return (x - mean) * tf.math.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(x: Any, name: str) -> Any:
        return tf.matmul(x, p[f"{name}.weight"]) + p[f"{name}.bias"]

    def block(x: Any, i: int) -> Any:
        qkv = tf.reshape(linear(norm(x, f"{i}.norm1"), f"{i}.qkv"), [BATCH, LENGTH, 3, HEADS, SIZE])
        q, k, v = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
        weights = tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / np.float32(np.sqrt(SIZE)) + mask)
        attended = tf.reshape(tf.transpose(tf.matmul(weights, v), [0, 2, 1, 3]), [BATCH * LENGTH, WIDTH])
        x = x + linear(attended, f"{i}.out")
        return x + linear(tf.nn.gelu(linear(norm(x, f"{i}.norm2"), f"{i}.up"), approximate=True), f"{i}.down")

    def step() -> Any:
        with tf.GradientTape() as tape:
            x = tf.reshape(tf.gather(p["tokens"], tokens) + p["positions"], [BATCH * LENGTH, WIDTH])
            for i in range(LAYERS):
                x = block(x, i)
            logits = tf.matmul(norm(x, "norm"), p["head"])
            labels = tf.reshape(following, [-1])
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        update([tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)])
        return loss

    return step


def gpt_jax(jax: Any, options: Options, products: str = "float32") -> Step:
    """`products` is the dtype of products and of what they pass on, as under torch.autocast."""
    arrays, tokens, following = numbers()
    jnp, nn = jax.numpy, jax.nn
    tokens, following = jnp.asarray(tokens), jnp.asarray(following).reshape(-1)
    mask = jnp.tri(LENGTH, dtype=bool)

    def loss(p: dict[str, Any]) -> Any:
        def norm(x: Any, name: str) -> Any:
            mean = jnp.mean(x, -1, keepdims=True)
            variance = jnp.mean((x - mean) ** 2, -1, keepdims=True)
            return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

        def linear(x: Any, name: str) -> Any:
            weight, bias = (p[f"{name}.{part}"].astype(products) for part in ("weight", "bias"))
            return x.astype(products) @ weight + bias

        def block(x: Any, i: int) -> Any:
            qkv = linear(norm(x, f"{i}.norm1"), f"{i}.qkv").reshape(BATCH, LENGTH, 3, HEADS, SIZE)
            q, k, v = qkv.transpose(2, 0, 3, 1, 4)
            scores = (q @ k.swapaxes(2, 3)).astype("float32") / np.float32(np.sqrt(SIZE))
            weights = nn.softmax(jnp.where(mask, scores, -jnp.inf)).astype(products)
            attended = (weights @ v).transpose(0, 2, 1, 3).reshape(BATCH * LENGTH, WIDTH)
            x = x + linear(attended, f"{i}.out")
            return x + linear(nn.gelu(linear(norm(x, f"{i}.norm2"), f"{i}.up")), f"{i}.down")

        x = (p["tokens"][tokens] + p["positions"]).reshape(BATCH * LENGTH, WIDTH)
        for i in range(LAYERS):
            x = block(x, i)
        logits = norm(x, "norm").astype(products) @ p["head"].astype(products)
        return jax_optimizers.cross_entropy(jax, logits.astype("float32"), following)

    parameters = {name: jnp.asarray(array) for name, array in arrays.items()}
    return jax_optimizers.adam(jax, loss, parameters, 3e-4, weight_decay=0.01)


def gpt_bfloat16_jax(jax: Any, options: Options) -> Step:
    return gpt_jax(jax, options, "bfloat16")


TOKENS = BATCH * LENGTH
PRODUCTS = 6.0 * TOKENS * (LAYERS * 12 * WIDTH * WIDTH + WIDTH * VOCABULARY)
ATTENTION = LAYERS * 7.0 * BATCH * HEADS * LENGTH * LENGTH * SIZE  # 7 products, half of each is masked
PARAMETERS = LAYERS * (12 * WIDTH * WIDTH + 13 * WIDTH) + WIDTH * (2 * VOCABULARY + LENGTH + 2)

WORKLOADS = [
    Workload(
        "W9",
        "gpt-nano",
        "a GPT of 4 layers of width 256, 8 texts of 128 tokens; AdamW",
        {"torch": gpt, "tensorflow": gpt_tensorflow, "jax": gpt_jax, "torch-onestep": gpt_onestep},
        {"torch": 0.9},
        reads=frozenset({"optimizer"}),
        rtol=2e-5,
        flops=PRODUCTS + ATTENTION,
        traffic=28.0 * PARAMETERS,  # gradient, parameter and two moments read, the last three written
    ),
    Workload(
        "W9bf16",
        "gpt-nano, autocast",
        "W9 under autocast(bfloat16)",
        {"torch": gpt_bfloat16, "jax": gpt_bfloat16_jax, "torch-onestep": gpt_bfloat16_onestep},
        reads=frozenset({"optimizer"}),
        rtol=5e-3,  # bfloat16 keeps 8 bits
        flops=PRODUCTS + ATTENTION,
        traffic=28.0 * PARAMETERS,
        narrow="W9",
    ),
]
