"""Windows: their shapes, both forms, lengths that are none."""

import numpy as np
import pytest

import versant as vs
from versant.signal import windows

PLAIN = [name for name in windows.__all__ if name != "general_cosine"]


@pytest.mark.parametrize("name", PLAIN)
def test_a_symmetric_window_reads_the_same_both_ways(name) -> None:
    values = getattr(windows, name)(8, dtype=vs.float64)
    assert values.shape == (8,)
    vs.testing.assert_close(values, values.flip(0))


@pytest.mark.parametrize("name", PLAIN)
def test_a_periodic_window_is_one_sample_short_of_a_symmetric_one(name) -> None:
    make = getattr(windows, name)
    vs.testing.assert_close(make(7, sym=False, dtype=vs.float64), make(8, dtype=vs.float64)[:-1])


@pytest.mark.parametrize("name", PLAIN)
def test_short_windows(name) -> None:
    make = getattr(windows, name)
    assert make(0).tolist() == []
    assert make(1).shape == (1,)


def test_parameters() -> None:
    vs.testing.assert_close(
        windows.gaussian(5, std=0.7, dtype=vs.float64).numpy(), np.exp(-(np.arange(-2, 3) ** 2) / 0.98)
    )
    shifted = windows.exponential(5, center=1, tau=2.0, sym=False, dtype=vs.float64)
    vs.testing.assert_close(shifted.numpy(), np.exp(-np.abs(np.arange(5) - 1) / 2))
    assert windows.exponential(1, center=2, tau=2.0, sym=False).item() == pytest.approx(np.exp(-1))
    vs.testing.assert_close(
        windows.general_cosine(9, a=[0.5, 0.5], dtype=vs.float64), windows.hann(9, dtype=vs.float64)
    )
    vs.testing.assert_close(windows.kaiser(6, beta=5.0), vs.kaiser_window(6, False, 5.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: windows.hann(-1),
        lambda: windows.exponential(4, tau=0.0),
        lambda: windows.exponential(4, center=1.0),
        lambda: windows.gaussian(4, std=-1.0),
        lambda: windows.kaiser(4, beta=-1.0),
        lambda: windows.general_cosine(4, a=[]),
    ],
)
def test_numbers_that_are_refused(call) -> None:
    with pytest.raises(ValueError, match=r"^\["):
        call()


@pytest.mark.parametrize(
    "make", [windows.hann, windows.kaiser, vs.hann_window, vs.hamming_window, vs.bartlett_window]
)
def test_lengths_are_whole_numbers(make) -> None:
    with pytest.raises(TypeError, match=r"expected a whole number as length, got 5\.0"):
        make(5.0)
    assert make(np.int64(5)).shape == (5,)
