"""Transforms on Versant, PyTorch and JAX, in turns: microseconds, and Versant's share of each.

    python bench/transforms.py [--threads 2] [--rounds 9]
    python bench/transforms.py --python jax=../jax/bin/python    JAX that lives in another environment

The Hessian of a network of 64 inputs, and gradients of 16 samples by vmap and in a loop. Goals: the compiled
Hessian takes at most half of torch.func's and of jax.jit's time, per-sample gradients at most a fifth of the
loop's. Each column lives in a process of its own, which is stopped while another is measured. A cell is the
median over the rounds.
"""

import argparse
import importlib
import statistics
import sys
from collections.abc import Callable
from typing import Any

import turns

SLICE = 0.05  # seconds of one measurement
COLUMNS = ("versant", "versant compiled", "torch.func", "jax.jit")

Call = Callable[[], Any]


def with_torch_names(t: Any, compiled: bool) -> dict[str, Call]:
    """The programs with `t` as torch: PyTorch or Versant."""
    t.manual_seed(0)
    w1, w2, w3 = t.randn(32, 64) * 0.1, t.randn(32, 32) * 0.2, t.randn(1, 32)
    x = t.randn(64)
    func, functional = t.func, t.nn.functional
    hessian = func.hessian(lambda x: (w3 @ t.tanh(w2 @ t.tanh(w1 @ x))).sum())
    model = t.nn.Sequential(t.nn.Linear(64, 32), t.nn.Tanh(), t.nn.Linear(32, 10))
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    inputs, labels = t.randn(16, 64), t.randint(0, 10, (16,))

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        logits = func.functional_call(model, parameters, (x.unsqueeze(0),))
        return functional.cross_entropy(logits, y.unsqueeze(0))

    of_one = func.grad(loss)
    per_sample = func.vmap(of_one, in_dims=(None, 0, 0))
    if compiled:
        hessian, per_sample = t.compile(hessian), t.compile(per_sample)
    return {
        "Hessian": lambda: hessian(x),
        "per-sample gradients": lambda: per_sample(parameters, inputs, labels),
        "the same in a loop": lambda: [of_one(parameters, inputs[i], labels[i]) for i in range(16)],
    }


def with_jax(jax: Any) -> dict[str, Call]:
    numpy = jax.numpy
    keys = jax.random.split(jax.random.PRNGKey(0), 8)
    w1, w2 = jax.random.normal(keys[0], (32, 64)) * 0.1, jax.random.normal(keys[1], (32, 32)) * 0.2
    w3, x = jax.random.normal(keys[2], (1, 32)), jax.random.normal(keys[3], (64,))
    hessian = jax.jit(jax.hessian(lambda x: (w3 @ numpy.tanh(w2 @ numpy.tanh(w1 @ x))).sum()))
    parameters = {
        "a": jax.random.normal(keys[4], (32, 64)) * 0.1,
        "b": numpy.zeros(32),
        "c": jax.random.normal(keys[5], (10, 32)) * 0.1,
        "d": numpy.zeros(10),
    }
    inputs, labels = jax.random.normal(keys[6], (16, 64)), jax.random.randint(keys[7], (16,), 0, 10)

    def loss(p: Any, x: Any, y: Any) -> Any:
        logits = p["c"] @ numpy.tanh(p["a"] @ x + p["b"]) + p["d"]
        return jax.nn.logsumexp(logits) - logits[y]

    of_one = jax.jit(jax.grad(loss))
    per_sample = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))
    ready = jax.block_until_ready
    return {
        "Hessian": lambda: ready(hessian(x)),
        "per-sample gradients": lambda: ready(per_sample(parameters, inputs, labels)),
        "the same in a loop": lambda: ready([of_one(parameters, inputs[i], labels[i]) for i in range(16)]),
    }


def work(column: str, threads: int) -> None:
    name = column.split()[0].partition(".")[0]
    module = importlib.import_module(name)
    if name == "jax":
        programs = with_jax(module)
    else:
        module.set_num_threads(threads)
        programs = with_torch_names(module, "compiled" in column)
    turns.answer_by(programs, f"{column} {module.__version__}", SLICE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--python", metavar="NAME=PATH", action="append", default=[])
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.worker, arguments.threads)
    pythons = dict(pair.split("=", 1) for pair in arguments.python)
    running: dict[str, turns.Process] = {}
    try:
        for column in COLUMNS:
            name = column.split()[0].partition(".")[0]
            try:
                python = pythons.get(name, sys.executable)
                running[column] = turns.Process(__file__, column, arguments.threads, python)
            except RuntimeError as error:
                print(f"{column} is left out: {error}", file=sys.stderr)
        print(", ".join(p.about for p in running.values()), f"{arguments.threads} threads, microseconds")
        print(f"{'':24}" + "".join(f"{column:>18}" for column in running))
        medians = {}
        for name in ("Hessian", "per-sample gradients", "the same in a loop"):
            taken = [[p.measure(name) for p in running.values()] for _ in range(arguments.rounds)]
            medians[name] = dict(zip(running, map(statistics.median, zip(*taken, strict=True)), strict=True))
            print(f"{name:24}" + "".join(f"{m:18.1f}" for m in medians[name].values()), flush=True)
        ours = medians["Hessian"]["versant compiled"]
        for column in COLUMNS[2:]:
            if column in running:
                print(f"Hessian, compiled: {ours / medians['Hessian'][column]:.2f} of {column}'s (goal 0.5)")
        loop = medians["the same in a loop"]["versant"] / medians["per-sample gradients"]["versant"]
        print(f"per-sample gradients by vmap: {loop:.1f} times as fast as the loop (goal 5)")
    finally:
        for process in running.values():
            process.end()


if __name__ == "__main__":
    main()
