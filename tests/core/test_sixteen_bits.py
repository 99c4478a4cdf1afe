"""Conversions of 16-bit floats: every bit pattern, ties, subnormal numbers, infinities and NaN."""

import numpy as np
import pytest

import versant as vs


def patterns():
    """float32 of all kinds: random bits, halves of both precisions, ties, subnormals."""
    draw = np.random.default_rng(0)
    words = [draw.integers(0, 2**32, 200_000), np.arange(2**16) << 16, (np.arange(2**16) << 16) + 0x8000]
    words += [np.arange(2**12), 2**31 + np.arange(2**12), draw.integers(0x33000000, 0x48000000, 200_000)]
    return np.concatenate(words).astype("uint32").view("float32")


@pytest.mark.parametrize("step", [1, 3])
def test_float16_is_what_numpy_rounds_to(step):
    x = patterns()
    with np.errstate(over="ignore"):
        expected = x[::step].astype("float16")
    got = vs.tensor(x)[::step].half().numpy()
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(got), ~number)
    np.testing.assert_array_equal(got[number].view("uint16"), expected[number].view("uint16"))


@pytest.mark.parametrize("step", [1, 3])
def test_bfloat16_is_rounded_to_nearest_even(step):
    x = patterns()[::step]
    bits = x.view("uint32").astype("uint64")
    expected = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype("uint32")
    got = vs.tensor(patterns())[::step].bfloat16().float().numpy()
    number = ~np.isnan(x)
    np.testing.assert_array_equal(np.isnan(got), ~number)
    np.testing.assert_array_equal(got[number].view("uint32"), expected[number])


@pytest.mark.parametrize("size", [1, 15, 16, 17, 65536])
def test_every_float16_reads_as_float32(size):
    halves = np.arange(65536 - size, 65536).astype("uint16").view("float16")
    np.testing.assert_array_equal(vs.tensor(halves).float().numpy(), halves.astype("float32"))
