"""Programs as machine code have the bits that they have tile by tile.

Ops are made of random micro-ops and run in both ways over layouts, dtypes and lengths. Where several NaNs
meet, which of them a sum keeps is left to the compiler, so one NaN is as good as another; micro-ops that look
at the sign of a NaN have tests of their own.
"""

import functools
import gc
import os

import numpy as np
import pytest
from core.micro_programs import CORNERS, DRAWN, FLOATS, LOOKS_AT_NAN, NUMBERS, SLOW, bits, make_op, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

import versant as vs
from versant import _core

pytestmark = pytest.mark.skipif(
    _core.instruction_set() not in ("v3", "v4"), reason="machine code is for AVX2 and AVX-512"
)


@functools.cache
def op_of(name):
    """A micro-op and its square, so that there are two instructions."""
    arity = FLOATS[name][1]
    return make_op(arity, (), [(name, range(arity)), ("square", [arity])])


@st.composite
def programs(draw):
    """The number of inputs, constants and steps; steps read recent registers more often than old ones."""
    n_inputs = draw(st.integers(1, 4))
    constants = draw(st.lists(st.sampled_from(NUMBERS), max_size=3))
    first = n_inputs + len(constants)
    steps = []
    for i in range(draw(st.integers(2, 40))):
        name = draw(st.sampled_from(DRAWN))
        recent = st.integers(max(0, first + i - 8), first + i - 1)
        register = st.one_of(recent, recent, st.integers(0, first + i - 1))
        steps.append((name, [draw(register) for _ in range(FLOATS[name][1])]))
    return n_inputs, constants, steps


def both_ways(op, *tensors):
    """The bits of op(*tensors), tile by tile and in machine code, and how many routines that made."""
    answers = []
    before = _core.machine_code()
    try:
        for mode in ("off", "always"):
            _core.use_machine_code(mode)
            answers.append(bits(op(*tensors)))
    finally:
        _core.use_machine_code(before["mode"])
    return answers, _core.machine_code()["routines"] - before["routines"]


LAYOUTS = {
    "flat": lambda make, n: make((n,)),
    "every second": lambda make, n: make((n, 2))[:, 0],
    "transposed": lambda make, n: make((67, 9)).t() if n == 603 else make((n,)),
    "one for all": lambda make, n: make((1,)),
    "row": lambda make, n: make((67,)) if n == 603 else make((n,)),
    "column": lambda make, n: make((9, 1)) if n == 603 else make((n,)),
}


@settings(max_examples=150)
@given(
    program=programs(),
    dtype=st.sampled_from([vs.float32, vs.float32, vs.float64, vs.bfloat16, vs.float16]),
    n=st.sampled_from([1, 7, 257, 300, 603, 603, 5000]),
    layouts=st.lists(st.sampled_from(sorted(LAYOUTS)), min_size=4, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_random_programs(program, dtype, n, layouts, seed):
    n_inputs, constants, steps = program
    op = make_op(n_inputs, constants, steps)
    rng = np.random.default_rng(seed)

    def make(shape):
        return numbers(rng, shape, dtype)

    tensors = [LAYOUTS[layout](make, n) for layout in layouts[:n_inputs]]
    if n == 603:  # a matrix, so that rows and columns broadcast
        tensors = [t.reshape(9, 67) if t.numel() == 603 and t.dim() == 1 else t for t in tensors]
    (tiles, code), _ = both_ways(op, *tensors)
    assert tiles == code


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64], ids=str)
@pytest.mark.parametrize("name", sorted(FLOATS.keys() - SLOW))
def test_each_micro_op(name, dtype):
    """All pairs of corners, and numbers in between."""
    arity = FLOATS[name][1]
    grid = np.stack(np.meshgrid(*[CORNERS] * arity), -1).reshape(-1, arity)
    if name in LOOKS_AT_NAN:
        grid = grid[~np.isnan(grid).any(1)]
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(700, arity)) * 10.0 ** rng.integers(-3, 4, size=(700, arity))
    columns = np.concatenate([grid, drawn]).T
    (tiles, code), _ = both_ways(op_of(name), *(vs.tensor(c.copy(), dtype=dtype) for c in columns))
    assert tiles == code


@pytest.mark.parametrize("name", ["signbit", "copysign"])
def test_signs_of_nan(name):
    nans = np.array([0x7FC00000, 0xFFC00000, 0x7FC00001, 0xFFC12345] * 80, np.uint32).view(np.float32)
    x = vs.from_numpy(nans)
    tensors = [x] if name == "signbit" else [vs.ones(len(nans)), x]
    (tiles, code), _ = both_ways(op_of(name), *tensors)
    assert tiles == code


def test_code_is_made_and_given_back():
    x = vs.linspace(-3, 3, 1000)
    before = _core.machine_code()
    op = make_op(1, (2.0,), [("mul", [0, 1]), ("abs", [2]), ("sub", [3, 0]), ("exp", [4])])
    (tiles, code), made = both_ways(op, x)
    assert tiles == code
    assert made == 1
    assert _core.machine_code()["bytes"] > before["bytes"]

    @vs.compile
    def chain(x):
        return ((x * 2).abs() - x.sigmoid()).tanh() * 3

    mode = before["mode"]
    held = _core.machine_code()["routines"]
    try:
        _core.use_machine_code("always")
        for _ in range(3):
            chain(vs.rand(40000))
    finally:
        _core.use_machine_code(mode)
    assert _core.machine_code()["routines"] > held
    del chain
    gc.collect()
    assert _core.machine_code()["routines"] == held


def test_programs_get_code_once_they_have_worked():
    op = make_op(1, (2.0,), [("mul", [0, 1]), ("abs", [2]), ("sub", [3, 0]), ("exp", [4])])
    before = _core.machine_code()
    x = vs.ones(1000)
    try:
        _core.use_machine_code("hot")
        op(x)
        assert _core.machine_code()["routines"] == before["routines"]
        for _ in range(600):
            op(x)
    finally:
        _core.use_machine_code(before["mode"])
    assert _core.machine_code()["routines"] == before["routines"] + 1


@pytest.mark.parametrize("dtype", [vs.float32, vs.float64], ids=str)
@pytest.mark.parametrize("size", [1000, 3 * 2**20 + 5])  # these results go past the caches
def test_gradients_and_sums(dtype, size):
    """Several results of one program, one of which is only summed."""
    rng = np.random.default_rng(3)
    x, y = (vs.tensor(rng.normal(size=size), dtype=dtype).requires_grad_() for _ in range(2))

    def step(x, y):
        loss = ((x * y + 1.5).tanh() * x.sigmoid() + (-y * y).exp()).sum()
        return (loss.detach(), *vs.autograd.grad(loss, [x, y]))

    def all_bits(f):
        return vs.cat([t.reshape(-1) for t in f(x, y)])

    def compiled():
        f = vs.compile(step)
        f(x, y)
        return all_bits(f)

    (tiles, code), _ = both_ways(compiled)
    assert tiles == code == bits(all_bits(step))


def test_results_over_inputs():
    """Plans write results over inputs that nobody reads again."""

    def chain(x, y):
        a = x * y + 0.5
        b = (a - x).abs() * (a + y).sqrt()
        return (b.sin() + a) * b, a.lgamma() - b

    x, y = vs.rand(5003), vs.rand(5003)

    def compiled():
        f = vs.compile(chain)
        f(x, y)
        return vs.cat(f(x, y))

    (tiles, code), _ = both_ways(compiled)
    assert tiles == code


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_code_lives_in_forked_processes():
    op = op_of("tanh")
    x = vs.linspace(-2, 2, 777)
    (_, expected), _ = both_ways(op, x)
    child = os.fork()
    if child == 0:
        os._exit(0 if both_ways(op, x)[0][1] == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_unknown_mode():
    with pytest.raises(ValueError, match="expected off, hot or always"):
        _core.use_machine_code("sometimes")
