"""The namespace: what it names, how it is found, what tensors have for it."""

import operator
import subprocess
import sys

import pytest

import versant as vs

xp = vs.array_api
STANDARD = """
e inf nan newaxis pi abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype
atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
broadcast_arrays broadcast_to can_cast ceil clip concat conj copysign cos cosh count_nonzero
cumulative_prod cumulative_sum diff divide empty empty_like equal exp expand_dims expm1 eye finfo flip
floor floor_divide from_dlpack full full_like greater greater_equal hypot iinfo imag isdtype isfinite
isinf isnan less less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or
logical_xor matmul matrix_transpose max maximum mean meshgrid min minimum moveaxis multiply negative
nextafter nonzero not_equal ones ones_like permute_dims positive pow prod real reciprocal remainder
repeat reshape result_type roll round searchsorted sign signbit sin sinh sort sqrt square squeeze stack
std subtract sum take take_along_axis tan tanh tensordot tile tril triu trunc unique_all unique_counts
unique_inverse unique_values unstack var vecdot where zeros zeros_like __array_namespace_info__
__array_api_version__
"""
LINALG = """
cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank
matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
"""
FFT = """
fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift ifftshift
"""


def test_every_name_of_the_standard_is_there() -> None:
    missing = [n for n in STANDARD.split() if not hasattr(xp, n)]
    missing += [f"linalg.{n}" for n in LINALG.split() if not hasattr(xp.linalg, n)]
    missing += [f"fft.{n}" for n in FFT.split() if not hasattr(xp.fft, n)]
    assert missing == []


def test_functions_say_what_they_do() -> None:
    silent = [
        n for n in STANDARD.split() if callable(getattr(xp, n)) and not (getattr(xp, n).__doc__ or "").strip()
    ]
    assert silent == []


def test_tensors_lead_to_the_namespace() -> None:
    x = xp.zeros(2)
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2024.12") is xp


def test_the_namespace_is_loaded_by_who_asks_for_it() -> None:
    code = "import sys, versant; assert not [m for m in sys.modules if m.startswith('versant.array_api')]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_the_namespace_says_of_itself() -> None:
    info = xp.__array_namespace_info__()
    assert info.capabilities()["boolean indexing"] is True
    assert info.default_device() in info.devices()
    assert info.default_dtypes()["real floating"] is xp.float32
    assert info.dtypes(kind="signed integer") == {f"int{n}": getattr(xp, f"int{n}") for n in (8, 16, 32, 64)}
    assert set(info.dtypes(kind=("bool", "complex floating"))) == {"bool", "complex64", "complex128"}
    with pytest.raises(ValueError, match="dtypes"):
        info.dtypes(kind="whole")


def test_attributes_of_tensors() -> None:
    x = xp.asarray([[1.0, 2.0, 3.0]])
    assert x.mT.shape == (3, 1)
    assert x.T.shape == (3, 1)
    assert x.to_device(x.device) is x
    with pytest.raises(ValueError, match="to_device"):
        x.to_device("cpu", stream=1)
    assert operator.index(xp.asarray(3)) == 3
    assert complex(xp.asarray(2.5)) == 2.5
    assert x.__dlpack_device__() == (1, 0)
    copied = xp.from_dlpack(x, copy=True)
    copied[0, 0] = 9.0
    assert x[0, 0] == 1.0
    assert xp.from_dlpack(x, device="cpu", copy=False).data_ptr() == x.data_ptr()
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(2, 0))


def test_operators_in_place() -> None:
    x = xp.asarray([[1.0, 2.0], [3.0, 4.0]])
    x @= xp.eye(2) * 2
    assert x.tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_gradients_flow_through() -> None:
    x = xp.asarray([3.0, 4.0]).requires_grad_()
    xp.linalg.vector_norm(x).backward()
    assert x.grad.tolist() == pytest.approx([0.6, 0.8])
