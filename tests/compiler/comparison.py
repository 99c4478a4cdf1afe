"""What compiled functions leave behind, in bits, to be compared with what eager ones do."""

from typing import Any

import versant as vs
from versant import nn


def bits(value: Any) -> Any:
    """A value with its tensors as bytes."""
    if isinstance(value, vs.Tensor):
        return value.dtype, tuple(value.shape), value.requires_grad, value.detach()._to_bytes()
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(item) for item in value]
    return value


def tensors_in(value: Any) -> list[vs.Tensor]:
    if isinstance(value, vs.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for item in value for t in tensors_in(item)] if isinstance(value, (list, tuple)) else []


def weighted(value: Any) -> vs.Tensor | None:
    """A number that depends on every element of what takes part in gradients."""
    total = None
    for t in tensors_in(value):
        if not t.requires_grad:
            continue
        part = (t * vs.linspace(-1, 1, t.numel()).reshape(t.shape).to(t.dtype)).sum()
        total = part if total is None else total + part
    return total


def state_of(module: nn.Module) -> Any:
    return bits([module.state_dict(), [p.grad for p in module.parameters()]])


def once(function: vs.compiler.Compiled, traces: int = 1) -> None:
    assert function.stats()["traces"] == traces, function.explain()


X = vs.linspace(-1, 1, 6).reshape(2, 3)


def follows(f, *changes, args=(X,), calls=2):
    """Compiled, f gives what it gives eagerly, before and after each change."""
    g = vs.compile(f)
    for change in (lambda: None, *changes):
        change()
        for _ in range(calls):
            vs.manual_seed(0)
            expected = bits(f(*args))
            vs.manual_seed(0)
            assert bits(g(*args)) == expected, g.explain()
    return g
