"""Update rules: a step of an optimizer stated once as an expression, run over all parameters in one pass.

    @rule
    def adagrad(t, maximize, decays):
        g = gradient(t, maximize, decays)
        total = t.sum + g * g
        return {"sum": total, "param": t.param - t.rate * g / (m.sqrt(total) + t.eps)}

The machine runs the rule as one tile program: a parameter, its gradient and its buffers are read and written
once, and the result is that of the same operations applied one by one, bit for bit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import versant
from versant import Tensor, _core
from versant.ops.expression import Application, Constant, Expression, Source, in_order, lower, m, source
from versant.optim.plan import Batch


class Terms:
    """What a rule computes with, by name: param, grad, the buffers, and the numbers of the step."""

    def __init__(self, names: Sequence[str]) -> None:
        self._sources = {name: source(i) for i, name in enumerate(names)}

    def __getattr__(self, name: str) -> Source:
        try:
            return self._sources[name]
        except KeyError:
            raise AttributeError(f"[rule] there is no parameter, buffer or number {name!r}") from None

    def __contains__(self, name: str) -> bool:
        return name in self._sources


Definition = Callable[..., Mapping[str, Expression]]


class Rule:
    """definition(terms, *flags) gives the new values by name: of the parameter ("param") and the buffers."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.__doc__ = definition.__doc__
        self._programs: dict[Any, Any] = {}

    def outputs(
        self, buffers: Sequence[str], numbers: Sequence[str], flags: tuple[Any, ...]
    ) -> dict[str, Expression]:
        """The new values as expressions; the sources are param, grad, buffers and numbers in order."""
        return dict(self.definition(Terms(("param", "grad", *buffers, *numbers)), *flags))

    def __call__(self, batch: Batch, numbers: Mapping[str, Any], *flags: Any) -> None:
        """Change the parameters and buffers of a batch in place.

        numbers: what all elements share. flags: the choices that make another program.
        """
        buffers = batch.buffers
        key = (flags, *buffers, *numbers)
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = self._lowered(tuple(buffers), tuple(numbers), flags)
        _core.run_update(program, tuple(numbers.values()), batch.params, *buffers.values())

    def _lowered(self, buffers: tuple[str, ...], numbers: tuple[str, ...], flags: tuple[Any, ...]) -> Any:
        outputs = self.outputs(buffers, numbers, flags)
        places = {"param": 0} | {name: 2 + i for i, name in enumerate(buffers)}
        inputs = [source(i) for i in range(2 + len(buffers) + len(numbers))]
        program = lower(list(outputs.values()), inputs)
        targets = [places[name] for name in outputs]
        return _core.define_update(self.definition.__name__, len(buffers), len(numbers), program, targets)

    def recorded(self, batch: Batch, numbers: Mapping[str, Any], *flags: Any) -> None:
        """The same by ordinary ops, which autograd records: for `differentiable=True`.

        Parameters change in place; the buffers of `batch` are replaced.
        """
        buffers = batch.buffers
        outputs = self.outputs(tuple(buffers), tuple(numbers), flags)
        with versant.enable_grad():
            for i, parameter in enumerate(batch.params):
                tensors: list[Any] = [parameter, parameter.grad, *(b[i] for b in buffers.values())]
                pairs = parameter.is_complex()  # their parts are updated each for itself
                values = [versant.view_as_real(t) for t in tensors] if pairs else tensors
                results = evaluate(list(outputs.values()), [*values, *numbers.values()])
                results = [versant.view_as_complex(r) for r in results] if pairs else results
                for name, result in zip(outputs, results, strict=True):
                    if name == "param":
                        parameter.copy_(result)
                    else:
                        buffers[name][i] = result


rule = Rule  # as a decorator


def gradient(t: Terms, maximize: bool, decays: bool, param: Expression | None = None) -> Expression:
    """The gradient as the rules use it: turned round to climb, with the decay of the weights added."""
    g: Expression = -t.grad if maximize else t.grad
    return g + t.weight_decay * (t.param if param is None else param) if decays else g


def blend(old: Expression, new: Expression, weight: Expression, near: bool) -> Expression:
    """old + weight * (new - old), in the form that is exact at the nearer end (near: weight < 0.5)."""
    return old + weight * (new - old) if near else new - (new - old) * (1.0 - weight)


def evaluate(roots: Sequence[Expression], values: Sequence[Any]) -> list[Any]:
    """Expressions over tensors and numbers by ordinary ops, one by one; source i stands for values[i]."""
    functions: dict[str, Callable[..., Any]] = {
        "max": versant.maximum,
        "min": versant.minimum,
        "select": lambda condition, a, b: versant.where(condition != 0, a, b),
    }
    like = next(value for value in values if isinstance(value, Tensor))
    done: dict[Expression, Any] = {}
    for expression in in_order(roots):
        if isinstance(expression, Application):
            name = expression.micro.name
            operands = [done[operand] for operand in expression.operands]
            if not any(isinstance(operand, Tensor) for operand in operands):
                operands[0] = like.new_full((), operands[0])
            if name in functions:
                operands = [o if isinstance(o, Tensor) else like.new_full((), o) for o in operands]
            function = functions.get(name) or getattr(versant, name)
            done[expression] = function(*operands)
        elif isinstance(expression, Source):
            done[expression] = values[expression.number]
        else:
            assert isinstance(expression, Constant)
            done[expression] = expression.value
    return [done[root] for root in roots]


__all__ = ["Rule", "Terms", "blend", "evaluate", "gradient", "m", "rule"]
