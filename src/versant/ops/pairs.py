"""Complex forms of elementwise ops: expressions over pairs of a real and an imaginary part.

A definition over micro-ops becomes two real expressions, one for each part, by the rules below. The machine
runs them as one tile program. With `conj E(conj g)` the stated derivative of a holomorphic function becomes
its vector-Jacobian product in PyTorch's convention; that of any other function, and every further
derivative, is the real one by both parts.
"""

from __future__ import annotations

import math

from versant import _core
from versant.ops.derivation import GRADIENT, Formula, derive
from versant.ops.expression import (
    Application,
    Constant,
    Expression,
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

ZERO, ONE = constant(0), constant(1)


class Unsupported(Exception):
    """A definition that has no meaning for complex numbers."""


# --- real arithmetic that drops zeros and ones --------------------------------------------------------------


def is_zero(x: Expression) -> bool:
    return isinstance(x, Constant) and x.value == 0


def add(a: Expression, b: Expression) -> Expression:
    return b if is_zero(a) else a if is_zero(b) else a + b


def sub(a: Expression, b: Expression) -> Expression:
    return a if is_zero(b) else neg(b) if is_zero(a) else a - b


def neg(a: Expression) -> Expression:
    return ZERO if is_zero(a) else -a


def mul(a: Expression, b: Expression) -> Expression:
    if is_zero(a) or is_zero(b):
        return ZERO
    return b if a is ONE else a if b is ONE else a * b


def div(a: Expression, b: Expression) -> Expression:
    return ZERO if is_zero(a) else a if b is ONE else a / b


def select(condition: Expression, a: Operand, b: Operand) -> Expression:
    return lift(a) if a is b else m.select(condition, a, b)


class Pair:
    """re + i im"""

    __slots__ = ("im", "re")

    def __init__(self, re: Operand, im: Operand = ZERO) -> None:
        self.re, self.im = lift(re), lift(im)

    def __add__(self, other: Any) -> Pair:
        b = as_pair(other)
        return Pair(add(self.re, b.re), add(self.im, b.im))

    def __radd__(self, other: Any) -> Pair:
        return as_pair(other) + self

    def __sub__(self, other: Any) -> Pair:
        b = as_pair(other)
        return Pair(sub(self.re, b.re), sub(self.im, b.im))

    def __rsub__(self, other: Any) -> Pair:
        return as_pair(other) - self

    def __neg__(self) -> Pair:
        return Pair(neg(self.re), neg(self.im))

    def __mul__(self, other: Any) -> Pair:
        b = as_pair(other)
        return Pair(sub(mul(self.re, b.re), mul(self.im, b.im)), add(mul(self.re, b.im), mul(self.im, b.re)))

    def __rmul__(self, other: Any) -> Pair:
        return as_pair(other) * self

    def __truediv__(self, other: Any) -> Pair:
        """Smith's division (1962): the divisor scaled by its larger part, so that nothing overflows."""
        a, b, z = self.re, self.im, as_pair(other)
        if is_zero(z.im):
            return Pair(div(a, z.re), div(b, z.re))
        largest = m.max(m.abs(z.re), m.abs(z.im))
        infinite = m.isinf(largest)

        def scaled(part: Expression) -> Expression:
            end = m.select(m.isinf(part), m.sign(part), 0)  # where infinity / infinity would be NaN
            return select(infinite, end, part / largest)

        c, d = scaled(z.re), scaled(z.im)
        norm = z.re * c + z.im * d
        by_zero = m.eq(largest, 0)
        beyond = m.select(by_zero, math.inf, 0)  # no division: 0 / 0 would reach the derivative
        return Pair(
            select(by_zero, a * beyond, add(mul(a, c), mul(b, d)) / norm),
            select(by_zero, b * beyond, sub(mul(b, c), mul(a, d)) / norm),
        )

    def __rtruediv__(self, other: Any) -> Pair:
        return as_pair(other) / self

    def conj(self) -> Pair:
        return Pair(self.re, neg(self.im))

    def times_i(self) -> Pair:
        return Pair(neg(self.im), self.re)

    def over_i(self) -> Pair:
        return Pair(self.im, neg(self.re))

    @property
    def is_real(self) -> bool:
        return is_zero(self.im)


def as_pair(value: Any) -> Pair:
    if isinstance(value, tuple):
        return Pair(*value)
    return value if isinstance(value, Pair) else Pair(value)


# --- the micro-ops of complex operands ----------------------------------------------------------------------


# At infinities and NaN they do as C99 says (Annex G), and the array API standard after it. `lost` is where
# the angle is infinite or NaN, and so are its sine and cosine: what 0 or infinity makes of it is stated.


def infinite(z: Pair) -> Expression:
    return m.isinf(z.re) | m.isinf(z.im)


def exp(z: Pair) -> Pair:
    size = m.exp(z.re)
    lost = m.isinf(z.re) & m.logical_not(m.isfinite(z.im))
    real = m.eq(z.im, 0) & m.logical_not(m.isfinite(size))  # where 0 * infinity would be NaN
    im = select(real, z.im, size * m.sin(z.im))
    return Pair(select(lost, size, size * m.cos(z.im)), select(lost & (z.re < 0), m.copysign(0, z.im), im))


def log(z: Pair) -> Pair:
    return Pair(m.log(m.hypot(z.re, z.im)), m.atan2(z.im, z.re))


def log1p(z: Pair) -> Pair:
    near = m.hypot(z.re, z.im) < 0.5
    small = 0.5 * m.log1p(z.re * (2 + z.re) + z.im * z.im)
    return Pair(m.select(near, small, m.log(m.hypot(1 + z.re, z.im))), m.atan2(z.im, 1 + z.re))


def expm1(z: Pair) -> Pair:
    half = m.sin(0.5 * z.im)
    power = exp(z)
    finite = m.expm1(z.re) * m.cos(z.im) - 2 * half * half
    return Pair(select(m.isinf(power.re) | m.isinf(z.re), power.re - 1, finite), power.im)


def sqrt(z: Pair) -> Pair:
    a, b = z.re, z.im
    half = m.sqrt(0.5 * (m.abs(a) + m.hypot(a, b)))
    other = m.select(m.eq(half, 0), b, 0.5 * b / half)
    above = m.isinf(b)
    return Pair(
        m.select(above, m.abs(b), m.select(a >= 0, half, m.abs(other))),
        m.select(above, b, m.select(a >= 0, other, m.copysign(half, b))),
    )


def sinh(z: Pair) -> Pair:
    s, c = m.sinh(z.re), m.cosh(z.re)
    lost = m.logical_not(m.isfinite(z.im)) & (m.isinf(z.re) | m.eq(z.re, 0))
    return Pair(select(lost, s, s * m.cos(z.im)), select(m.eq(z.im, 0), z.im, c * m.sin(z.im)))


def cosh(z: Pair) -> Pair:
    s, c = m.sinh(z.re), m.cosh(z.re)
    lost = m.logical_not(m.isfinite(z.im))
    real = m.eq(z.im, 0) | (lost & m.eq(z.re, 0))
    nothing = m.copysign(0, z.re) * m.copysign(1, z.im)
    return Pair(select(lost & m.isinf(z.re), c, c * m.cos(z.im)), select(real, nothing, s * m.sin(z.im)))


def tanh(z: Pair) -> Pair:
    t, s, c = m.tanh(z.re), m.sin(z.im), m.cos(z.im)
    q = m.reciprocal(m.cosh(z.re))
    norm = c * c + t * t * s * s
    lost = m.logical_not(m.isfinite(z.im))
    far = lost & m.isinf(z.re)
    im = select(m.eq(z.im, 0), z.im, s * c * q * q / norm)
    return Pair(select(far | (lost & m.eq(z.re, 0)), t, t / norm), select(far, m.copysign(0, z.im), im))


def asin(z: Pair) -> Pair:
    """Kahan, Branch cuts for complex elementary functions (1987), as the next three."""
    below, above = sqrt(1 - z), sqrt(1 + z)
    far, a, b = infinite(z), z.re, z.im
    re = select(far, m.atan2(a, m.abs(b)), m.atan2(a, (below * above).re))
    return Pair(
        select(m.eq(a, 0), a, re),
        select(far, m.copysign(math.inf, b), m.asinh((below.conj() * above).im)),
    )


def acos(z: Pair) -> Pair:
    below, above = sqrt(1 - z), sqrt(1 + z)
    far, a, b = infinite(z), z.re, z.im
    re = select(far, m.atan2(m.abs(b), a), 2 * m.atan2(below.re, above.re))
    return Pair(
        select(m.eq(a, 0) & m.isnan(b), 0.5 * math.pi, re),
        select(far, -m.copysign(math.inf, b), m.asinh((above.conj() * below).im)),
    )


def acosh(z: Pair) -> Pair:
    below, above = sqrt(z - 1), sqrt(z + 1)
    far, a, b = infinite(z), z.re, z.im
    im = select(far, m.atan2(b, a), 2 * m.atan2(below.im, above.re))
    return Pair(
        select(far, math.inf, m.asinh((below.conj() * above).re)),
        select(m.eq(a, 0) & m.isnan(b), 0.5 * math.pi, im),
    )


def atanh(z: Pair) -> Pair:
    a, b = z.re, z.im
    distance, size = 1 - m.abs(a), m.abs(a)
    re = m.copysign(0.25 * m.log1p(4 * size / (distance * distance + b * b)), a)
    far = infinite(z)
    return Pair(
        select(far, m.copysign(0, a), select(m.eq(a, 0), a, re)),
        select(
            far & m.logical_not(m.isnan(b)),
            m.copysign(0.5 * math.pi, b),
            0.5 * m.atan2(2 * b, (1 - a) * (1 + a) - b * b),
        ),
    )


def pow(z: Pair, w: Pair) -> Pair:
    power = exp(w * log(z))
    # A base of 0, of which there is no logarithm.
    at_zero = m.eq(z.re, 0) & m.eq(z.im, 0)
    unit = m.eq(w.re, 0) & m.eq(w.im, 0)
    return Pair(
        m.select(at_zero, m.select(unit, 1, m.select(w.re > 0, 0, power.re)), power.re),
        m.select(at_zero, m.select(unit | (w.re > 0), 0, power.im), power.im),
    )


def size(z: Pair) -> Expression:
    """|z|, whose derivative at 0 is 0."""
    zero = m.eq(z.re, 0) & m.eq(z.im, 0)
    return m.select(zero, 0, m.hypot(m.select(zero, 1, z.re), z.im))


def unit(z: Pair) -> Pair:
    """z / |z|, and 0 at 0."""
    zero = m.eq(z.re, 0) & m.eq(z.im, 0)
    return z / Pair(m.hypot(m.select(zero, 1, z.re), z.im))


def truth(z: Pair) -> Expression:
    return z.re if z.is_real else m.logical_or(z.re, z.im)


def either(test: Callable[[Expression], Expression]) -> Callable[[Pair], Pair]:
    return lambda z: Pair(test(z.re) | test(z.im))


RULES: dict[str, Callable[..., Pair]] = {
    "neg": lambda z: -z,
    "add": lambda z, w: z + w,
    "sub": lambda z, w: z - w,
    "mul": lambda z, w: z * w,
    "div": lambda z, w: z / w,
    "square": lambda z: z * z,
    "reciprocal": lambda z: 1 / z,
    "sqrt": sqrt,
    "rsqrt": lambda z: 1 / sqrt(z),
    "exp": exp,
    "exp2": lambda z: exp(z * math.log(2)),
    "expm1": expm1,
    "log": log,
    "log2": lambda z: log(z) * (1 / math.log(2)),
    "log10": lambda z: log(z) * (1 / math.log(10)),
    "log1p": log1p,
    "sin": lambda z: sinh(z.times_i()).over_i(),
    "cos": lambda z: cosh(z.times_i()),
    "tan": lambda z: tanh(z.times_i()).over_i(),
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "asin": asin,
    "acos": acos,
    "atan": lambda z: atanh(z.times_i()).over_i(),
    "asinh": lambda z: asin(z.times_i()).over_i(),
    "acosh": acosh,
    "atanh": atanh,
    "sigmoid": lambda z: 1 / (1 + exp(-z)),
    "pow": pow,
    "abs": lambda z: Pair(size(z)),
    "eq": lambda z, w: Pair(m.eq(z.re, w.re) & m.eq(z.im, w.im)),
    "ne": lambda z, w: Pair(m.ne(z.re, w.re) | m.ne(z.im, w.im)),
    "isnan": either(m.isnan),
    "isinf": either(m.isinf),
    "isfinite": lambda z: Pair(m.isfinite(z.re) & m.isfinite(z.im)),
    "logical_not": lambda z: Pair(m.logical_not(truth(z))),
    "logical_and": lambda z, w: Pair(m.logical_and(truth(z), truth(w))),
    "logical_or": lambda z, w: Pair(m.logical_or(truth(z), truth(w))),
    "logical_xor": lambda z, w: Pair(m.logical_xor(truth(z), truth(w))),
    "select": lambda c, z, w: Pair(select(truth(c), z.re, w.re), select(truth(c), z.im, w.im)),
}


def split(root: Expression, values: dict[Source, Pair]) -> Pair:
    """`root` as a pair, where its sources have these values."""
    made: dict[Expression, Pair] = {}
    for expression in in_order([root]):
        if isinstance(expression, Source):
            made[expression] = values[expression]
        elif isinstance(expression, Application):
            operands = [made[o] for o in expression.operands]
            rule = RULES.get(expression.micro.name)
            if all(o.is_real for o in operands):
                made[expression] = Pair(expression.micro(*(o.re for o in operands)))
            elif rule is None:
                raise Unsupported(expression.micro.name)
            else:
                made[expression] = rule(*operands)
        else:
            made[expression] = Pair(expression)
    return made[root]


def is_holomorphic(root: Expression) -> bool:
    """Whether values pass through functions with a complex derivative only; conditions do not count."""
    stack, seen = [root], set()
    while stack:
        expression = stack.pop()
        if expression in seen or not isinstance(expression, Application):
            continue
        seen.add(expression)
        if expression.micro is m.abs:
            return False
        stack.extend(expression.operands[1 if expression.micro is m.select else 0 :])
    return True


# --- forms --------------------------------------------------------------------------------------------------


def pair_source(number: int) -> Pair:
    return Pair(source(2 * number), source(2 * number + 1))


def registers(numbers: Sequence[int]) -> list[Source]:
    return [source(2 * n + part) for n in numbers for part in (0, 1)]


class Form:
    """An elementwise function of pairs, for the machine: as `derivation.Formula`, with two real sources in
    the place of each complex one.

    vjp: for each input the gradient by it, in terms of the sources (0 is the gradient of the output); without
        it, derived from the value.
    """

    def __init__(
        self,
        name: str,
        n_inputs: int,
        n_parameters: int,
        value: Pair,
        vjp: list[Pair] | None = None,
        differentiable: bool = True,
    ) -> None:
        self.name = name
        self.n_inputs = n_inputs
        self.inputs = range(1, n_inputs + n_parameters + 1)
        self.output = n_inputs + n_parameters + 1
        self.value = value
        self.differentiable = differentiable
        self._vjp = vjp
        self._hidden: list[_core.Op] = []

    @property
    def vjp(self) -> list[Pair]:
        if self._vjp is None:
            gradient, output = pair_source(0), pair_source(self.output)
            roots = {self.value.re: (gradient.re, output.re)}
            if not self.value.is_real:
                parts = roots.get(self.value.im, (ZERO, output.im))
                roots[self.value.im] = (add(parts[0], gradient.im), parts[1])
            found = derive(roots, registers(self.inputs[: self.n_inputs]))
            self._vjp = [Pair(*found[2 * i : 2 * i + 2]) for i in range(self.n_inputs)]
        return self._vjp

    def forward(self) -> Program:
        value = self.value
        return lower([value.re] if value.is_real else [value.re, value.im], registers(self.inputs))

    def derivative(self, i: int) -> str | tuple[int, _core.Op, list[int]] | None:
        if not self.differentiable:
            return None
        gradient = self.vjp[i]
        if is_zero(gradient.re) and gradient.is_real:
            return "zero"
        if gradient.re is source(0) and gradient.im is source(1):
            return "identity"
        op, used = self.hidden(gradient, i)
        return sum(1 << s for s in used), op, used

    def backward(self, mask: int) -> Program:
        outputs = [g for i, pair in enumerate(self.vjp) if mask >> i & 1 for g in (pair.re, pair.im)]
        return lower(outputs, registers(range(self.output + 1)))

    def hidden(self, gradient: Pair, i: int) -> tuple[_core.Op, list[int]]:
        """An op for the gradient by input i."""
        parts = {*sources_of(gradient.re), *sources_of(gradient.im)}
        used = sorted({s.number // 2 for s in parts})
        renumbered = dict(zip(registers(used), registers(range(1, len(used) + 1)), strict=True))
        value = Pair(substitute(gradient.re, renumbered), substitute(gradient.im, renumbered))
        form = Form(f"{self.name}.vjp{i}", len(used), 0, value)
        op = form.define("real" if value.is_real else "complex", -1, 0)
        self._hidden.append(op)
        return op, used

    def define(self, rule: str, promotes: int, refuses: int) -> _core.Op:
        names = tuple(f"source{s}" for s in self.inputs)
        parameters = len(self.inputs) - self.n_inputs
        return _core.define_elementwise(
            self.name, self.n_inputs, parameters, rule, promotes, refuses, names, (), self
        )


def complex_form(
    formula: Formula, rule: str, promotes: int, refuses: int, stated: Callable[..., Any] | bool
) -> _core.Op | None:
    """The op for complex inputs; None where there is no such function.

    stated: its value, from pairs; True where it follows from the definition, False where there is none.
    """
    if not stated:
        return None
    sources = [pair_source(s.number) for s in formula.sources]
    vjp = None
    try:
        if not isinstance(stated, bool):
            value = as_pair(stated(*sources))
        else:
            value = split(formula.value, dict(zip(formula.sources, sources, strict=True)))
            vjp = holomorphic_vjp(formula) if formula.differentiable else None
    except Unsupported:
        return None
    n_parameters = len(formula.sources) - formula.n_inputs
    form = Form(formula.name, formula.n_inputs, n_parameters, value, vjp, formula.differentiable)
    return form.define(
        "truth" if rule == "bool" else "real" if value.is_real else "complex", promotes, refuses
    )


def holomorphic_vjp(formula: Formula) -> list[Pair] | None:
    """The stated derivative, in PyTorch's convention; None where there is no complex derivative."""
    if not is_holomorphic(formula.value):
        return None
    values = {s: pair_source(s.number) for s in (*formula.sources, formula.output)}
    values[GRADIENT] = pair_source(0).conj()
    try:
        return [split(gradient, values).conj() for gradient in formula.vjp]
    except Unsupported:
        return None
