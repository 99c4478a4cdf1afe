"""Functions of the array API standard against numpy, whose main namespace keeps the standard."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import versant as vs

xp = vs.array_api
RNG = np.random.default_rng(3)
A = RNG.standard_normal((3, 4))
B = RNG.standard_normal((4, 3))
S = RNG.standard_normal((2, 3, 3))
PD = S @ np.swapaxes(S, -1, -2) + np.eye(3)
N = RNG.integers(-5, 6, (3, 4))
U8 = N.astype(np.uint8)
T = A > 0
V = np.array([3, 1, 3, 2, 1, 1])
C = S + 1j * S[::-1]

# What to call, with the namespace and arrays made in it.
CASES: dict[str, Callable[[Any, Callable[[Any], Any]], Any]] = {
    "arange": lambda xp, a: xp.arange(5),
    "arange of floats": lambda xp, a: xp.arange(1.0, 3.0, 0.5, dtype=xp.float64),
    "arange away": lambda xp, a: xp.arange(3, 1),
    "arange back": lambda xp, a: xp.arange(3, 0, -1),
    "eye": lambda xp, a: xp.eye(3, 4, k=-1, dtype=xp.float64),
    "full": lambda xp, a: xp.full(3, True),
    "full of integers": lambda xp, a: xp.full((2, 1), 7),
    "full_like": lambda xp, a: xp.full_like(a(N), 2),
    "linspace": lambda xp, a: xp.linspace(0, 1, 5, dtype=xp.float64),
    "linspace open": lambda xp, a: xp.linspace(0, 1, 5, dtype=xp.float64, endpoint=False),
    "meshgrid": lambda xp, a: xp.meshgrid(a(V), a(A[0])),
    "tril": lambda xp, a: xp.tril(a(A), k=1),
    "triu": lambda xp, a: xp.triu(a(S), k=-1),
    "zeros": lambda xp, a: xp.zeros(3, dtype=xp.int32),
    "astype": lambda xp, a: xp.astype(a(A), xp.int32),
    "broadcast_arrays": lambda xp, a: xp.broadcast_arrays(a(A[:1]), a(A)),
    "broadcast_to": lambda xp, a: xp.broadcast_to(a(A), (2, 3, 4)),
    "concat": lambda xp, a: xp.concat([a(A), a(N)], axis=1),
    "concat flat": lambda xp, a: xp.concat([a(A), a(V)], axis=None),
    "expand_dims": lambda xp, a: xp.expand_dims(a(A), axis=1),
    "flip": lambda xp, a: xp.flip(a(A)),
    "moveaxis": lambda xp, a: xp.moveaxis(a(S), (0, 1), (2, 0)),
    "permute_dims": lambda xp, a: xp.permute_dims(a(S), (2, 0, 1)),
    "repeat": lambda xp, a: xp.repeat(a(A), 2, axis=1),
    "repeat each": lambda xp, a: xp.repeat(a(A), a(np.array([1, 0, 2])), axis=0),
    "reshape": lambda xp, a: xp.reshape(a(A), (2, -1), copy=True),
    "roll": lambda xp, a: xp.roll(a(A), (1, -1), axis=(0, 1)),
    "roll flat": lambda xp, a: xp.roll(a(A), 5),
    "squeeze": lambda xp, a: xp.squeeze(a(A[:1]), axis=0),
    "stack": lambda xp, a: xp.stack([a(A), a(N)], axis=-1),
    "tile": lambda xp, a: xp.tile(a(A), (2, 1, 2)),
    "unstack": lambda xp, a: xp.unstack(a(A), axis=1),
    "argmax": lambda xp, a: xp.argmax(a(A), axis=0, keepdims=True),
    "argmax of all": lambda xp, a: xp.argmax(a(A), keepdims=True),
    "argmin": lambda xp, a: xp.argmin(a(N)),
    "count_nonzero": lambda xp, a: xp.count_nonzero(a(N), axis=1),
    "nonzero": lambda xp, a: xp.nonzero(a(N)),
    "searchsorted": lambda xp, a: xp.searchsorted(a(np.sort(A[0])), a(A), side="right"),
    "searchsorted by order": lambda xp, a: xp.searchsorted(a(A[0]), a(A[1]), sorter=a(np.argsort(A[0]))),
    "where": lambda xp, a: xp.where(a(T), a(A), a(N)),
    "where of a number": lambda xp, a: xp.where(a(T), a(A), 0),
    "take": lambda xp, a: xp.take(a(A), a(np.array([2, -1, 0])), axis=1),
    "take of a vector": lambda xp, a: xp.take(a(V), a(np.array([2, 0]))),
    "take_along_axis": lambda xp, a: xp.take_along_axis(a(A), a(np.argsort(A, axis=1))),
    "take_along_axis broadcast": lambda xp, a: xp.take_along_axis(a(A), a(np.array([[1], [0], [3]])), axis=1),
    "sort": lambda xp, a: xp.sort(a(A), axis=0),
    "argsort": lambda xp, a: xp.argsort(a(V), stable=True),
    "unique_all": lambda xp, a: xp.unique_all(a(V)),
    "unique_all of a matrix": lambda xp, a: xp.unique_all(a(N)),
    "unique_all of complex numbers": lambda xp, a: xp.unique_all(a(N + 1j * N[::-1])),
    "unique_counts": lambda xp, a: xp.unique_counts(a(V)),
    "unique_inverse": lambda xp, a: xp.unique_inverse(a(N)),
    "unique_values": lambda xp, a: xp.sort(xp.unique_values(a(V))),
    "cumulative_sum": lambda xp, a: xp.cumulative_sum(a(V), include_initial=True),
    "sum in a small integer": lambda xp, a: xp.sum(a(N), axis=0, dtype=xp.int16),
    "prod in a small integer": lambda xp, a: xp.prod(a(N), axis=(0, 1), dtype=xp.int8),
    "cumulative_sum in a small integer": lambda xp, a: xp.cumulative_sum(a(V), dtype=xp.int8),
    "cumulative_prod": lambda xp, a: xp.cumulative_prod(a(A), axis=1),
    "max": lambda xp, a: xp.max(a(A), axis=(0, 1), keepdims=True),
    "min": lambda xp, a: xp.min(a(N), axis=0),
    "max of no axes": lambda xp, a: xp.max(a(A), axis=()),
    "mean": lambda xp, a: xp.mean(a(A), axis=1),
    "prod": lambda xp, a: xp.prod(a(A), axis=(0, 1), keepdims=True),
    "prod of integers": lambda xp, a: xp.prod(a(N), axis=0),
    "std": lambda xp, a: xp.std(a(A), axis=1, correction=1),
    "sum": lambda xp, a: xp.sum(a(S), axis=(0, -1)),
    "sum of bool": lambda xp, a: xp.sum(a(T)),
    "sum of no axes": lambda xp, a: xp.sum(a(A), axis=()),
    "var": lambda xp, a: xp.var(a(A)),
    "var of no axes": lambda xp, a: xp.var(a(A), axis=()),
    "all": lambda xp, a: xp.all(a(N), axis=(0, 1)),
    "any": lambda xp, a: xp.any(a(N), axis=1, keepdims=True),
    "diff": lambda xp, a: xp.diff(a(A), n=2, prepend=a(A[:, :1])),
    "matmul": lambda xp, a: xp.matmul(a(A), a(B)),
    "matmul promotes": lambda xp, a: xp.matmul(a(N), a(B)),
    "matrix_transpose": lambda xp, a: xp.matrix_transpose(a(S)),
    "tensordot": lambda xp, a: xp.tensordot(a(A), a(B), axes=((0, 1), (1, 0))),
    "tensordot of one axis": lambda xp, a: xp.tensordot(a(A), a(B), axes=1),
    "tensordot of nothing": lambda xp, a: xp.tensordot(a(A[:, :0]), a(B[:0]), axes=1),
    "vecdot": lambda xp, a: xp.vecdot(a(C), a(S), axis=-2),
    "cholesky": lambda xp, a: xp.linalg.cholesky(a(PD), upper=True),
    "cross": lambda xp, a: xp.linalg.cross(a(S), a(PD)),
    "det": lambda xp, a: xp.linalg.det(a(S)),
    "diagonal": lambda xp, a: xp.linalg.diagonal(a(S), offset=1),
    "eigvalsh": lambda xp, a: xp.linalg.eigvalsh(a(PD)),
    "eigh": lambda xp, a: xp.linalg.eigh(a(PD)).eigenvalues,
    "inv": lambda xp, a: xp.linalg.inv(a(S)),
    "matrix_norm": lambda xp, a: xp.linalg.matrix_norm(a(S), ord="nuc", keepdims=True),
    "matrix_power": lambda xp, a: xp.linalg.matrix_power(a(S), 3),
    "matrix_rank": lambda xp, a: xp.linalg.matrix_rank(a(A)),
    "outer": lambda xp, a: xp.linalg.outer(a(A[0]), a(V)),
    "pinv": lambda xp, a: xp.linalg.pinv(a(A), rtol=0.01),
    "qr": lambda xp, a: xp.linalg.qr(a(A), mode="complete").Q,
    "slogdet": lambda xp, a: xp.linalg.slogdet(a(S)),
    "solve a vector": lambda xp, a: xp.linalg.solve(a(S), a(A[:, 0])),
    "solve a matrix": lambda xp, a: xp.linalg.solve(a(S), a(A)),
    "solve two matrices": lambda xp, a: xp.linalg.solve(a(S), a(A[:, :2])),
    "svd": lambda xp, a: xp.linalg.svd(a(A)).S,
    "svdvals": lambda xp, a: xp.linalg.svdvals(a(A)),
    "trace": lambda xp, a: xp.linalg.trace(a(S), offset=-1),
    "vector_norm": lambda xp, a: xp.linalg.vector_norm(a(S), axis=(0, 2), ord=1),
    "fft": lambda xp, a: xp.fft.fft(a(C), n=4, axis=1),
    "irfft": lambda xp, a: xp.fft.irfft(a(C), n=5, norm="ortho"),
    "fftn": lambda xp, a: xp.fft.fftn(a(C), s=(2, 4), axes=(0, 2)),
    "hfft": lambda xp, a: xp.fft.hfft(a(C)),
    "fftfreq": lambda xp, a: xp.fft.fftfreq(5, d=0.5),
    "fftshift": lambda xp, a: xp.fft.fftshift(a(A), axes=1),
}


def compare(found: Any, expected: Any) -> None:
    if isinstance(expected, (tuple, list)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            compare(one, other)
        return
    expected = np.asarray(expected)
    assert tuple(found.shape) == expected.shape
    tolerance = 1e-6 if found.dtype is vs.float32 else 1e-12
    if found.dtype is not vs.float32:  # the default float, which is float64 in numpy
        assert found.numpy().dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_numpy(name: str) -> None:
    compare(CASES[name](xp, xp.asarray), CASES[name](np, lambda a: a))


def test_each_nan_is_a_value_of_its_own() -> None:
    found = xp.unique_all(xp.asarray([xp.nan, 1.0, xp.nan, 1.0]))
    assert found.values.isnan().tolist() == [False, True, True]
    assert found.counts.tolist() == [2, 1, 1]
    assert found.inverse_indices.tolist() == [1, 0, 2, 0]


def test_arrays_without_axes_promote_as_others_do() -> None:
    assert xp.add(xp.asarray([1.0], dtype=xp.float32), xp.asarray(1.0, dtype=xp.float64)).dtype is xp.float64
    assert xp.result_type(xp.int8, xp.asarray([1], dtype=xp.int32), 3) is xp.int32
    assert xp.result_type(xp.asarray([1.0], dtype=xp.float32), 1.0, True) is xp.float32
    assert xp.result_type(xp.float64, 1j) is xp.complex128


def test_nothing_is_left_of_one_element_less_the_correction() -> None:
    assert xp.isnan(xp.var(xp.asarray(3.0), correction=1))
    assert xp.isnan(xp.std(xp.asarray([3.0]), axis=(), correction=1)).all()


def test_python_numbers_take_the_dtype_of_the_array() -> None:
    assert xp.add(xp.asarray([1], dtype=xp.int8), 3).dtype is xp.int8
    assert xp.multiply(2.5, xp.asarray([1.0], dtype=xp.float64)).tolist() == [2.5]
    with pytest.raises(TypeError, match=r"\[add\] expected at least one array"):
        xp.add(1, 2)


def test_dtypes_and_their_kinds() -> None:
    assert xp.isdtype(xp.uint8, "integral")
    assert xp.isdtype(xp.float32, ("bool", "real floating"))
    assert not xp.isdtype(xp.bool, "numeric")
    assert xp.isdtype(xp.int8, xp.int8)
    with pytest.raises(ValueError, match="isdtype"):
        xp.isdtype(xp.int8, "whole")
    assert xp.can_cast(xp.int8, xp.int16)
    assert not xp.can_cast(xp.asarray([1.0]), xp.int64)
    assert xp.finfo(xp.complex128).dtype is xp.float64
    assert xp.finfo(xp.float32).eps == 2.0**-23
    assert xp.iinfo(xp.asarray([1], dtype=xp.int16)).max == 32767
    with pytest.raises(TypeError, match=r"\[astype\]"):
        xp.astype(xp.asarray([1j]), xp.float32)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: xp.squeeze(xp.zeros((2, 3)), axis=0), ValueError),
        (lambda: xp.squeeze(xp.zeros((1, 3)), axis=2), IndexError),
        (lambda: xp.astype([1.0], xp.float64), TypeError),
        (lambda: xp.nonzero(xp.asarray(1)), ValueError),
        (lambda: xp.take(xp.zeros((2, 3)), xp.asarray([0])), ValueError),
        (lambda: xp.cumulative_sum(xp.zeros((2, 3))), ValueError),
        (lambda: xp.max(xp.asarray([1j])), TypeError),
        (lambda: xp.vecdot(xp.zeros(2), xp.zeros(3)), ValueError),
        (lambda: xp.reshape(xp.zeros((2, 3)).mT, (6,), copy=False), ValueError),
        (lambda: xp.asarray([1, 2], copy=False), ValueError),
        (lambda: xp.zeros(2, device="tpu"), RuntimeError),
        (lambda: xp.zeros(2).__array_namespace__(api_version="1999.01"), ValueError),
    ],
)
def test_errors(call: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


def test_copies_are_made_where_asked_for() -> None:
    x = xp.zeros(2)
    for made in (
        xp.asarray(x, copy=True),
        xp.astype(x, x.dtype),
        xp.reshape(x, (2,), copy=True),
        xp.positive(x),
    ):
        made[0] = 1.0
    shared = xp.asarray(x, copy=False)
    shared[1] = 2.0
    assert x.tolist() == [0.0, 2.0]
