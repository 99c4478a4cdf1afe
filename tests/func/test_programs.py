"""Programs in the style of torch.func give its numbers, which `expected.npz` holds; compiled the same bits.

`python tests/oracle/test_func_programs.py` writes that file with PyTorch.
"""

from pathlib import Path

import numpy as np
import pytest
from func import programs, programs_more

import versant as vs

EXPECTED = np.load(Path(__file__).with_name("expected.npz"))
NAMES = list(programs_more.PROGRAMS)


@pytest.mark.parametrize("name", NAMES)
def test_gives_the_numbers_of_torch_func(name):
    found = programs.flat(programs.PROGRAMS[name](vs, lambda f: f))
    assert f"{name}/{len(found)}" not in EXPECTED
    for i, ours in enumerate(found):
        theirs = EXPECTED[f"{name}/{i}"]
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_compiled_gives_the_same_bits(name):
    compiled = []

    def wrapped(f):
        compiled.append(vs.compile(f))
        return lambda *args: [compiled[-1](*args), compiled[-1](*args)][1]

    eager = programs.flat(programs.PROGRAMS[name](vs, lambda f: f))
    replayed = programs.flat(programs.PROGRAMS[name](vs, wrapped))
    for a, b in zip(eager, replayed, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(f.stats()["traces"] == 1 and f.stats()["replays"] == 1 for f in compiled)
