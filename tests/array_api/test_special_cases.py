"""Elementwise functions at infinities, NaN and signed zeros: numpy keeps the standard's special cases."""

import itertools

import numpy as np
import pytest

import versant as vs

xp = vs.array_api
REAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 1e300, -1e300, np.inf, -np.inf, np.nan, 1e-310])
INTEGERS = np.array([0, 1, -1, 2, -3, 7, 2**62, -(2**63), 2**63 - 1])
COMPLEX = np.array([complex(a, b) for a in (0.0, 1.0, -2.0, np.inf) for b in (0.0, -0.5, 3.0)])

UNARY = """
abs acos acosh asin asinh atan atanh ceil conj cos cosh exp expm1 floor isfinite isinf isnan log log10
log1p log2 logical_not negative positive real reciprocal round sign signbit sin sinh sqrt square tan tanh
trunc
"""
BINARY = """
add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp
logical_and logical_or logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract
"""
INTEGER_UNARY = """
abs bitwise_invert ceil floor logical_not negative positive round sign square trunc
"""
INTEGER_BINARY = """
add bitwise_and bitwise_or bitwise_xor equal floor_divide greater less maximum minimum multiply remainder
subtract
"""


def same(found: vs.Tensor, expected: np.ndarray) -> None:
    assert found.dtype is vs.from_numpy(expected).dtype
    found = found.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=0)
    if expected.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])


@pytest.mark.parametrize("name", UNARY.split())
def test_real_functions_of_one_number(name: str) -> None:
    with np.errstate(all="ignore"):
        same(getattr(xp, name)(xp.asarray(REAL)), getattr(np, name)(REAL))


@pytest.mark.parametrize("name", BINARY.split())
def test_real_functions_of_two_numbers(name: str) -> None:
    a, b = np.array(list(itertools.product(REAL, REAL))).T.copy()
    if name in ("maximum", "minimum"):  # which of two zeros is the larger is left open
        a, b = a[(a != 0) | (b != 0)], b[(a != 0) | (b != 0)]
    with np.errstate(all="ignore"):
        same(getattr(xp, name)(xp.asarray(a), xp.asarray(b)), getattr(np, name)(a, b))


@pytest.mark.parametrize("name", INTEGER_UNARY.split())
def test_integer_functions_of_one_number(name: str) -> None:
    same(getattr(xp, name)(xp.asarray(INTEGERS)), np.asarray(getattr(np, name)(INTEGERS)))


@pytest.mark.parametrize("name", INTEGER_BINARY.split())
def test_integer_functions_of_two_numbers(name: str) -> None:
    b = INTEGERS[np.newaxis, 1:7]  # division by zero is nobody's number
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(INTEGERS[:, np.newaxis], b)
    same(getattr(xp, name)(xp.asarray(INTEGERS)[:, None], xp.asarray(b)), expected)


@pytest.mark.parametrize(
    "name", ["abs", "conj", "cos", "exp", "imag", "isfinite", "isinf", "isnan", "real", "sqrt"]
)
def test_complex_functions_of_one_number(name: str) -> None:
    finite = COMPLEX[np.isfinite(COMPLEX)] if name in ("cos",) else COMPLEX
    with np.errstate(all="ignore"):
        same(getattr(xp, name)(xp.asarray(finite)), getattr(np, name)(finite))


def test_the_sign_of_a_complex_number_has_magnitude_one() -> None:
    same(xp.sign(xp.asarray(COMPLEX[:9])), np.sign(COMPLEX[:9]))


def test_clip_keeps_the_dtype_and_yields_nan_for_nan() -> None:
    x = xp.asarray([-2.0, 0.5, xp.nan, xp.inf])
    same(xp.clip(x, -1, 1), np.clip(x.numpy(), -1, 1))
    assert xp.clip(xp.asarray([1, 9]), 2, 4).dtype is xp.int64
    same(xp.clip(xp.asarray([1.0, 2.0]), min=xp.asarray(xp.nan)), np.full(2, np.nan, np.float32))
