"""What calls give: values, dtypes, strides and printed text, in corner cases that PyTorch decides."""

import copy
import math
import pickle

import numpy as np
import pytest

import versant as vs
from versant.nn import functional as F

x = vs.arange(12.0).view(3, 4)
m = vs.arange(12).view(3, 4)
i = vs.tensor([-1, 5])
b = vs.tensor([True, False])


def written(target, key, value):
    """The target after target[key] = value."""
    target = target.clone()
    target[key] = value
    return target


VALUES = {
    "sizes as a keyword": (lambda: vs.zeros(size=(2, 1), dtype=vs.int8), [[0], [0]], vs.int8),
    "ones of a keyword": (lambda: vs.ones(size=2), [1.0, 1.0], vs.float32),
    "arange to a keyword": (lambda: vs.arange(end=3), [0, 1, 2], vs.int64),
    "arange in any order": (lambda: vs.arange(step=2, end=5, start=1), [1, 3], vs.int64),
    "arange to a float of numpy": (lambda: vs.arange(np.float32(3)), [0.0, 1.0, 2.0], vs.float32),
    "bool of a fraction": (lambda: b.clone().fill_(0.5), [True, True], vs.bool),
    "bool of nan": (lambda: b.clone().fill_(math.nan), [True, True], vs.bool),
    "bool of a fraction by index": (lambda: written(b, 1, 0.5), [True, True], vs.bool),
    "a fraction among integers": (lambda: written(i, 0, -2.7), [-2, 5], vs.int64),
    "a negative number in uint8": (lambda: written(i.byte(), 1, -1), [255, 255], vs.uint8),
    "number less bool": (lambda: i - True, [-2, 4], vs.int64),
    "power of a negative tensor": (lambda: i ** vs.tensor(-1), [-1, 0], vs.int64),
    "power of a negative float": (lambda: i**-1.0, [-1.0, 0.2], vs.float32),
    "comparison with a number beyond the dtype": (lambda: i.byte() < 300, [True, True], vs.bool),
    "in place, rounded": (lambda: (i * 3).div_(2, rounding_mode="floor"), [-2, 7], vs.int64),
    "in place, truncated": (lambda: vs.tensor([-7.0]).div_(2, rounding_mode="trunc"), [-3.0], vs.float32),
    "triangle in place": (lambda: vs.ones(2, 2).tril_(-1), [[0.0, 0.0], [1.0, 0.0]], vs.float32),
    "several bools as index": (lambda: m[True, True].sum(), 66, vs.int64),
    "tile by a number": (lambda: vs.tensor([[1, 2]]).tile(2), [[1, 2, 1, 2]], vs.int64),
    "quarter turn": (lambda: vs.tensor([[1, 2], [3, 4]]).rot90(), [[2, 4], [1, 3]], vs.int64),
    "quarter turn back": (lambda: vs.rot90(vs.tensor([[1, 2], [3, 4]]), -1), [[3, 1], [4, 2]], vs.int64),
    "repeats one by one": (lambda: vs.tensor([7, 8]).repeat_interleave(vs.tensor([0, 2])), [8, 8], vs.int64),
    "repeats alone": (lambda: vs.repeat_interleave(vs.tensor([1, 0, 2])), [0, 2, 2], vs.int64),
    "repeated columns": (lambda: m[:1].repeat_interleave(vs.tensor([0, 2, 0, 1]), 1), [[1, 1, 3]], vs.int64),
    "circular margins around a cut": (
        lambda: F.pad(x[:1], (-1, 1), mode="circular"), [[1.0, 2.0, 3.0, 1.0]], vs.float32
    ),
    "einsum of numbers": (lambda: vs.einsum(x, [0, 1], x, [0, 1], [0]), [14.0, 126.0, 366.0], vs.float32),
    "einsum of numbers and dots": (lambda: vs.einsum(x[:1], [..., 3], [3, ...]).shape[0], 4, None),
    "numpy's names": (lambda: x.max(axis=0, keepdims=True).values, [[8.0, 9.0, 10.0, 11.0]], vs.float32),
    "numpy's names of var": (lambda: x.var(axis=1), [5 / 3] * 3, vs.float32),
    "weighted mean of squares": (
        lambda: F.mse_loss(vs.tensor([1.0, 3.0]), vs.zeros(2), weight=vs.tensor([1.0, 3.0])), 7.0, vs.float32
    ),
    "view of a dtype by name": (lambda: vs.tensor([1.0]).view(dtype=vs.int32), [1065353216], vs.int32),
    "part of a window in ceil mode": (
        lambda: F.max_pool2d(x[None, :2], (1, 3), (1, 2), dilation=(1, 2), ceil_mode=True), [[[2.0], [6.0]]],
        vs.float32,
    ),
    "asarray": (lambda: vs.asarray([1, 2], dtype=vs.float64), [1.0, 2.0], vs.float64),
    "a mask of uint8": (lambda: vs.where(vs.tensor([1, 0]).byte(), 1, 2), [1, 2], vs.int64),
}  # fmt: skip


@pytest.mark.parametrize(("call", "value", "dtype"), VALUES.values(), ids=list(VALUES))
def test_values(call, value, dtype) -> None:
    result = call()
    if dtype is None:
        assert result == value
        return
    assert result.dtype is dtype
    np.testing.assert_allclose(np.array(result.tolist()), np.array(value), rtol=1e-6)
    assert list(result.shape) == list(np.shape(value))


turned = x.permute(1, 0)

STRIDES = {
    "zeros_like": lambda: vs.zeros_like(turned),
    "empty_like": lambda: vs.empty_like(turned, dtype=vs.int8),
    "full_like": lambda: vs.full_like(turned, 2),
    "clone": lambda: turned.clone(),
    "sum of two": lambda: turned + turned,
    "deepcopy": lambda: copy.deepcopy(turned),
    "pickle": lambda: pickle.loads(pickle.dumps(turned)),
}


@pytest.mark.parametrize("call", STRIDES.values(), ids=list(STRIDES))
def test_the_order_of_axes_in_memory_is_kept(call) -> None:
    result = call()
    assert result.shape == (4, 3)
    assert result.stride() == (1, 4)


def test_pickled_and_copied_values_survive_another_order() -> None:
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(turned)).numpy(), turned.numpy())
    np.testing.assert_array_equal(copy.deepcopy(turned).numpy(), turned.numpy())


def test_deep_copies_share_memory_as_the_originals_do() -> None:
    base = vs.zeros(3, 4)
    for pair in ([base, base[1:, 2]], [base[1:, 2], base]):
        copies = copy.deepcopy(pair)
        whole, part = copies if copies[0].dim() == 2 else copies[::-1]
        part.fill_(7)
        assert whole[:, 2].tolist() == [0, 7, 7]
        assert base.sum() == 0


TEXTS = {
    "sort": (
        lambda: vs.tensor([2, 1]).sort(),
        "versant.return_types.sort(\nvalues=tensor([1, 2]),\nindices=tensor([1, 0]))",
    ),
    "max": (
        lambda: vs.tensor([2, 1]).max(0),
        "versant.return_types.max(\nvalues=tensor(2),\nindices=tensor(0))",
    ),
    "shape": (lambda: vs.broadcast_shapes((3, 1), (4,)), "versant.Size([3, 4])"),
}


@pytest.mark.parametrize(("call", "text"), TEXTS.values(), ids=list(TEXTS))
def test_texts(call, text: str) -> None:
    assert repr(call()) == text


OVERFLOWS = {
    "tensor": lambda: vs.tensor(2**64),
    "full": lambda: vs.full((2,), 2**64),
    "add": lambda: i + 2**64,
    "clamp": lambda: i.clamp(0, 2**64),
    "pad": lambda: F.pad(i, (1, 1), value=2**64),
}


@pytest.mark.parametrize(("name", "call"), OVERFLOWS.items(), ids=list(OVERFLOWS))
def test_ints_beyond_64_bits_are_refused_by_name(name: str, call) -> None:
    with pytest.raises(OverflowError, match=rf"\[{name}\w*\] a Python int beyond 64 bits"):
        call()
