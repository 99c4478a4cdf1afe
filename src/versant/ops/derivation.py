"""Derivatives of elementwise ops.

A record of the op table states one thing: the partial derivatives of its output by its inputs.
Vector-Jacobian products, what they save, Jacobian-vector products and derivatives of any order follow from
it. Where a record states no derivative, it is derived from the definition, micro-op by micro-op; the rule for
a micro-op is the derivative of the record that is defined as that micro-op. So each derivative stands in one
place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from versant import _core
from versant.ops.expression import (
    Application,
    Constant,
    Expression,
    Micro,
    Operand,
    Program,
    Source,
    constant,
    in_order,
    lift,
    lower,
    m,
    source,
    sources_of,
    substitute,
)
from versant.ops.index import INDEX
from versant.ops.install import open_family

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Definition = Callable[..., Operand]
Partials = Callable[..., Operand | tuple[Operand, ...]]

GRADIENT = source(0)
ZERO = constant(0)


# The formula that is just this micro-op, of the families opened so far.
_formula_of: dict[Micro, Formula] = {}


def formula_of(micro: Micro) -> Formula | None:
    """The formula of the record that is defined as this micro-op, whose family is opened."""
    if micro not in _formula_of and micro.name in INDEX["micro"]:
        open_family(INDEX["micro"][micro.name])
    return _formula_of.get(micro)


class Formula:
    """An elementwise function: its value, and its partial derivatives, as expressions.

    definition: the value from inputs and parameters; a micro-op, or a function that builds an expression.
    derivative: from inputs, parameters and the output, the partial derivative by each input (one expression
        for one input, a tuple for more); None to derive it from the definition.
    differentiable: False for ops whose result has no gradient; in other definitions their derivative is 0.
    """

    def __init__(
        self,
        name: str,
        n_inputs: int,
        n_parameters: int,
        definition: Definition,
        derivative: Partials | None = None,
        differentiable: bool = True,
    ) -> None:
        self.name = name
        self.n_inputs = n_inputs
        self.definition = definition
        self.differentiable = differentiable
        self.stated = derivative if differentiable else lambda *_: (0,) * n_inputs
        self.sources = [source(i + 1) for i in range(n_inputs + n_parameters)]
        self.output = source(n_inputs + n_parameters + 1)
        self.op: _core.Op | None = None
        # Of its complex form: the arguments of pairs.complex_form.
        self.complex: tuple[str, int, int, Callable[..., Any] | bool] = ("promote", -1, 0, True)
        self._value: Expression | None = None
        self._vjp: list[Expression] | None = None
        self._hidden: list[_core.Op] = []
        if isinstance(definition, Micro):
            assert definition not in _formula_of, f"two records are defined as {definition}"
            _formula_of[definition] = self

    @property
    def value(self) -> Expression:
        if self._value is None:
            self._value = lift(self.definition(*self.sources))
        return self._value

    @property
    def vjp(self) -> list[Expression]:
        """For each input the gradient by it, in terms of the gradient of the output."""
        if self._vjp is None:
            if self.stated is None:
                roots: dict[Expression, tuple[Expression, Expression]] = {self.value: (GRADIENT, self.output)}
                self._vjp = derive(roots, self.sources[: self.n_inputs])
            else:
                self._vjp = [
                    scale(GRADIENT, partial) for partial in self.partials((*self.sources, self.output))
                ]
        return self._vjp

    @property
    def has_integers(self) -> bool:
        """Whether the machine can compute it on integers."""
        applied = (e for e in in_order([self.value]) if isinstance(e, Application))
        return all(e.micro.has_integers for e in applied)

    def partials(self, values: Sequence[Expression]) -> list[Expression]:
        """The stated partial derivatives at inputs, parameters and output."""
        assert self.stated is not None, f"{self.name} states no derivative"
        stated = self.stated(*values)
        return [lift(partial) for partial in (stated if isinstance(stated, tuple) else (stated,))]

    # --- what the machine asks for, once each ---------------------------------------------------------

    def forward(self) -> Program:
        return lower([self.value], self.sources)

    def complex_form(self) -> _core.Op | None:
        """The op to use for complex inputs; None when there is none."""
        from versant.ops.pairs import complex_form

        return complex_form(self, *self.complex)

    def derivative(self, i: int) -> str | tuple[int, _core.Op, list[int]] | None:
        """None for ops without gradient; "zero"; "identity"; or the sources read, and the op that gives the
        gradient from them."""
        if not self.differentiable:
            return None
        gradient = self.vjp[i]
        if gradient is ZERO:
            return "zero"
        if gradient is GRADIENT:
            return "identity"
        op, used = self.named(gradient) or self.hidden(gradient, i)
        return sum({1 << s.number for s in used}), op, [s.number for s in used]

    def backward(self, mask: int) -> Program:
        """One program for the gradients of all inputs in `mask`."""
        outputs = [gradient for i, gradient in enumerate(self.vjp) if mask >> i & 1]
        return lower(outputs, [GRADIENT, *self.sources, self.output])

    # --- gradients as ops of their own ----------------------------------------------------------------

    @staticmethod
    def named(gradient: Expression) -> tuple[_core.Op, Sequence[Source]] | None:
        """The record that `gradient` is: the gradient of a product is a product."""
        if not isinstance(gradient, Application):
            return None
        used = [operand for operand in gradient.operands if isinstance(operand, Source)]
        if len(used) < len(gradient.operands):
            return None
        formula = formula_of(gradient.micro)
        return None if formula is None or formula.op is None else (formula.op, used)

    def hidden(self, gradient: Expression, i: int) -> tuple[_core.Op, Sequence[Source]]:
        """An op for the gradient by input i; it differentiates like any other."""
        used = sources_of(gradient)
        renumbered = {s: source(k + 1) for k, s in enumerate(used)}
        definition = substitute(gradient, renumbered)
        formula = Formula(f"{self.name}.vjp{i}", len(used), 0, lambda *_: definition)
        names = tuple(f"source{s.number}" for s in used)
        op = _core.define_elementwise(formula.name, len(used), 0, "first", 1, False, names, (), formula)
        self._hidden.append(op)
        return op, used


def derive(
    roots: dict[Expression, tuple[Expression, Expression]], inputs: Sequence[Source]
) -> list[Expression]:
    """Reverse mode over expressions: for each input, the sum over the roots of gradient times derivative.

    roots: each with its gradient, and with what stands for its value: the tape may keep that instead of the
        inputs.
    """
    gradients: dict[Expression, Expression] = {root: gradient for root, (gradient, _) in roots.items()}
    for expression in reversed(in_order(roots)):
        gradient = gradients.get(expression)
        if gradient is None or not isinstance(expression, Application):
            continue
        rule = formula_of(expression.micro)
        if rule is None:
            raise TypeError(f"[derive] no record of the op table is defined as {expression.micro}")
        y = roots[expression][1] if expression in roots else expression
        for operand, partial in zip(
            expression.operands, rule.partials((*expression.operands, y)), strict=True
        ):
            if not isinstance(operand, Constant):
                gradients[operand] = plus(gradients.get(operand, ZERO), scale(gradient, partial))
    return [gradients.get(i, ZERO) for i in inputs]


def scale(gradient: Expression, partial: Expression) -> Expression:
    """gradient * partial.

    A choice between partial derivatives becomes a choice between gradients: where a derivative is zero, an
    infinite gradient does not turn it into NaN.
    """
    if gradient is ZERO:
        return ZERO
    if isinstance(partial, Constant):
        if partial.value == 0:
            return ZERO
        if partial.value == 1:
            return gradient
        if partial.value == -1:
            return -gradient
    elif isinstance(partial, Application):
        operands = partial.operands
        if partial.micro is m.select:
            return m.select(operands[0], scale(gradient, operands[1]), scale(gradient, operands[2]))
        if partial.micro is m.neg:
            return -scale(gradient, operands[0])
        if partial.micro is m.div and isinstance(operands[0], Constant) and operands[0].value == 1:
            return gradient / operands[1]
    return gradient * partial


def plus(a: Expression, b: Expression) -> Expression:
    """a + b."""
    if a is ZERO:
        return b
    if b is ZERO:
        return a
    if isinstance(b, Application) and b.micro is m.neg:
        return a - b.operands[0]
    return a + b
