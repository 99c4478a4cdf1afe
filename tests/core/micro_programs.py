"""Ops of micro-ops that are drawn, and numbers to try them on."""

import math

import versant as vs
from versant import _core

INTEGERS_ONLY = {f"bitwise_{op}" for op in ("not", "and", "or", "xor")} | {"shift_left", "shift_right", "gcd"}
SLOW = {"polygamma", "zeta", "lgamma", "digamma", "gammainc", "gammaincc", "gamma_slope", "beta_slope"}
LOOKS_AT_NAN = {"signbit", "copysign", "atan2"}
FLOATS = {
    name: (number, arity) for name, (number, arity, _) in _core.MICRO.items() if name not in INTEGERS_ONLY
}
DRAWN = sorted(FLOATS.keys() - SLOW - LOOKS_AT_NAN)
CORNERS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    6.0,
    88.0,
    -88.0,
    104.0,
    -104.0,
    math.inf,
    -math.inf,
    math.nan,
    1e-310,
    -1e-42,
]
NUMBERS = [0.0, -0.0, 1.0, -1.5, 0.25, 6.0, math.inf]


class Record:
    """What the machine asks of an op: its program."""

    def __init__(self, constants, code, output):
        self.parts = (constants, code, [output])

    def forward(self):
        return self.parts

    def derivative(self, i):
        return None

    def complex_form(self):
        return None


def make_op(n_inputs, constants, steps):
    """An op of the last of `steps` (name, operands), over registers: inputs, constants, results."""
    code = [(FLOATS[name][0], *operands, *[0] * (3 - len(operands))) for name, operands in steps]
    record = Record(constants, code, n_inputs + len(constants) + len(steps) - 1)
    names = tuple("abcdefghijklmn"[:n_inputs])
    return _core.define_elementwise("drawn", n_inputs, 0, "promote", -1, 0, names, (), record)


def bits(x):
    """The elements' bytes; every NaN reads the same."""
    return vs.where(x != x, vs.full((), math.nan, dtype=x.dtype), x)._to_bytes()


def numbers(rng, size, dtype):
    """Numbers of many sizes, corners among them."""
    values = rng.normal(size=size) * 10.0 ** rng.integers(-2, 3, size=size)
    at = rng.random(size) < 0.3
    values[at] = rng.choice(CORNERS, size=size)[at]
    return vs.tensor(values, dtype=vs.float64).to(dtype)
