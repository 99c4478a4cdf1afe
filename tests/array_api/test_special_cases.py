"""Elementwise functions at infinities, NaN and signed zeros: numpy keeps the standard's special cases."""

import itertools

import numpy as np
import pytest

import versant as vs

xp = vs.array_api
REAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 1e300, -1e300, np.inf, -np.inf, np.nan, 1e-310])
INTEGERS = np.array([0, 1, -1, 2, -3, 7, 2**62, -(2**63), 2**63 - 1])
ENDS = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, np.inf, -np.inf, np.nan]
COMPLEX = np.array([complex(a, b) for a in ENDS for b in ENDS])

UNARY = """
abs acos acosh asin asinh atan atanh ceil conj cos cosh exp expm1 floor isfinite isinf isnan log log10
log1p log2 logical_not negative positive real reciprocal round sign signbit sin sinh sqrt square tan tanh
trunc
"""
BINARY = """
add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp
logical_and logical_or logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract
"""
COMPLEX_UNARY = """
acos acosh asin asinh atan atanh conj cos cosh exp log log10 log1p log2 negative positive round sin sinh sqrt
tan tanh
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
    tolerance = 1e-6 if expected.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=0)
    if expected.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", UNARY.split())
def test_real_functions_of_one_number(name: str, dtype: type) -> None:
    with np.errstate(all="ignore"):
        x = REAL.astype(dtype)
        same(getattr(xp, name)(xp.asarray(x)), getattr(np, name)(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BINARY.split())
def test_real_functions_of_two_numbers(name: str, dtype: type) -> None:
    with np.errstate(over="ignore"):
        a, b = np.array(list(itertools.product(REAL, REAL))).T.astype(dtype)
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


def same_parts(found: vs.Tensor, expected: np.ndarray) -> None:
    """With the signs of zeros and infinities, but where the other part is NaN: there they are left open."""
    assert found.dtype is vs.from_numpy(expected).dtype
    parts = np.stack([found.numpy().real, found.numpy().imag]), np.stack([expected.real, expected.imag])
    lost = np.isnan(parts[1]).any(axis=0)
    found_parts, expected_parts = (np.where(lost, np.abs(p), p) for p in parts)
    tolerance = 1e-13 if expected.dtype == np.complex128 else 2e-6
    np.testing.assert_allclose(found_parts, expected_parts, rtol=tolerance, atol=0)
    np.testing.assert_array_equal(np.signbit(found_parts)[:, ~lost], np.signbit(expected_parts)[:, ~lost])


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", COMPLEX_UNARY.split())
def test_complex_functions_of_one_number(name: str, dtype: type) -> None:
    """As C99 says (Annex G), and numpy does."""
    z = COMPLEX.astype(dtype)
    with np.errstate(all="ignore"):
        same_parts(getattr(xp, name)(xp.asarray(z)), np.asarray(getattr(np, name)(z)))


@pytest.mark.parametrize("name", ["abs", "imag", "isfinite", "isinf", "isnan", "real"])
def test_real_functions_of_a_complex_number(name: str) -> None:
    with np.errstate(all="ignore"):
        same(getattr(xp, name)(xp.asarray(COMPLEX)), getattr(np, name)(COMPLEX))


def test_expm1_of_complex_infinities() -> None:
    """Here numpy gives NaN; these are the standard's rules."""
    inf, nan = np.inf, np.nan
    z = [complex(inf, 0.0), complex(-inf, 3.0), complex(-inf, nan), complex(nan, 0.0), complex(inf, nan)]
    found = xp.expm1(xp.asarray(z, dtype=xp.complex128))
    expected = [
        complex(inf, 0.0),
        complex(-1.0, 0.0),
        complex(-1.0, 0.0),
        complex(nan, 0.0),
        complex(inf, nan),
    ]
    np.testing.assert_array_equal(found.numpy(), np.array(expected))


def test_a_number_over_infinity_is_zero() -> None:
    infinities = COMPLEX[np.isinf(COMPLEX) & ~np.isnan(COMPLEX)]
    assert (xp.divide(2 - 1j, xp.asarray(infinities)) == 0).all()
    assert (xp.reciprocal(xp.asarray(infinities)) == 0).all()


def test_the_sign_of_a_complex_number_has_magnitude_one() -> None:
    finite = COMPLEX[np.isfinite(COMPLEX)]
    np.testing.assert_allclose(xp.sign(xp.asarray(finite)).numpy(), np.sign(finite), rtol=1e-13)
    assert xp.isnan(xp.sign(xp.asarray(COMPLEX[np.isnan(COMPLEX)]))).all()


def test_clip_keeps_the_dtype_and_yields_nan_for_nan() -> None:
    x = xp.asarray([-2.0, 0.5, xp.nan, xp.inf])
    same(xp.clip(x, -1, 1), np.clip(x.numpy(), -1, 1))
    assert xp.clip(xp.asarray([1, 9]), 2, 4).dtype is xp.int64
    same(xp.clip(xp.asarray([1.0, 2.0]), min=xp.asarray(xp.nan)), np.full(2, np.nan, np.float32))
