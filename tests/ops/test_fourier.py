"""Fourier transforms: against numpy's, and their gradients."""

import numpy as np
import pytest

import versant as vs
from versant import testing

RNG = np.random.default_rng(3)
Z = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
X = RNG.normal(size=(3, 5))

CALLS = [
    ("fft", Z, {"n": 6}),
    ("fft", X, {"axis": 0}),
    ("ifft", Z, {"norm": "ortho"}),
    ("rfft", X, {"norm": "forward"}),
    ("irfft", Z, {}),
    ("irfft", Z, {"n": 7}),
    ("fftn", Z, {}),
    ("ifftn", Z, {"norm": "forward"}),
    ("fft2", X, {"s": (2, 6)}),
    ("rfftn", X, {}),
    ("irfftn", Z, {"norm": "ortho"}),
]


@pytest.mark.parametrize(("name", "array", "settings"), CALLS)
def test_values(name, array, settings):
    ours = {("dim" if key == "axis" else key): value for key, value in settings.items()}
    more = {"axes": (-2, -1)} if "s" in settings else {}
    expected = getattr(np.fft, name)(array, **settings, **more)
    np.testing.assert_allclose(getattr(vs.fft, name)(vs.tensor(array), **ours).numpy(), expected, 1e-12)


@pytest.mark.parametrize("name", ["fft", "ifft", "irfft", "fftn", "irfftn", "fft2"])
def test_gradients(name):
    re, im = (vs.tensor(part, requires_grad=True) for part in (Z.real, Z.imag))

    def parts(a, b):
        y = getattr(vs.fft, name)(vs.complex(a, b))
        return vs.view_as_real(y) if y.is_complex() else y

    testing.check_gradients(parts, [re, im])


@pytest.mark.parametrize("name", ["rfft", "rfftn"])
def test_gradients_of_real_inputs(name):
    x = vs.tensor(X, requires_grad=True)
    testing.check_gradients(lambda x: vs.view_as_real(getattr(vs.fft, name)(x)), [x])


def test_single_precision_stays_single():
    assert vs.fft.fft(vs.ones(4)).dtype is vs.complex64
    assert vs.fft.irfft(vs.ones(4)).dtype is vs.float32


@pytest.mark.parametrize(
    "call",
    [lambda x: vs.fft.fft(x, n=0), lambda x: vs.fft.fft(x, norm="none"), lambda x: vs.fft.rfft(x * 1j)],
)
def test_what_is_refused(call):
    with pytest.raises(RuntimeError):
        call(vs.ones(3))
