"""The instructions of machine code, for AVX2 and AVX-512, run by a model of them: see avx.py."""

import shutil

import numpy as np
import pytest
from core.micro_programs import DRAWN, FLOATS, NUMBERS, bits, make_op, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

import versant as vs
from core import avx
from versant import _core

pytestmark = [
    pytest.mark.skipif(_core.instruction_set() not in ("v3", "v4"), reason="kernels without formulas"),
    pytest.mark.skipif(shutil.which("objdump") is None, reason="objdump reads the instructions"),
]

DTYPES = {"float32": (vs.float32, np.float32), "float64": (vs.float64, np.float64)}


def code_of(n_inputs, constants, steps, uniform, dtype, size, *, paired=False):
    code = [(FLOATS[name][0], *operands, *[0] * (3 - len(operands))) for name, operands in steps]
    parts = (constants, code, [n_inputs + len(constants) + len(steps) - 1])
    return _core.machine_code_of(parts, n_inputs, uniform, dtype == "float64", size, paired)


def check(n_inputs, constants, steps, uniform, dtype, size, seed, path, *, paired=False):
    """Whether the model computes what the machine does; false where the program has no code of its own."""
    code = code_of(n_inputs, constants, steps, uniform, dtype, size, paired=paired)
    if not code:
        return False
    ours, theirs = DTYPES[dtype]
    count = 4 * size // np.dtype(theirs).itemsize
    rng = np.random.default_rng(seed)
    tensors = [numbers(rng, (1 if uniform >> k & 1 else count,), ours) for k in range(n_inputs)]
    places = [np.resize(t.numpy(), count).view(np.uint8).copy() for t in tensors]
    places.append(np.zeros(4 * size, np.uint8))
    avx.run(code, places, size, 2 if paired else 4, path)
    mode = _core.machine_code()["mode"]
    _core.use_machine_code("off")
    try:
        expected = make_op(n_inputs, constants, steps)(*tensors).expand(count)
    finally:
        _core.use_machine_code(mode)
    assert bits(vs.from_numpy(places[-1].view(theirs))) == bits(expected)
    return True


IN_LINE = {
    (name, dtype): bool(code_of(FLOATS[name][1], (), [(name, range(FLOATS[name][1]))], 0, dtype, 64))
    for name in FLOATS
    for dtype in DTYPES
}


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize(("name", "dtype"), [key for key, there in IN_LINE.items() if there])
def test_micro_ops(name, dtype, size, tmp_path):
    arity = FLOATS[name][1]
    steps = [(name, range(arity))]
    for seed in range(4):
        for uniform in (0, 1):
            assert check(arity, (), steps, uniform, dtype, size, seed, str(tmp_path / "code"))


def test_which_are_in_line():
    """Arithmetic, comparisons and the functions of activations run in registers."""
    both = [
        "add",
        "sub",
        "mul",
        "div",
        "max",
        "min",
        "select",
        "abs",
        "sqrt",
        "floor",
        "eq",
        "le",
        "logical_and",
        "exp",
        "tanh",
        "sigmoid",
    ]
    assert all(IN_LINE[name, dtype] for name in both for dtype in DTYPES)
    assert IN_LINE["erf", "float32"]
    assert IN_LINE["log", "float32"]


@st.composite
def programs(draw, dtype):
    n_inputs = draw(st.integers(1, 14))
    constants = draw(st.lists(st.sampled_from(NUMBERS), max_size=3))
    names = [name for name in DRAWN if IN_LINE[name, dtype]]
    first = n_inputs + len(constants)
    steps = []
    for i in range(draw(st.integers(1, 60))):
        name = draw(st.sampled_from(names))
        register = st.integers(max(0, first + i - draw(st.sampled_from([3, 20, 60]))), first + i - 1)
        steps.append((name, [draw(register) for _ in range(FLOATS[name][1])]))
    return (
        n_inputs,
        constants,
        steps,
        draw(st.integers(0, 2**n_inputs - 1)) & draw(st.integers(0, 2**n_inputs - 1)),
    )


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_random_programs(dtype, size, paired, tmp_path):
    """One vector a turn; or two, which long programs have."""
    ran = []

    @settings(max_examples=40)
    @given(programs(dtype), st.integers(0, 2**16))
    def try_one(program, seed):
        ran.append(check(*program, dtype, size, seed, str(tmp_path / "code"), paired=paired))

    try_one()
    assert sum(ran) > len(ran) / 4
