"""Expressions over micro-ops: the language in which the op table states values and derivatives.

    expression ::= source            an input of the op, a parameter, the output or its gradient
                 | constant          a Python number
                 | micro(expression, ...)

Equal expressions are one object, so what occurs twice is computed once. `lower` turns expressions into a
program for the machine.
"""

from __future__ import annotations

import operator

from versant import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Expression:
    """A node. Operators build larger expressions."""

    __slots__ = ()

    def __add__(self, other: Operand) -> Expression:
        return m.add(self, other)

    def __radd__(self, other: Operand) -> Expression:
        return m.add(other, self)

    def __sub__(self, other: Operand) -> Expression:
        return m.sub(self, other)

    def __rsub__(self, other: Operand) -> Expression:
        return m.sub(other, self)

    def __mul__(self, other: Operand) -> Expression:
        return m.mul(self, other)

    def __rmul__(self, other: Operand) -> Expression:
        return m.mul(other, self)

    def __truediv__(self, other: Operand) -> Expression:
        return m.div(self, other)

    def __rtruediv__(self, other: Operand) -> Expression:
        return m.div(other, self)

    def __neg__(self) -> Expression:
        return m.neg(self)

    def __lt__(self, other: Operand) -> Expression:
        return m.lt(self, other)

    def __le__(self, other: Operand) -> Expression:
        return m.le(self, other)

    def __gt__(self, other: Operand) -> Expression:
        return m.gt(self, other)

    def __ge__(self, other: Operand) -> Expression:
        return m.ge(self, other)

    def __and__(self, other: Operand) -> Expression:
        return m.logical_and(self, other)

    def __or__(self, other: Operand) -> Expression:
        return m.logical_or(self, other)

    def __invert__(self) -> Expression:
        return m.logical_not(self)

    # Equality is identity: expressions are keys of dictionaries. Comparison of values is m.eq.


Number = bool | int | float
Operand = Expression | Number
Program = tuple[list[Number], list[tuple[int, int, int, int]], list[int]]  # constants, code, outputs


class Source(Expression):
    """Where a value comes from.

    The sources of an op: 0 is the gradient of its output; inputs, parameters and the output follow.
    """

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"s{self.number}"


class Constant(Expression):
    """A number, the same for every element."""

    __slots__ = ("value",)

    def __init__(self, value: Number) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


class Application(Expression):
    """A micro-op of operands."""

    __slots__ = ("micro", "operands")

    def __init__(self, micro: Micro, operands: tuple[Expression, ...]) -> None:
        self.micro = micro
        self.operands = operands

    def __repr__(self) -> str:
        return f"{self.micro.name}({', '.join(map(repr, self.operands))})"


class Micro:
    """An instruction of the machine (core/machine/micro.h); a call makes an expression."""

    __slots__ = ("arity", "code", "has_integers", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.code, self.arity, self.has_integers = _core.MICRO[name]

    def __call__(self, *operands: Operand) -> Expression:
        if len(operands) != self.arity:
            raise TypeError(f"[{self.name}] takes {self.arity} operands, got {len(operands)}")
        return apply(self, tuple(map(lift, operands)))

    def __repr__(self) -> str:
        return f"m.{self.name}"


class MicroOps:
    """The micro-ops by name: m.tanh(x)."""

    def __getattr__(self, name: str) -> Micro:
        if name not in _core.MICRO:
            raise AttributeError(f"[m] the machine has no micro-op '{name}'")
        micro = Micro(name)
        setattr(self, name, micro)  # found without __getattr__ from now on
        return micro


m = MicroOps()

# The expressions made so far. They are few (those of the ops that ran) and live as long as the process.
_sources: dict[int, Source] = {}
_constants: dict[str, Constant] = {}  # by repr: True, 1, 1.0, 0.0 and -0.0 are five constants
_applications: dict[tuple[Micro, tuple[Expression, ...]], Application] = {}

_FOLDED: dict[str, Callable[..., Number]] = {
    "neg": operator.neg,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
}


def source(number: int) -> Source:
    return _sources.get(number) or _sources.setdefault(number, Source(number))


def constant(value: Number) -> Constant:
    key = repr(value)
    return _constants.get(key) or _constants.setdefault(key, Constant(value))


def lift(operand: Operand) -> Expression:
    return operand if isinstance(operand, Expression) else constant(operand)


def apply(micro: Micro, operands: tuple[Expression, ...]) -> Expression:
    """The expression micro(operands), folded when all operands are constants."""
    if micro.name in _FOLDED and all(isinstance(o, Constant) for o in operands):
        return constant(_FOLDED[micro.name](*(o.value for o in operands if isinstance(o, Constant))))
    key = (micro, operands)
    return _applications.get(key) or _applications.setdefault(key, Application(micro, operands))


def in_order(roots: Iterable[Expression]) -> list[Expression]:
    """Every expression below `roots`, operands before their users."""
    order: dict[Expression, None] = {}
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        expression, expanded = stack.pop()
        if expression in order:
            continue
        if expanded or not isinstance(expression, Application):
            order[expression] = None
        else:
            stack.append((expression, True))
            stack.extend((operand, False) for operand in reversed(expression.operands))
    return list(order)


def sources_of(root: Expression) -> list[Source]:
    """The sources that `root` reads, by number."""
    return sorted((e for e in in_order([root]) if isinstance(e, Source)), key=lambda s: s.number)


def substitute(root: Expression, replacements: dict[Source, Source]) -> Expression:
    """`root` with sources exchanged."""
    made: dict[Expression, Expression] = {}
    for expression in in_order([root]):
        if isinstance(expression, Application):
            made[expression] = apply(expression.micro, tuple(made[o] for o in expression.operands))
        elif isinstance(expression, Source):
            made[expression] = replacements[expression]
        else:
            made[expression] = expression
    return made[root]


def lower(outputs: Sequence[Expression], inputs: Sequence[Source]) -> Program:
    """The program that computes `outputs` from `inputs`.

    Registers: inputs first, then constants, then one for each instruction.
    """
    order = in_order(outputs)
    constants = [e for e in order if isinstance(e, Constant)]
    register: dict[Expression, int] = {e: i for i, e in enumerate((*inputs, *constants))}
    code = []
    for expression in order:
        if not isinstance(expression, Application):
            continue
        a, b, c = (*(register[o] for o in expression.operands), 0, 0)[:3]
        code.append((expression.micro.code, a, b, c))
        register[expression] = len(register)
    return [c.value for c in constants], code, [register[e] for e in outputs]
