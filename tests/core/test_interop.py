"""Sharing memory with numpy, the buffer protocol and DLPack, both ways; foreign operands of operators."""

import array
import ctypes
import gc
import io
import sys
import weakref

import numpy as np
import pytest

import versant as vs

NUMPY = {
    vs.bool: np.bool_, vs.uint8: np.uint8, vs.int8: np.int8, vs.int16: np.int16, vs.int32: np.int32,
    vs.int64: np.int64, vs.float16: np.float16, vs.float32: np.float32, vs.float64: np.float64,
}  # fmt: skip


def counts(shape: tuple[int, ...], dtype=np.float32) -> np.ndarray:
    return np.arange(int(np.prod(shape, dtype=int))).reshape(shape).astype(dtype)


# --- numpy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), NUMPY.items(), ids=str)
def test_numpy_both_ways_without_a_copy(ours, theirs) -> None:
    source = counts((3, 4), theirs)
    x = vs.from_numpy(source)
    assert (x.dtype, x.shape, x.data_ptr()) == (ours, (3, 4), source.ctypes.data)
    np.testing.assert_array_equal(x.numpy(), source)
    back = x.numpy()
    assert (back.dtype, back.ctypes.data) == (source.dtype, source.ctypes.data)
    source[1, 1] = 1
    back[0, 0] = 1
    assert x[1, 1].item() == x[0, 0].item() == 1
    x[2, 2] = 0
    assert source[2, 2] == 0


@pytest.mark.parametrize(
    "pick",
    [
        lambda a: a.T,
        lambda a: a[1:, ::2],
        lambda a: a[:, 1],
        lambda a: a[1, 1],
        lambda a: a[:0],
        lambda a: a[:, :0].T,
        lambda a: a[None, :, None],
        lambda a: a.reshape(2, 2, 3).transpose(2, 0, 1),
        lambda a: np.broadcast_to(a, (2, 4, 3)),
        lambda a: np.asfortranarray(a),
    ],
    ids=["T", "steps", "column", "0-d", "empty", "empty T", "None", "3-d", "broadcast", "Fortran"],
)
def test_strides_come_along(pick) -> None:
    part = np.asarray(pick(counts((4, 3))))
    x = vs.as_tensor(part)
    np.testing.assert_array_equal(x.numpy(), part)
    np.testing.assert_array_equal((x + 1).numpy(), part + 1)
    if part.size:
        assert x.data_ptr() == part.ctypes.data
        assert all(s * 4 == t for s, t, n in zip(x.stride(), part.strides, part.shape, strict=True) if n > 1)


def test_views_of_a_tensor_come_along() -> None:
    x = vs.arange(12.0).reshape(3, 4)
    for view in (x.t(), x[1:, ::2], x[0], x[:, :0], x[2, 3], x.expand(2, 3, 4)):
        array_ = view.numpy()
        assert (array_.shape, array_.tolist()) == (view.shape, view.tolist())
    x.t().numpy()[0, 0] = 7
    assert x[0, 0].item() == 7


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: np.arange(4)[::-1], "negative"),
        (lambda: np.arange(6).reshape(2, 3)[:, ::-1], "negative"),
        (lambda: np.frombuffer(bytearray(9), np.uint8)[1:].view(np.float32), "not aligned"),
        (lambda: np.zeros(3, [("a", "i1"), ("b", "<i4")])["b"], "no multiple of its element size"),
    ],
    ids=["reversed", "reversed axis", "odd address", "packed record"],
)
def test_what_cannot_be_shared_is_copied_only_where_a_copy_was_asked_for(make, problem) -> None:
    source = make()
    with pytest.raises(ValueError, match=rf"\[from_numpy\] .*{problem}.*; use array.copy\(\)"):
        vs.from_numpy(source)
    np.testing.assert_array_equal(vs.tensor(source).numpy(), source)
    np.testing.assert_array_equal((vs.zeros_like(vs.tensor(source)) + source).numpy(), source)


def test_empty_and_single_axes_have_no_bad_strides() -> None:
    assert vs.from_numpy(np.ones((0, 3))[:, ::-1]).shape == (0, 3)
    assert vs.from_numpy(np.arange(3)[::-1][:1]).tolist() == [2]


@pytest.mark.parametrize("dtype", [">i4", ">f8", ">f2"])
def test_foreign_byte_order_raises(dtype) -> None:
    source = counts((3,), dtype)
    for make in (vs.from_numpy, vs.tensor, vs.as_tensor, lambda a: vs.ones(3) + a):
        with pytest.raises(ValueError, match=r"big-endian arrays are not supported; use array.astype"):
            make(source)
    assert vs.tensor(source.astype(source.dtype.newbyteorder("="))).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "source",
    [
        np.array([1, None], dtype=object),
        np.array(["a"]),
        np.array([b"a"]),
        np.array([1j], np.clongdouble),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.zeros(2, [("a", "i4")]),
        np.ones(2, np.uint16),
        np.ones(2, np.uint64),
        np.ones(2, np.longdouble),
    ],
    ids=lambda a: str(a.dtype),
)
def test_dtypes_that_tensors_lack_raise(source) -> None:
    for make in (vs.from_numpy, vs.tensor, vs.as_tensor):
        with pytest.raises((TypeError, ValueError), match=r"\[(from_numpy|tensor)\]|format|buffer"):
            make(source)


def test_read_only_arrays_are_shared_and_stay_unchanged() -> None:
    source = counts((3,))
    source.flags.writeable = False
    x = vs.from_numpy(source)
    assert x.data_ptr() == source.ctypes.data
    for write in (lambda: x.add_(1), lambda: x.fill_(0), lambda: x.__setitem__(0, 5), lambda: x[1:].mul_(2)):
        with pytest.raises(ValueError, match="read-only"):
            write()
    assert source.tolist() == [0, 1, 2]
    assert not x.numpy().flags.writeable
    assert memoryview(x).readonly
    x.clone()[0] = 5


def test_memory_lives_as_long_as_anyone_uses_it() -> None:
    source = counts((1000,))
    alive = weakref.ref(source)
    x = vs.from_numpy(source)[1:]
    del source
    gc.collect()
    assert alive() is not None
    assert x[998].item() == 999
    del x
    gc.collect()
    assert alive() is None
    y = vs.arange(1000.0)
    view = y.numpy()[1:]
    del y
    churn = [vs.ones(1000) for _ in range(4)]
    assert view[-1] == 999
    assert len(churn) == 4


def test_numpy_refuses_what_it_cannot_show() -> None:
    with pytest.raises(TypeError, match=r"\[numpy\] numpy has no bfloat16; convert with .float\(\) first"):
        vs.ones(2, dtype=vs.bfloat16).numpy()
    x = vs.ones(2, requires_grad=True)
    for call in (lambda: x.numpy(), lambda: np.asarray(x), lambda: np.array(x)):
        with pytest.raises(
            RuntimeError, match=r"\[numpy\] can't call numpy\(\) on a tensor that requires grad"
        ):
            call()
    with vs.no_grad(), pytest.raises(RuntimeError, match="requires grad"):
        np.asarray(x)
    assert x.numpy(force=True).tolist() == [1, 1]


def test_asarray() -> None:
    x = vs.arange(3)
    shared = np.asarray(x)
    shared[0] = 5
    assert x.tolist() == [5, 1, 2]
    assert np.array(x, dtype="f4").dtype == np.float32
    assert np.array(x, copy=True).ctypes.data != x.data_ptr()
    assert np.asarray([vs.tensor(1), vs.tensor(2)]).tolist() == [1, 2]
    assert np.stack([x, x]).shape == (2, 3)
    assert x.__array__(np.int64, copy=False).ctypes.data == x.data_ptr()
    with pytest.raises(ValueError, match="needs a copy"):
        x.__array__(np.float32, copy=False)


def test_numpy_functions_give_tensors() -> None:
    x = vs.tensor([0.0, 4.0])
    assert isinstance(np.sqrt(x), vs.Tensor)
    assert np.sqrt(x).tolist() == [0, 2]
    assert isinstance(np.add(x, 1), vs.Tensor)
    assert isinstance(np.isnan(x), vs.Tensor)
    assert float(np.max(x.numpy())) == 4


class Offering:
    """A stranger with __array__."""

    def __init__(self, values: object) -> None:
        self.values = values

    def __array__(self, dtype: object = None, copy: object = None) -> object:
        if isinstance(self.values, Exception):
            raise self.values
        return self.values


def test_array_protocol_of_strangers() -> None:
    source = counts((2, 3))
    x = vs.as_tensor(Offering(source))
    assert x.data_ptr() == source.ctypes.data
    assert vs.tensor(Offering(source)).data_ptr() != source.ctypes.data
    assert vs.tensor([Offering(source), Offering(source)]).shape == (2, 2, 3)
    with pytest.raises(TypeError, match=r"\[tensor\] __array__ of Offering did not return an array"):
        vs.tensor(Offering([1, 2]))
    with pytest.raises(ZeroDivisionError, match="mine"):
        vs.tensor(Offering(ZeroDivisionError("mine")))


# --- operands ---------------------------------------------------------------------------------------------

SCALARS = [np.float64(2), np.float32(2), np.float16(2), np.int64(2), np.int8(2), np.uint8(2), np.bool_(True)]


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: type(s).__name__)
def test_numpy_scalars_are_numbers_on_either_side(scalar) -> None:
    x = vs.tensor([1.0, 3.0])
    for result, expected in [
        (x * scalar, np.array([1, 3]) * scalar),
        (scalar * x, np.array([1, 3]) * scalar),
        (x - scalar, np.array([1.0, 3]) - float(scalar)),
        (scalar - x, float(scalar) - np.array([1.0, 3])),
        (x > scalar, np.array([1, 3]) > scalar),
        (scalar > x, scalar > np.array([1, 3])),
        (x**scalar, np.array([1, 3]) ** scalar),
    ]:
        assert isinstance(result, vs.Tensor)
        assert result.dtype is (vs.bool if expected.dtype == bool else vs.float32)
        assert result.tolist() == expected.tolist()


def test_numpy_integers_keep_integer_tensors() -> None:
    x = vs.tensor([1, 3], dtype=vs.int32)
    assert (x * np.int64(2)).dtype is vs.int32
    assert (np.int64(2) * x).dtype is vs.int32
    assert (np.float64(2) * x).dtype is vs.float32
    assert (x & np.bool_(True)).tolist() == [1, 1]


def test_arrays_are_operands_on_either_side() -> None:
    x, a = vs.tensor([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]], np.float32)
    for result, expected in [
        (x + a, x.numpy() + a), (a + x, a + x.numpy()), (a - x, a - x.numpy()), (x / a, x.numpy() / a),
        (a / x, a / x.numpy()), (x @ a, x.numpy() @ a), (a @ x, a @ x.numpy()), (x < a, x.numpy() < a),
        (a < x, a < x.numpy()), (a == x, a == x.numpy()), (x + a[0], x.numpy() + a[0]),
        (x + a.T, x.numpy() + a.T), (a[::-1] + x, a[::-1] + x.numpy()),
    ]:  # fmt: skip
        assert isinstance(result, vs.Tensor)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)
    assert (vs.ones(2) + np.ones(2)).dtype is vs.float64
    y = vs.ones(2, 2)
    y += a
    assert y.tolist() == (a + 1).tolist()


def test_gradients_flow_past_array_operands() -> None:
    x = vs.ones(2, requires_grad=True)
    (np.array([2.0, 3.0], np.float32) * x + np.float64(1)).sum().backward()
    assert x.grad.tolist() == [2, 3]


@pytest.mark.parametrize("other", ["a", None, [1, 2], {}, b"ab", object()], ids=lambda o: type(o).__name__)
def test_other_operands_raise(other) -> None:
    x = vs.ones(2)
    for apply in (lambda: x + other, lambda: other - x, lambda: x @ other, lambda: x.__iadd__(other) + 0):
        with pytest.raises(TypeError):
            apply()
    assert x.tolist() == [1, 1]


class Reflected:
    def __radd__(self, other: object) -> str:
        return "reflected"


def test_strangers_may_take_over() -> None:
    assert vs.ones(2) + Reflected() == "reflected"


# --- buffers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "code"),
    [
        (vs.bool, "?"), (vs.uint8, "B"), (vs.int8, "b"), (vs.int16, "h"), (vs.int32, "i"), (vs.int64, "q"),
        (vs.float32, "f"), (vs.float64, "d"),
    ],
    ids=str,
)  # fmt: skip
def test_memoryview(dtype, code: str) -> None:
    x = vs.ones(2, 3, dtype=dtype)
    view = memoryview(x)
    assert (view.format, view.shape, view.itemsize, view.readonly) == (code, (2, 3), dtype.itemsize, False)
    assert view.tolist() == x.tolist()
    view[0, 0] = 0
    assert not x[0, 0]


def test_memoryview_of_views() -> None:
    x = vs.arange(6).reshape(2, 3)
    assert memoryview(x.t()).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert memoryview(x.t()).strides == (8, 24)
    assert memoryview(vs.tensor(1.5)).tolist() == 1.5
    assert memoryview(vs.ones(2, 0)).tolist() == [[], []]
    assert bytes(vs.tensor([1, 2], dtype=vs.uint8)) == b"\x01\x02"
    with pytest.raises(BufferError, match="bfloat16"):
        memoryview(vs.ones(1, dtype=vs.bfloat16))
    with pytest.raises(BufferError, match="requires grad"):
        memoryview(vs.ones(1, requires_grad=True))


def test_consumers_that_want_rows_refuse_other_strides() -> None:
    x = vs.arange(6, dtype=vs.uint8).reshape(2, 3)
    file = io.BytesIO()
    with pytest.raises(BufferError, match="not contiguous"):
        file.write(x.t())
    file.write(x)
    assert file.getvalue() == bytes(range(6))


def test_buffers_of_the_standard_library() -> None:
    numbers = array.array("f", [1, 2, 3])
    x = vs.as_tensor(numbers)
    assert (x.dtype, x.tolist()) == (vs.float32, [1, 2, 3])
    x[0] = 5
    assert numbers[0] == 5
    assert vs.as_tensor(memoryview(numbers)[1:]).tolist() == [2, 3]
    assert vs.as_tensor((ctypes.c_int32 * 3)(1, 2, 3)).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 3}, "3 elements at offset 0 reach outside a buffer of 8 bytes"),
        ({"count": 2, "offset": 4}, "2 elements at offset 4 reach outside"),
        ({"count": sys.maxsize}, "reach outside a buffer of 8 bytes"),
        ({"offset": 9}, "offset 9 is outside a buffer of 8 bytes"),
        ({"offset": -1}, "offset -1 is outside"),
        ({"offset": 1}, r"size after the offset \(7 bytes\) is no multiple of 4"),
        ({"count": -2}, "count must be -1 or a number of elements, got -2"),
    ],
    ids=str,
)
def test_frombuffer_stays_inside(options, message: str) -> None:
    with pytest.raises(ValueError, match=r"\[frombuffer\] .*" + message):
        vs.frombuffer(bytearray(8), dtype=vs.int32, **options)


def test_frombuffer() -> None:
    raw = bytearray(np.arange(4, dtype=np.int32).tobytes())
    x = vs.frombuffer(raw, dtype=vs.int32)
    assert x.tolist() == [0, 1, 2, 3]
    x[0] = 9
    assert raw[0] == 9
    assert vs.frombuffer(raw, dtype=vs.int32, count=2, offset=4).tolist() == [1, 2]
    assert vs.frombuffer(raw, dtype=vs.int32, offset=16).shape == (0,)
    assert vs.frombuffer(raw, dtype=vs.int16, count=1, offset=1).tolist() == [0]  # not aligned: a copy
    assert vs.frombuffer(raw, dtype=vs.float32, requires_grad=True).requires_grad
    with pytest.raises(BufferError):
        raw.append(0)  # the tensor holds the buffer
    with pytest.raises(
        TypeError, match=r"\[frombuffer\] expected an object with a buffer such as bytes, got list"
    ):
        vs.frombuffer([1], dtype=vs.int32)
    with pytest.raises(TypeError, match="dtype"):
        vs.frombuffer(raw)
    with pytest.raises(ValueError, match="read-only"):
        vs.frombuffer(bytes(4), dtype=vs.int32).add_(1)


# --- DLPack -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), NUMPY.items(), ids=str)
def test_dlpack_with_numpy(ours, theirs) -> None:
    source = counts((3, 4), theirs)
    x = vs.from_dlpack(source.T)
    assert (x.dtype, x.stride(), x.data_ptr()) == (ours, (1, 4), source.ctypes.data)
    np.testing.assert_array_equal(x.numpy(), source.T)
    y = vs.ones(2, 3, dtype=ours).t()
    back = np.from_dlpack(y)
    assert (back.dtype, back.shape, back.ctypes.data) == (source.dtype, (3, 2), y.data_ptr())


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1)], ids=str)
def test_dlpack_of_small_shapes(shape) -> None:
    assert vs.from_dlpack(np.ones(shape)).shape == shape
    assert np.from_dlpack(vs.ones(shape)).shape == shape
    assert vs.from_dlpack(vs.ones(shape)).shape == shape


def test_dlpack_knows_read_only_memory() -> None:
    source = counts((3,))
    source.flags.writeable = False
    x = vs.from_dlpack(source)
    with pytest.raises(ValueError, match="read-only"):
        x.add_(1)
    assert not np.from_dlpack(x).flags.writeable
    with pytest.raises(BufferError, match="read-only"):
        x.__dlpack__()


def test_dlpack_options() -> None:
    x = vs.arange(3)
    assert x.__dlpack_device__() == (1, 0)
    assert vs.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    assert vs.from_dlpack(x, device="cpu").data_ptr() == x.data_ptr()
    assert np.from_dlpack(x, copy=True).ctypes.data != x.data_ptr()
    with pytest.raises(BufferError, match=r"device \(2, 0\) is not known"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="require gradient"):
        vs.ones(1, requires_grad=True).__dlpack__()


def test_a_capsule_is_used_once_and_frees_its_memory() -> None:
    source = counts((1000,))
    alive = weakref.ref(source)
    capsule = source.__dlpack__()
    x = vs.from_dlpack(capsule)
    with pytest.raises(ValueError, match="has not been used"):
        vs.from_dlpack(capsule)
    del source, capsule
    gc.collect()
    assert alive() is not None
    del x
    gc.collect()
    assert alive() is None
    before = vs.memory.stats()["live_bytes"]
    unused = vs.ones(10000).__dlpack__(max_version=(1, 0))
    assert vs.memory.stats()["live_bytes"] > before
    del unused
    assert vs.memory.stats()["live_bytes"] == before


@pytest.mark.parametrize("source", [np.arange(3)[::-1], np.ones(1, np.uint16), 3, "text", [1]], ids=str)
def test_what_dlpack_cannot_share_raises(source) -> None:
    with pytest.raises((ValueError, TypeError, BufferError), match=r"\[from_dlpack\]"):
        vs.from_dlpack(source)


class OldLibrary:
    """DLPack as it was before version 1."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack__(self) -> object:
        return self.values.__dlpack__()


def test_libraries_of_before_version_1() -> None:
    assert vs.from_dlpack(OldLibrary(counts((2,)))).tolist() == [0, 1]


def test_torch_both_ways() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: sharing memory with it is not tried")
    theirs = torch.arange(6.0).reshape(2, 3).t()
    x = vs.from_dlpack(theirs)
    assert (x.tolist(), x.stride(), x.data_ptr()) == (theirs.tolist(), (1, 3), theirs.data_ptr())
    y = vs.arange(6.0).reshape(2, 3)
    for back in (torch.from_dlpack(y), torch.asarray(y.numpy()), torch.from_numpy(y.numpy())):
        assert back.data_ptr() == y.data_ptr()
        assert back.tolist() == y.tolist()
    brain = vs.tensor([1.5, 2.5], dtype=vs.bfloat16)
    assert torch.from_dlpack(brain).dtype is torch.bfloat16
    assert vs.from_dlpack(torch.from_dlpack(brain)).tolist() == [1.5, 2.5]
    assert vs.tensor(theirs).tolist() == theirs.tolist()
