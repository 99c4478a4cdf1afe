"""W8: an LSTM cell, 50 steps in a Python loop."""

from typing import Any

import numpy as np

from . import jax_optimizers, tensorflow_optimizers, torch_onestep
from .workload import Options, Step, Workload

STEPS, INPUT, HIDDEN, BATCH = 50, 64, 128, 32


def numbers() -> list[Any]:
    rs = np.random.RandomState(0)
    w_ih = rs.randn(INPUT, 4 * HIDDEN) / np.sqrt(INPUT)
    w_hh = rs.randn(HIDDEN, 4 * HIDDEN) / np.sqrt(HIDDEN)
    x, y = rs.randn(STEPS, BATCH, INPUT), rs.randn(BATCH, HIDDEN)
    return [a.astype(np.float32) for a in (w_ih, w_hh, np.zeros(4 * HIDDEN), x, y)]


def lstm(torch: Any, options: Options) -> Step:
    return lstm_cell(torch, options) if options.cells else lstm_formula(torch, options)


def lstm_formula(torch: Any, options: Options) -> Step:
    w_ih, w_hh, b, x, y = (torch.tensor(a) for a in numbers())
    parameters = [w.requires_grad_() for w in (w_ih, w_hh, b)]
    optimizer = torch.optim.SGD(parameters, lr=0.01, **options.optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        h = c = torch.zeros(BATCH, HIDDEN)
        for t in range(STEPS):
            gates = x[t] @ w_ih + h @ w_hh + b
            i, f, g, o = gates.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        loss = ((h - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


def lstm_cell(torch: Any, options: Options) -> Step:
    w_ih, w_hh, b, x, y = (torch.tensor(a) for a in numbers())
    cell = torch.nn.LSTMCell(INPUT, HIDDEN)
    cell.load_state_dict(
        {"weight_ih": w_ih.T, "weight_hh": w_hh.T, "bias_ih": b, "bias_hh": torch.zeros_like(b)}
    )
    cell.bias_hh.requires_grad_(False)  # the workload has one bias
    trained = [p for p in cell.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, **options.optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        h = c = torch.zeros(BATCH, HIDDEN)
        for t in range(STEPS):
            h, c = cell(x[t], (h, c))
        loss = ((h - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


def lstm_tensorflow(tf: Any, options: Options) -> Step:
    w_ih, w_hh, b, x, y = numbers()
    w_ih, w_hh, b = parameters = [tf.Variable(a) for a in (w_ih, w_hh, b)]
    x, y = tf.constant(x), tf.constant(y)
    update = tensorflow_optimizers.sgd(tf, parameters, 0.01)

    def step() -> Any:
        with tf.GradientTape() as tape:
            h = c = tf.zeros([BATCH, HIDDEN])
            for t in range(STEPS):
                gates = tf.matmul(x[t], w_ih) + tf.matmul(h, w_hh) + b
                i, f, g, o = tf.split(gates, 4, 1)
                c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
                h = tf.sigmoid(o) * tf.tanh(c)
            loss = tf.reduce_mean(tf.square(h - y))
        update(tape.gradient(loss, parameters))
        return loss

    return step


def lstm_jax(jax: Any, options: Options) -> Step:
    jnp, nn = jax.numpy, jax.nn
    *parameters, x, y = (jnp.asarray(a) for a in numbers())

    def loss(parameters: list[Any]) -> Any:
        w_ih, w_hh, b = parameters

        def cell(state: Any, now: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(now @ w_ih + h @ w_hh + b, 4, 1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
            return (nn.sigmoid(o) * jnp.tanh(c), c), None

        zeros = jnp.zeros((BATCH, HIDDEN))
        (h, _), _ = jax.lax.scan(cell, (zeros, zeros), x)
        return jnp.mean((h - y) ** 2)

    return jax_optimizers.sgd(jax, loss, parameters, 0.01)


def lstm_onestep(torch: Any, options: Options) -> Step:
    w_ih, w_hh, b, x, y = (torch.tensor(a) for a in numbers())
    parameters = [w.requires_grad_() for w in (w_ih, w_hh, b)]

    def loss() -> Any:
        h = c = torch.zeros(BATCH, HIDDEN)
        for t in range(STEPS):
            i, f, g, o = (x[t] @ w_ih + h @ w_hh + b).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return ((h - y) ** 2).mean()

    return torch_onestep.sgd(torch, loss, parameters, 0.01)


WORKLOADS = [
    Workload(
        "W8",
        "lstm",
        "an LSTM cell of 128 units over 50 steps, 32 samples; SGD",
        {
            "torch": lstm,
            "tensorflow": lstm_tensorflow,
            "jax": lstm_jax,
            "torch-onestep": lstm_onestep,
        },
        {"torch": 0.5},
        reads=frozenset({"optimizer", "cells"}),
        flops=2.0 * STEPS * BATCH * 4 * HIDDEN * (2 * INPUT + 3 * HIDDEN),
    ),
]
