"""Expressions and their derivatives, run by a small numpy interpreter of programs."""

import math

import numpy as np
import pytest

from versant import _core
from versant.ops import table
from versant.ops.derivation import GRADIENT, ZERO, Formula, plus, scale
from versant.ops.expression import Micro, constant, in_order, lower, m, source, sources_of, substitute

x, y = source(1), source(2)
NAMES = {code: name for name, (code, _, _) in _core.MICRO.items()}
NUMPY = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "square": np.square, "sqrt": np.sqrt,
    "rsqrt": lambda a: 1 / np.sqrt(a), "reciprocal": np.reciprocal, "exp": np.exp, "exp2": np.exp2,
    "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)), "erf": np.vectorize(math.erf), "erfc": np.vectorize(math.erfc),
    "trunc": np.trunc, "round": np.round, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "floordiv": np.floor_divide,
    "pow": np.power, "max": np.maximum, "min": np.minimum, "eq": np.equal, "ne": np.not_equal, "lt": np.less,
    "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_not": np.logical_not, "select": np.where,
}  # fmt: skip


def run(program, *inputs):
    """What the machine does with a program (core/machine/program.h), in float64."""
    constants, code, outputs = program
    registers = [*(np.asarray(i, float) for i in inputs), *(np.float64(c) for c in constants)]
    with np.errstate(all="ignore"):
        for micro, a, b, c in code:
            name = NAMES[micro]
            operands = [registers[r] for r in (a, b, c)[: _core.MICRO[name][1]]]
            registers.append(np.asarray(NUMPY[name](*operands), float))
    return [registers[r] for r in outputs]


def test_equal_expressions_are_one_object():
    assert m.tanh(x) * y is m.tanh(x) * y
    assert x + y is not y + x


def test_constants_of_different_kind_or_sign_differ():
    kinds = [True, 1, 1.0, 0.0, -0.0]
    assert len({id(constant(c)) for c in kinds}) == len(kinds)


def test_numbers_are_folded():
    assert constant(2.0) * 3.0 - 1.0 is constant(5.0)


def test_a_shared_part_is_computed_once():
    e = m.exp(x * y)
    constants, code, outputs = lower([e * e + e, e], [x, y])
    assert [NAMES[c[0]] for c in code] == ["mul", "exp", "mul", "add"]
    assert (constants, outputs) == ([], [5, 3])


def test_registers_are_inputs_then_constants_then_results():
    assert lower([m.select(x < 0.5, y, 0.5)], [x, y]) == (
        [0.5],
        [(_core.MICRO["lt"][0], 0, 2, 0), (_core.MICRO["select"][0], 3, 1, 2)],
        [4],
    )


def test_wrong_number_of_operands():
    with pytest.raises(TypeError, match=r"\[add\] takes 2 operands, got 1"):
        m.add(x)


def test_unknown_micro_op():
    with pytest.raises(AttributeError, match="no micro-op 'frobnicate'"):
        m.frobnicate(x)


def test_substitution_exchanges_sources():
    assert substitute(m.exp(x) * y, {x: y, y: x}) is m.exp(y) * x
    assert sources_of(m.exp(y) * x) == [x, y]


def test_programs_compute_what_expressions_say():
    values = np.linspace(-2, 2, 9)
    (result,) = run(lower([m.select(x > 0, m.sqrt(x) - 1 / x, -m.tanh(x))], [x]), values)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(
            result, np.where(values > 0, np.sqrt(values) - 1 / values, -np.tanh(values))
        )


def test_zero_and_one_leave_no_instruction():
    assert scale(GRADIENT, constant(1.0)) is GRADIENT
    assert scale(GRADIENT, constant(0.0)) is ZERO
    assert scale(GRADIENT, -x) is -(GRADIENT * x)
    assert scale(GRADIENT, 1 / x) is GRADIENT / x
    assert plus(ZERO, x) is x
    assert plus(x, -y) is x - y


def test_an_unchosen_branch_gets_zero_whatever_the_gradient_is():
    formula = table["relu"].formula
    (gradient,) = run(formula.backward(0b1), [math.inf, math.nan], [-1.0, -1.0], [0.0, 0.0])
    assert gradient.tolist() == [0.0, 0.0]


def test_the_gradient_of_a_product_is_a_product():
    uses, op, sources = table["mul"].formula.derivative(0)
    assert (uses, op, sources) == (0b101, table["mul"].call, [0, 2])


def test_a_gradient_says_which_sources_it_reads():
    uses, op, sources = table["tanh"].formula.derivative(0)
    assert (uses, op.name, sources) == (0b101, "tanh.vjp0", [0, 2])  # the output, not the input


def test_gradients_of_sums_are_the_gradient():
    assert table["add"].formula.derivative(1) == "identity"
    assert table["copy"].formula.derivative(0) == "zero"
    assert table["eq"].formula.derivative(0) is None


def test_gradients_of_all_inputs_share_their_parts():
    _, code, outputs = table["hypot"].formula.backward(0b11)
    assert len(code) == 4
    assert len(outputs) == 2


def test_a_micro_op_without_record_has_no_derivative():
    formula = Formula("rounded", 1, 0, lambda a: m.round_bf16(a))
    with pytest.raises(TypeError, match="no record of the op table is defined as"):
        formula.derivative(0)


def test_derivation_through_an_output():
    # The square of a sigmoid, derived: the inner sigmoid is computed again, the square is not.
    formula = Formula("squared", 1, 0, lambda a: m.square(m.sigmoid(a)))
    points = np.linspace(-3, 3, 7)
    s = 1 / (1 + np.exp(-points))
    (gradient,) = run(formula.backward(1), np.full(7, 2.0), points, s * s)
    np.testing.assert_allclose(gradient, 2 * 2 * s * s * (1 - s))


def known_to_numpy(expressions):
    micros = {e.micro.name for e in in_order(expressions) if hasattr(e, "micro")}
    return micros <= NUMPY.keys()


STATED = [
    r
    for r in table.values()
    if r.formula is not None
    and r.differentiable
    and r.formula.stated is not None
    and not isinstance(r.formula.definition, Micro)
]


@pytest.mark.parametrize("record", STATED, ids=lambda r: r.name)
def test_stated_derivatives_equal_derived_ones(record):
    """A record may state a better expression than the derived one, with the same values."""
    formula = record.formula
    derived = Formula(
        record.name, formula.n_inputs, len(formula.sources) - formula.n_inputs, formula.definition
    )
    if not known_to_numpy([*formula.vjp, *derived.vjp, formula.value]):
        return
    rng = np.random.default_rng(0)
    inputs = [
        rng.uniform(d.low, d.high, 50) if d.kind == "float" else rng.integers(0, 2, 50) for d in record.sample
    ]
    parameters = [a for a in record.signature if a.kind == "number"]
    setting = record.settings[0] if record.settings else {}
    inputs += [np.full(50, float(setting.get(a.name, a.default))) for a in parameters]
    (output,) = run(formula.forward(), *inputs)
    every = (1 << formula.n_inputs) - 1
    ones = np.ones(50)
    for stated, found in zip(
        run(formula.backward(every), ones, *inputs, output),
        run(derived.backward(every), ones, *inputs, output),
        strict=True,
    ):
        np.testing.assert_allclose(stated, found, 1e-9, 1e-9)
