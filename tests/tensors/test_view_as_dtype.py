"""view(dtype): the same bytes as elements of another dtype."""

import numpy as np
import pytest

import versant as vs

DTYPES = [vs.bool, vs.uint8, vs.int8, vs.int16, vs.int32, vs.int64, vs.float16, vs.float32, vs.float64]


@pytest.mark.parametrize("target", DTYPES, ids=str)
@pytest.mark.parametrize("source", DTYPES, ids=str)
def test_as_numpy_views(source, target) -> None:
    x = (vs.arange(48) % 2).reshape(2, 3, 8).to(source)
    expected = x.numpy().view(vs.empty(0, dtype=target).numpy().dtype)
    np.testing.assert_array_equal(x.view(target).numpy().view(np.uint8), expected.view(np.uint8))
    assert x.view(target).shape == expected.shape


def test_memory_is_shared_and_no_gradient_recorded() -> None:
    x = vs.ones(3, requires_grad=True)
    bits = x.view(vs.int32)
    assert not bits.requires_grad
    bits[1] = 0
    assert x.tolist() == [1.0, 0.0, 1.0]


def test_strided_views_keep_their_other_axes() -> None:
    x = vs.arange(24, dtype=vs.int32).reshape(4, 6)[::2, 2:]
    np.testing.assert_array_equal(x.view(vs.int64).numpy(), x.numpy().view(np.int64))
    np.testing.assert_array_equal(x.view(vs.int8).numpy(), x.numpy().view(np.int8))


@pytest.mark.parametrize(
    ("x", "target", "message"),
    [
        (vs.ones(2, 3).t(), vs.uint8, "elements lie side by side"),
        (vs.tensor(1.0), vs.uint8, "elements lie side by side"),
        (vs.ones(2, 3), vs.float64, "must be multiples of 2"),
        (vs.ones(5)[1:], vs.float64, "must be multiples of 2"),
        (vs.ones(3, 4)[:, 1:3], vs.float64, "must be multiples of 2"),
    ],
)
def test_what_does_not_fit_raises(x, target, message: str) -> None:
    with pytest.raises(vs.ShapeError, match=message):
        x.view(target)
