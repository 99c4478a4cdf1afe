"""Arrays and tensors of the same values, for tests against numpy."""

import re

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import versant as vs

DTYPES = st.sampled_from(
    ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def numbers(shape, dtype="float64"):
    return np.asarray(np.arange(np.prod(shape, dtype=int)) % 120, dtype).reshape(shape)


@st.composite
def pairs(draw, shapes=SHAPES, dtypes=DTYPES):
    """A numpy array, and a tensor of the same values whose axes lie in some order in memory."""
    shape = draw(shapes)
    array = numbers(shape, draw(dtypes))
    order = draw(st.permutations(range(len(shape))))
    stored = vs.tensor(np.array(array.transpose(order), order="C"))
    return array, stored.permute([order.index(d) for d in range(len(shape))])


def same(tensor, expected):
    got = tensor.detach().numpy()
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def leaf(values):
    return vs.tensor(values, dtype=vs.float64, requires_grad=True)


def refused(kind, message):
    return pytest.raises(kind, match=re.escape(message))
