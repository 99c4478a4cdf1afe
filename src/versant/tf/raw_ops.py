"""Those of tf.raw_ops that training loops call: updates of variables. All arguments are keywords."""

from typing import Any

import versant
from versant import _core
from versant.optim.plan import Batch
from versant.optim.rule import Terms, m, rule
from versant.optim.steps import adam_step, sgd_step

__all__ = ["ResourceApplyAdam", "ResourceApplyGradientDescent", "ResourceApplyMomentum"]


def _number(value: Any) -> float:
    return float(value)


def _updated(program: Any, numbers: dict[str, Any], var: Any, grad: Any, buffers: dict[str, Any]) -> None:
    if _core.is_tracing():
        _recorded(program, numbers, var, grad, buffers)
        return
    batch = Batch(False, {}, {name: [buffer] for name, buffer in buffers.items()})
    batch.params.append(var)
    var.grad = _core.plain(grad)
    program(batch, {name: _number(value) for name, value in numbers.items()})
    var.grad = None


def _recorded(program: Any, numbers: dict[str, Any], var: Any, grad: Any, buffers: dict[str, Any]) -> None:
    """The same by ordinary ops: numbers in tensors stay numbers of each replay."""
    from versant.optim.rule import evaluate

    outputs = program.outputs(tuple(buffers), tuple(numbers), ())
    with versant.no_grad():
        given = [x if isinstance(x, float | int) else _core.plain(x) for x in numbers.values()]
        values = [_core.plain(var), _core.plain(grad), *(_core.plain(b) for b in buffers.values()), *given]
        results = evaluate(list(outputs.values()), values)
        for name, result in zip(outputs, results, strict=True):
            (var if name == "param" else buffers[name]).copy_(result)


@rule
def descent(t: Terms) -> Any:
    return {"param": t.param - t.alpha * t.grad}


def ResourceApplyGradientDescent(
    var: Any, alpha: Any, delta: Any, use_locking: bool = False, name: Any = None
) -> None:
    """var -= alpha * delta."""
    if _core.is_tracing():
        _recorded(descent, {"alpha": alpha}, var, delta, {})
    else:
        sgd_step([var], [delta], None, float(alpha), 0.0, 0.0, 0.0, False, False, False)


@rule
def momentum(t: Terms) -> Any:
    total = t.accum * t.momentum + t.grad
    return {"accum": total, "param": t.param - t.lr * total}


def ResourceApplyMomentum(
    var: Any,
    accum: Any,
    lr: Any,
    grad: Any,
    momentum: Any,
    use_locking: bool = False,
    use_nesterov: bool = False,
    name: Any = None,
) -> None:
    """accum = momentum * accum + grad; var -= lr * accum."""
    if use_nesterov:
        raise ValueError("[ResourceApplyMomentum] use_nesterov is not supported; use tf.optimizers.SGD")
    _updated(globals()["momentum"], {"momentum": momentum, "lr": lr}, var, grad, {"accum": accum})


_LATE = 2**40  # a step at which the machine's own corrections of bias are 1


@rule
def adam(t: Terms) -> Any:
    mean = t.m + (t.grad - t.m) * (1.0 - t.beta1)
    square = t.v + (t.grad * t.grad - t.v) * (1.0 - t.beta2)
    alpha = t.lr * m.sqrt(1.0 - t.beta2_power) / (1.0 - t.beta1_power)
    return {"m": mean, "v": square, "param": t.param - mean * alpha / (m.sqrt(square) + t.epsilon)}


def ResourceApplyAdam(
    var: Any,
    m: Any,
    v: Any,
    beta1_power: Any,
    beta2_power: Any,
    lr: Any,
    beta1: Any,
    beta2: Any,
    epsilon: Any,
    grad: Any,
    use_locking: bool = False,
    use_nesterov: bool = False,
    name: Any = None,
) -> None:
    """A step of Adam, with epsilon added before the bias of v is corrected."""
    if use_nesterov:
        raise ValueError("[ResourceApplyAdam] use_nesterov is not supported; use tf.optimizers.Nadam")
    if not _core.is_tracing():
        rate = float(lr) * (1 - float(beta2_power)) ** 0.5 / (1 - float(beta1_power))
        adam_step(
            [var],
            [grad],
            [m],
            [v],
            None,
            _LATE,
            rate,
            float(beta1),
            float(beta2),
            float(epsilon),
            0.0,
            True,
            False,
        )
        return
    numbers = {
        "beta1_power": beta1_power,
        "beta2_power": beta2_power,
        "lr": lr,
        "beta1": beta1,
        "beta2": beta2,
        "epsilon": epsilon,
    }
    _updated(adam, numbers, var, grad, {"m": m, "v": v})
