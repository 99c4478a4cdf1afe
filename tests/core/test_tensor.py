"""Tensors as Python objects: made from data, read back, copied, pickled, subclassed, collected."""

import copy
import gc
import math
import pickle
import weakref
from collections import deque
from fractions import Fraction

import numpy as np
import pytest

import versant as vs
from versant import nn


def same(x: vs.Tensor, values, dtype) -> None:
    assert x.dtype is dtype
    assert x.tolist() == values


# --- from data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "values", "dtype"),
    [
        (3, 3, vs.int64),
        (3.5, 3.5, vs.float32),
        (True, True, vs.bool),
        ([1, 2.5, True], [1.0, 2.5, 1.0], vs.float32),
        ([1, True], [1, 1], vs.int64),
        ([True, False], [True, False], vs.bool),
        (((1, 2), [3, 4]), [[1, 2], [3, 4]], vs.int64),
        (range(4), [0, 1, 2, 3], vs.int64),
        ([range(2), range(2)], [[0, 1], [0, 1]], vs.int64),
        (deque([1.5, 2.5]), [1.5, 2.5], vs.float32),
        ([], [], vs.float32),
        ([[], []], [[], []], vs.float32),
        (Fraction(1, 2), 0.5, vs.float32),
        (np.float64(1.5), 1.5, vs.float64),
        (np.float32(1.5), 1.5, vs.float32),
        (np.float16(1.5), 1.5, vs.float16),
        (np.int8(3), 3, vs.int8),
        (np.uint16(3), 3, vs.int64),
        (np.bool_(True), True, vs.bool),
        ([np.int8(3)], [3], vs.int8),
        ([np.int8(3), 2], [3, 2], vs.int64),
        ([np.float16(0.5), 2], [0.5, 2.0], vs.float16),
        ([np.float16(0.5), 2.0], [0.5, 2.0], vs.float32),
        ([np.array([1, 2], "i2"), (3, 4)], [[1, 2], [3, 4]], vs.int64),
        ([np.array(2.5), np.array(1)], [2.5, 1.0], vs.float64),
        ([vs.tensor(1.5), 2], [1.5, 2.0], vs.float32),
        ([vs.tensor(1, dtype=vs.int8), 2], [1, 2], vs.int64),
        ([vs.tensor([1.5]), vs.tensor([[2.5]])], [1.5, 2.5], vs.float32),
    ],
    ids=repr,
)
def test_values_and_dtype_come_from_the_data(data, values, dtype) -> None:
    same(vs.tensor(data), values, dtype)


def test_empty_shapes() -> None:
    assert vs.tensor([]).shape == (0,)
    assert vs.tensor([[], []]).shape == (2, 0)
    assert vs.tensor([[[]], [[]]]).shape == (2, 1, 0)
    assert vs.tensor([np.ones((2, 0))]).shape == (1, 2, 0)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([[1, 2], [3]], ValueError, r"expected a sequence of length 2 at dimension 1, got 1"),
        ([[1], []], ValueError, r"length 1 at dimension 1, got 0"),
        ([[], [1]], ValueError, r"length 0 at dimension 1, got 1"),
        ([1, [2]], ValueError, r"mixed at dimension 1"),
        ([[1], 2], ValueError, r"mixed at dimension 1"),
        ([[], 2], ValueError, r"mixed at dimension 1"),
        ([1, []], ValueError, r"mixed at dimension 1"),
        ([np.ones(2), 1.0], ValueError, r"mixed at dimension 1"),
        ([np.ones(2), np.ones(3)], ValueError, r"length 2 at dimension 1, got 3"),
        ([vs.ones(2), vs.ones(2)], ValueError, r"got shape \(2,\); join tensors with versant.stack"),
        ("text", TypeError, r"dtype of str"),
        (["text"], TypeError, r"dtype of str"),
        (None, TypeError, r"dtype of NoneType"),
        ([1, None], TypeError, r"dtype of NoneType"),
        ({}, TypeError, r"dtype of dict"),
        ({1, 2}, TypeError, r"dtype of set"),
        (b"ab", TypeError, r"dtype of bytes"),
        (np.clongdouble(1j), TypeError, r"format 'Zg'"),
        (float, TypeError, r"dtype of type"),
    ],
    ids=repr,
)
def test_data_that_is_no_tensor(data, error, message: str) -> None:
    with pytest.raises(error, match=r"^\[(tensor|from_numpy)\] .*" + message):
        vs.tensor(data)


def test_a_list_in_itself_is_too_deep() -> None:
    data: list = []
    data.append(data)
    with pytest.raises(ValueError, match=r"\[tensor\] data is nested deeper than 64 levels"):
        vs.tensor(data)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (300, vs.uint8),
        (-256, vs.uint8),
        (128, vs.int8),
        (-129, vs.int8),
        (2**15, vs.int16),
        (2**31, vs.int32),
        (200.5, vs.int8),
        (1e30, vs.int64),
        (math.nan, vs.int32),
        (math.inf, vs.int64),
    ],
)
def test_what_an_integer_dtype_cannot_hold_raises(value, dtype) -> None:
    with pytest.raises(RuntimeError, match=rf"\[tensor\] value .* cannot be converted to {dtype.name}"):
        vs.tensor([value], dtype=dtype)
    with pytest.raises(RuntimeError, match=rf"\[full\] value .* cannot be converted to {dtype.name}"):
        vs.full((2,), value, dtype=dtype)
    with pytest.raises(RuntimeError, match=rf"\[fill_\] value .* cannot be converted to {dtype.name}"):
        vs.ones(2, dtype=dtype).fill_(value)


def test_conversion_to_a_given_dtype() -> None:
    same(vs.tensor([1.7, -1.7], dtype=vs.int32), [1, -1], vs.int32)
    same(vs.tensor([0.5, 0.0, math.nan], dtype=vs.bool), [True, False, True], vs.bool)
    same(vs.tensor([2, 0, -1], dtype=vs.bool), [True, False, True], vs.bool)
    same(vs.tensor([-1], dtype=vs.uint8), [255], vs.uint8)
    same(vs.tensor([1e6], dtype=vs.float16), [math.inf], vs.float16)
    same(vs.tensor([2**70], dtype=vs.float64), [2.0**70], vs.float64)
    same(vs.tensor(2**64, dtype=vs.float32), 2.0**64, vs.float32)
    same(vs.tensor([1], dtype=float), [1.0], vs.float64)
    same(vs.tensor([1.5], dtype=int), [1], vs.int64)
    same(vs.tensor([1.5], dtype=bool), [True], vs.bool)
    same(vs.tensor(-(2**63)), -(2**63), vs.int64)


def test_ints_beyond_64_bits_overflow() -> None:
    for make in (lambda: vs.tensor(2**63), lambda: vs.tensor([2**63]), lambda: vs.ones(2) + 2**64):
        with pytest.raises(OverflowError, match="beyond 64 bits"):
            make()


def test_tensor_copies_and_as_tensor_shares() -> None:
    x = vs.ones(3)
    assert vs.as_tensor(x) is x
    assert vs.as_tensor(x, dtype=vs.float64).dtype is vs.float64
    y = vs.tensor(x)
    y[0] = 5
    assert x.tolist() == [1, 1, 1]
    array = np.ones(3)
    vs.as_tensor(array)[0] = 5
    vs.tensor(array)[1] = 5
    assert array.tolist() == [5, 1, 1]


def test_the_old_constructor() -> None:
    assert vs.Tensor(2, 3).shape == (2, 3)
    assert vs.Tensor().shape == (0,)
    same(vs.Tensor([1, 2]), [1.0, 2.0], vs.float32)
    with pytest.raises(TypeError, match=r"\[Tensor\] takes no keyword arguments"):
        vs.Tensor([1], dtype=vs.int8)
    with pytest.raises(TypeError, match=r"\[Tensor\] expected data or sizes"):
        vs.Tensor([1], [2])


# --- numbers out of tensors -------------------------------------------------------------------------------


def test_item_gives_the_python_number_of_the_kind() -> None:
    for value, dtype, kind in [
        (1, vs.int8, int), (1, vs.uint8, int), (1.5, vs.float16, float), (1.5, vs.bfloat16, float),
        (1.5, vs.float64, float), (True, vs.bool, bool), (2**62 + 1, vs.int64, int),
    ]:  # fmt: skip
        item = vs.tensor([[value]], dtype=dtype).item()
        assert item == value
        assert type(item) is kind
    assert vs.tensor(0.1).item() == float(np.float32(0.1))


def test_tolist() -> None:
    assert vs.tensor(1.5).tolist() == 1.5
    assert vs.arange(6).reshape(2, 3).t().tolist() == [[0, 3], [1, 4], [2, 5]]
    assert vs.ones(2, 0).tolist() == [[], []]
    assert vs.ones(0, 2).tolist() == []
    assert [type(v) for v in vs.tensor([True]).tolist()] == [bool]


def test_python_conversions() -> None:
    assert int(vs.tensor([2.7])) == 2
    assert int(vs.tensor(-2.7)) == -2
    assert float(vs.tensor(3)) == 3.0
    assert complex(vs.tensor(3)) == 3
    assert [1, 2, 3][vs.tensor(1)] == 2
    assert [1, 2, 3][vs.tensor([True])] == 2
    assert list(range(vs.tensor(3))) == [0, 1, 2]
    assert math.sqrt(vs.tensor(4.0)) == 2.0
    assert bool(vs.tensor([[0.5]]))
    assert bool(vs.tensor(math.nan))
    assert not vs.tensor([0])
    assert not vs.tensor(-0.0)


@pytest.mark.parametrize("shape", [(2,), (0,), (1, 2)], ids=str)
def test_several_elements_are_no_number(shape) -> None:
    x = vs.ones(shape, dtype=vs.int64)
    for convert in (int, float, lambda t: t.item()):
        with pytest.raises(
            ValueError, match=r"\[(int|float|item)\] a tensor of shape .* is no single number"
        ):
            convert(x)
        with pytest.raises(RuntimeError):
            convert(x)
    with pytest.raises(RuntimeError, match="no values" if 0 in shape else "more than one value"):
        bool(x)
    with pytest.raises(TypeError, match="single element"):
        [1, 2][x]


def test_other_conversions_that_fail() -> None:
    with pytest.raises(TypeError, match="single element"):
        [1, 2][vs.tensor(1.0)]
    with pytest.raises(ValueError, match="NaN"):
        int(vs.tensor(math.nan))
    with pytest.raises(OverflowError):
        int(vs.tensor(math.inf))


def test_len_and_iteration() -> None:
    assert len(vs.ones(3, 2)) == 3
    rows = list(vs.arange(4).reshape(2, 2))
    assert [row.tolist() for row in rows] == [[0, 1], [2, 3]]
    first, second = vs.tensor([1.0, 2.0], requires_grad=True)
    (first * 3 + second).backward()
    assert list(vs.ones(0)) == []
    assert [row.tolist() for row in reversed(vs.arange(2).reshape(2, 1))] == [[1], [0]]
    for call in (len, iter, list):
        with pytest.raises(TypeError, match="0-d tensor"):
            call(vs.tensor(1))


def test_iteration_gives_views() -> None:
    x = vs.zeros(2, 2)
    for row in x:
        row += 1
    assert x.tolist() == [[1, 1], [1, 1]]


def test_contains() -> None:
    x = vs.tensor([1, 2])
    assert 2 in x
    assert 3 not in x
    assert vs.tensor(1) in x
    assert math.nan not in vs.tensor([math.nan])
    for value in ("a", None, [1]):
        with pytest.raises(RuntimeError, match=r"\[contains\] expected a number or a tensor"):
            assert value in x


def test_format() -> None:
    assert f"{vs.tensor(1.5)}" == "1.5"
    assert f"{vs.tensor(1.5):.3f}" == "1.500"
    assert f"{vs.tensor(15):>5d}" == "   15"
    assert f"{vs.tensor(True)}" == "True"
    assert f"{vs.ones(2)}" == "tensor([1., 1.])"
    with pytest.raises(TypeError, match="unsupported format string"):
        f"{vs.ones(2):.2f}"


def test_hash_is_by_identity() -> None:
    x, y = vs.ones(2), vs.ones(2)
    names = {x: "x", y: "y"}
    assert (names[x], names[y]) == ("x", "y")
    assert len({x, y, x}) == 2
    assert hash(x) == hash(x)


def test_comparison_with_foreign_objects() -> None:
    x = vs.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "a") is False
    for compare in (lambda: x < "a", lambda: x >= None):
        with pytest.raises(TypeError, match="not supported between instances"):
            compare()


# --- shape, dtype, device ---------------------------------------------------------------------------------


def test_size_is_a_tuple_of_ints() -> None:
    shape = vs.ones(2, 3, 4).shape
    assert shape == (2, 3, 4)
    assert isinstance(shape, tuple)
    assert shape.numel() == 24
    assert repr(shape) == "versant.Size([2, 3, 4])"
    for part in (shape[1:], shape + (1,), (1,) + shape, shape + shape, shape * 2, vs.Size([2, 3])):  # noqa: RUF005
        assert type(part) is vs.Size
    assert (shape[1:], (1,) + shape) == ((3, 4), (1, 2, 3, 4))  # noqa: RUF005
    assert shape[0] == 2
    assert type(shape[0]) is int
    assert vs.Size([np.int64(2), vs.tensor(3)]) == (2, 3)
    assert hash(shape) == hash((2, 3, 4))
    assert pickle.loads(pickle.dumps(shape)) == shape
    assert type(copy.deepcopy(shape)) is vs.Size
    with pytest.raises(TypeError, match=r"\[Size\] expected ints, got float"):
        vs.Size([1.5])
    with pytest.raises(TypeError):
        shape + [1]  # noqa: RUF005


def test_size_and_stride_methods() -> None:
    x = vs.ones(2, 3)
    assert (x.size(), x.size(0), x.size(-1), x.size(dim=1)) == ((2, 3), 2, 3, 3)
    assert (x.stride(), x.stride(0), x.t().stride()) == ((3, 1), 3, (1, 3))
    assert (x.dim(), x.ndim, x.numel(), x.nelement(), x.itemsize, x.nbytes, x.element_size()) == (
        2,
        2,
        6,
        6,
        4,
        24,
        4,
    )
    assert (x.T.shape, x.mT.shape, x.H.shape) == ((3, 2), (3, 2), (3, 2))
    assert x[1:].storage_offset() == 3
    assert x[1:].data_ptr() == x.data_ptr() + 12
    for axis in (2, -3):
        with pytest.raises(IndexError, match=r"\[size\] Dimension out of range"):
            x.size(axis)
    with pytest.raises(IndexError, match=r"\[stride\]"):
        vs.tensor(1).stride(0)


def test_dtypes() -> None:
    assert repr(vs.float32) == "versant.float32"
    assert (vs.float, vs.double, vs.half, vs.long, vs.int, vs.short) == (
        vs.float32, vs.float64, vs.float16, vs.int64, vs.int32, vs.int16
    )  # fmt: skip
    assert (vs.int8.is_signed, vs.uint8.is_signed, vs.bool.is_signed) == (True, False, False)
    assert (vs.bfloat16.itemsize, vs.bfloat16.is_floating_point, vs.int64.is_floating_point) == (
        2,
        True,
        False,
    )
    assert copy.deepcopy(vs.int8) is vs.int8
    assert pickle.loads(pickle.dumps(vs.bfloat16)) is vs.bfloat16
    assert len({vs.float32, vs.float, vs.float64}) == 2


def test_to_and_type() -> None:
    x = vs.ones(2)
    assert x.to(vs.float32) is x
    assert x.to("cpu") is x
    assert x.to(vs.float32, copy=True) is not x
    assert x.to(x.device, vs.float32, False, True) is not x
    assert x.to("cpu", vs.int32).dtype is x.int().dtype is x.to(dtype=vs.int32).dtype is vs.int32
    assert x.to(vs.ones(1, dtype=vs.int8)).dtype is vs.int8
    assert x.to(float).dtype is vs.float64
    assert (x.type(), x.long().type(), x.type(vs.half).dtype) == (
        "versant.FloatTensor",
        "versant.LongTensor",
        vs.half,
    )
    with pytest.raises(TypeError, match=r"\[to\] expected a dtype, a device or a tensor, got float"):
        x.to(3.5)
    with pytest.raises(RuntimeError, match=r"\[device\] this build runs on 'cpu', got 'cuda'"):
        x.to("cuda")
    with pytest.raises(TypeError, match="unexpected keyword"):
        x.to(vs.int8, kopy=True)


def test_device() -> None:
    cpu = vs.device("cpu")
    assert vs.ones(1).device == cpu == vs.device("cpu", 0)
    assert (str(cpu), repr(cpu), cpu.type, cpu.index) == ("cpu", "device(type='cpu')", "cpu", None)
    assert pickle.loads(pickle.dumps(cpu)) is cpu
    assert vs.device(cpu) is cpu


def test_finfo() -> None:
    for dtype, numpy_type in [(vs.float16, np.float16), (vs.float32, np.float32), (vs.float64, np.float64)]:
        ours, theirs = vs.finfo(dtype), np.finfo(numpy_type)
        for name in ("bits", "eps", "max", "min", "tiny", "smallest_normal"):
            assert getattr(ours, name) == float(getattr(theirs, name)), name
        assert ours.resolution == pytest.approx(float(theirs.resolution), rel=1e-3)
    brain = vs.finfo(vs.bfloat16)
    assert (brain.bits, brain.eps, brain.max, brain.tiny) == (16, 2.0**-7, 3.3895313892515355e38, 2.0**-126)
    assert vs.finfo() == vs.finfo(vs.float32)
    assert repr(vs.finfo(vs.float32)) == (
        "finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38, eps=1.19209e-07, "
        "smallest_normal=1.17549e-38, tiny=1.17549e-38, dtype=float32)"
    )
    with pytest.raises(TypeError, match=r"\[finfo\] expected a floating-point dtype"):
        vs.finfo(vs.int32)


def test_iinfo() -> None:
    for dtype, numpy_type in [
        (vs.uint8, np.uint8),
        (vs.int8, np.int8),
        (vs.int16, np.int16),
        (vs.int64, np.int64),
    ]:
        ours, theirs = vs.iinfo(dtype), np.iinfo(numpy_type)
        assert (ours.bits, ours.min, ours.max) == (theirs.bits, theirs.min, theirs.max)
    assert repr(vs.iinfo(vs.int8)) == "iinfo(min=-128, max=127, dtype=int8)"
    for dtype in (vs.bool, vs.float32):
        with pytest.raises(TypeError, match=r"\[iinfo\] expected an integer dtype"):
            vs.iinfo(dtype)


def test_default_dtype() -> None:
    assert vs.get_default_dtype() is vs.float32
    vs.set_default_dtype(vs.float64)
    try:
        assert vs.tensor(1.5).dtype is vs.Tensor([1]).dtype is vs.ones(1).dtype is vs.float64
        assert repr(vs.tensor([1.5])) == "tensor([1.5000])"
    finally:
        vs.set_default_dtype(vs.float32)
    with pytest.raises(TypeError, match=r"\[set_default_dtype\] only floating-point dtypes"):
        vs.set_default_dtype(vs.int32)


# --- copies and pickles -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", [vs.bool, vs.uint8, vs.int64, vs.float16, vs.bfloat16, vs.float32, vs.float64], ids=str
)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (3,), (2, 3, 4), (100,)], ids=str)
def test_pickles_come_back(shape, dtype) -> None:
    x = (vs.arange(24 if shape == (2, 3, 4) else math.prod(shape)) % 2).reshape(shape).to(dtype)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        y = pickle.loads(pickle.dumps(x, protocol))
        assert (y.dtype, y.shape, y.tolist()) == (x.dtype, x.shape, x.tolist())
        y.fill_(1)  # the memory is its own and can be written
    assert x.numel() == 0 or 0 in x.reshape(-1)


def test_pickles_keep_requires_grad_and_attributes_of_leaves() -> None:
    x = vs.ones(2, requires_grad=True)
    x.label = "x"
    y = pickle.loads(pickle.dumps(x))
    assert (y.requires_grad, y.is_leaf, y.label) == (True, True, "x")
    strided = pickle.loads(pickle.dumps(vs.arange(6).reshape(2, 3).t()))
    assert strided.tolist() == [[0, 3], [1, 4], [2, 5]]
    for clone in (pickle.dumps, copy.deepcopy):
        with pytest.raises(RuntimeError, match="only leaf tensors can be"):
            clone(x * 2)


def test_parameters_stay_parameters() -> None:
    p = nn.Parameter(vs.ones(2))
    q = nn.Parameter(vs.ones(2), requires_grad=False)
    for clone in (lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy):
        assert type(clone(p)) is nn.Parameter
        assert clone(p).requires_grad
        assert not clone(q).requires_grad
        assert clone(p).tolist() == [1, 1]


def test_copy_shares_and_deepcopy_does_not() -> None:
    x = vs.ones(2)
    x.label = ["a"]
    near, far = copy.copy(x), copy.deepcopy(x)
    x[0] = 5
    x.label.append("b")
    assert (near.tolist(), near.label) == ([5, 1], ["a", "b"])
    assert (far.tolist(), far.label) == ([1, 1], ["a"])
    leaf = vs.ones(2, requires_grad=True)
    (leaf * 2).sum().backward()
    twin = copy.deepcopy(leaf)
    assert twin.grad.tolist() == [2, 2]
    assert twin.grad is not leaf.grad
    both = copy.deepcopy([leaf, leaf])
    assert both[0] is both[1]


# --- life of the object -----------------------------------------------------------------------------------


class Named(vs.Tensor):
    """A subclass without a constructor of its own."""

    def twice(self) -> vs.Tensor:
        return self * 2


def test_subclasses() -> None:
    x = Named([1, 2])
    assert type(x) is Named
    assert x.twice().tolist() == [2, 4]
    assert Named(2, 3).shape == (2, 3)
    assert Named().shape == (0,)
    assert isinstance(x, vs.Tensor)
    assert vs.is_tensor(x)
    assert repr(x) == "Named([1., 2.])"
    shared = vs.zeros(2)
    Named(shared)[0] = 1
    assert shared.tolist() == [1, 0]
    assert type(copy.deepcopy(x)) is Named
    assert (x + x).tolist() == [2, 4]
    x.requires_grad_()
    x.twice().sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_weak_references_and_attributes() -> None:
    x = vs.ones(2)
    seen = []
    ref = weakref.ref(x, lambda _: seen.append("gone"))
    x.label = "a"
    assert (ref() is x, x.label, x.__dict__) == (True, "a", {"label": "a"})
    del x.label
    with pytest.raises(AttributeError):
        x.label  # noqa: B018
    del x
    assert ref() is None
    assert seen == ["gone"]


def test_attributes_do_not_pass_to_new_tensors() -> None:
    # The memory of tensors is reused: nothing of the last owner may show.
    for _ in range(100):
        x = vs.ones(2)
        assert not x.__dict__
        x.label = "a"
        del x
        assert not hasattr(vs.ones(2) + 1, "label")


@pytest.mark.parametrize(
    "tie",
    [
        lambda x: setattr(x, "self", x),
        lambda x: setattr(x, "list", [x]),
        lambda x: setattr(x, "part", x[:1]) or setattr(x.part, "owner", x),
        lambda x: setattr(x, "holder", {"hook": lambda: x}),
    ],
    ids=["itself", "list", "view", "closure"],
)
def test_cycles_are_collected(tie) -> None:
    x = vs.ones(2)
    tie(x)
    ref = weakref.ref(x)
    del x
    assert ref() is not None
    gc.collect()
    assert ref() is None


def test_cycles_through_hooks_and_gradients_are_collected() -> None:
    def hooked() -> vs.Tensor:
        x = vs.ones(2, requires_grad=True)
        x.register_hook(lambda g: x.detach() * g)
        return x

    y = vs.ones(2, requires_grad=True)
    y.grad = vs.ones(2)
    y.grad.owner = y
    y.label = "y"
    refs = [weakref.ref(hooked()), weakref.ref(y)]
    del y
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_fields_that_are_read_only() -> None:
    x = vs.ones(2)
    for name in ("shape", "dtype", "device", "grad_fn", "is_leaf", "ndim"):
        with pytest.raises(AttributeError):
            setattr(x, name, 1)
    with pytest.raises(TypeError, match="cannot be deleted"):
        del x[0]


def test_data_takes_over_memory_while_a_buffer_is_out() -> None:
    x = vs.arange(1000.0)
    view = memoryview(x)
    x.data = vs.zeros(3)
    churn = [vs.ones(1000) for _ in range(4)]
    assert view[999] == 999.0
    assert x.tolist() == [0, 0, 0]
    assert len(churn) == 4
