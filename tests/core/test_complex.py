"""complex64 and complex128: numbers, memory, promotion, views and gradients."""

import numpy as np
import pytest

import versant as vs

RNG = np.random.default_rng(5)


def draw(*shape: int, dtype: str = "complex128") -> np.ndarray:
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


Z = draw(3, 4)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [(1j, vs.complex64), ([1, 2j], vs.complex64), ([np.complex128(1j)], vs.complex128), (Z, vs.complex128)],
)
def test_complex_data_gives_complex_tensors(data, dtype):
    x = vs.tensor(data)
    assert x.dtype is dtype
    assert x.tolist() == np.asarray(data, dtype.name).tolist()


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_memory_is_shared_with_numpy_and_through_dlpack(dtype):
    array = draw(3, 4, dtype=dtype)
    x = vs.from_numpy(array)
    assert x.dtype is getattr(vs, dtype)
    assert x.data_ptr() == array.ctypes.data
    assert x.numpy().dtype == dtype
    assert np.from_dlpack(x).ctypes.data == array.ctypes.data
    np.testing.assert_array_equal(x.T.numpy(), array.T)


PROMOTED = [
    (vs.float32, vs.complex64, vs.complex64),
    (vs.float64, vs.complex64, vs.complex128),
    (vs.int64, vs.complex64, vs.complex64),
    (vs.float16, vs.complex64, vs.complex64),
    (vs.complex64, vs.complex128, vs.complex128),
]


@pytest.mark.parametrize(("a", "b", "expected"), PROMOTED)
def test_promotion(a, b, expected):
    assert vs.promote_types(a, b) is vs.promote_types(b, a) is expected


def test_numbers_and_tensors_without_axes_are_weak():
    assert (vs.ones(2) * 1j).dtype is vs.complex64
    assert (vs.ones(2, dtype=vs.float64) * 1j).dtype is vs.complex128
    assert (vs.ones(2) * vs.tensor(1j, dtype=vs.complex128)).dtype is vs.complex64
    assert (vs.tensor([1, 2]) * 1j).dtype is vs.complex64
    assert (vs.tensor([1j]) * 2.5).dtype is vs.complex64


@pytest.mark.parametrize("to", ["complex64", "complex128", "float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("source", ["complex64", "complex128", "float32", "int32", "bool"])
def test_casts(source, to):
    array = np.array([0, 1, -2.5, 3]) + (1j * np.array([0, 2, 0, -1]) if source.startswith("complex") else 0)
    array = array.astype(source)
    drops = source.startswith("complex") and not to.startswith("complex") and to != "bool"
    expected = (array.real if drops else array).astype(to)
    np.testing.assert_array_equal(vs.from_numpy(array).to(getattr(vs, to)).numpy(), expected, strict=True)


MOVES = [
    lambda x, f: x[1:, ::2],
    lambda x, f: x[[2, 0]],
    lambda x, f: f.flip(x, (0,)),
    lambda x, f: f.roll(x, 1, 1),
    lambda x, f: f.tril(x),
    lambda x, f: f.reshape(x, (4, 3)),
    lambda x, f: f.swapaxes(x, 0, 1),
    lambda x, f: f.tile(x, (2, 1)),
    lambda x, f: f.where(x.real > 0, x, 1j),
    lambda x, f: x.sum(1),
    lambda x, f: x.mean(),
    lambda x, f: x.prod(0),
    lambda x, f: x.cumsum(1),
    lambda x, f: x.cumprod(1),
    lambda x, f: x @ x.T,
    lambda x, f: (x == x) & (x != 0),
    lambda x, f: f.abs(x) + f.angle(x),
    lambda x, f: x**2 + x**0.5 - 1 / x,
]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("move", MOVES)
def test_functions_agree_with_numpy(move, dtype):
    array = Z.astype(dtype)
    expected = move(array, np)
    result = move(vs.from_numpy(array), vs).numpy()
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, 1e-5 if dtype == "complex64" else 1e-12)


def test_parts_are_views():
    x = vs.from_numpy(Z.copy())
    np.testing.assert_array_equal(vs.view_as_real(x).numpy(), Z.view("float64").reshape(3, 4, 2))
    np.testing.assert_array_equal(vs.imag(x).numpy(), Z.imag)
    x.real.mul_(2)
    x.imag = 7
    np.testing.assert_array_equal(x.numpy(), 2 * Z.real + 7j)
    pairs = vs.arange(6.0).reshape(3, 2)
    assert vs.view_as_complex(pairs).tolist() == [1j, 2 + 3j, 4 + 5j]
    assert vs.view_as_complex(pairs).data_ptr() == pairs.data_ptr()
    with pytest.raises(RuntimeError, match="non-complex"):
        vs.ones(2).imag  # noqa: B018


@pytest.mark.parametrize(
    ("source", "message"),
    [(vs.ones(2, 3), "size 2"), (vs.ones(2, 2).T, "stride 1"), (vs.ones(7)[1:].view(3, 2), "even")],
)
def test_pairs_that_do_not_lie_like_complex_numbers(source, message):
    with pytest.raises(RuntimeError, match=rf"\[view_as_complex\].*{message}"):
        vs.view_as_complex(source)


REFUSED = [
    lambda x: x < x,
    lambda x: x.max(),
    lambda x: x.sort(),
    lambda x: vs.maximum(x, x),
    lambda x: x.floor(),
    lambda x: x.sign(),
    lambda x: x // 2,
    lambda x: x.abs_(),
    lambda x: float(x[0, 0]),
    lambda x: x.real.copy_(x.real).add_(1j),
    lambda x: vs.ones(2).fill_(1j),
    lambda x: vs.ones(2, dtype=vs.complex64, requires_grad=True).sum().backward(),
    lambda x: vs.complex(x, x),
    lambda x: vs.complex(x.real, 1),
    lambda x: vs.polar(1, x.real),
]


@pytest.mark.parametrize("call", REFUSED)
def test_what_complex_numbers_lack(call):
    x = vs.from_numpy(Z.copy())
    with pytest.raises((RuntimeError, TypeError)):
        call(x)
    np.testing.assert_array_equal(x.numpy(), Z)


def test_a_real_loss_gives_the_conjugate_wirtinger_gradient():
    """L = |z|^2 has the gradient dL/dx + i dL/dy = 2 z."""
    z = vs.from_numpy(Z.copy()).requires_grad_()
    (z * z.conj()).real.sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), 2 * Z)


def test_real_inputs_get_the_real_part_of_the_gradient():
    x = vs.tensor([1.0, 2.0], requires_grad=True)
    weight = vs.tensor([3 + 4j, 1 - 1j])
    (x * weight).abs().sum().backward()
    assert x.grad.dtype is vs.float32
    np.testing.assert_allclose(x.grad.numpy(), np.abs(weight.numpy()), 1e-6)


def test_a_write_through_a_part_is_followed_by_gradients():
    z = vs.from_numpy(Z.copy()).requires_grad_()
    y = z.clone()
    y.imag.mul_(3)
    y.real[0] = 5
    y.imag.sum().backward()
    expected = np.full((3, 4), 3j)
    np.testing.assert_allclose(z.grad.numpy(), expected)
    y = z.clone()
    y.real[0] = 5
    (gradient,) = vs.autograd.grad(y.real.sum(), z)
    assert gradient.tolist() == [[0] * 4, [1] * 4, [1] * 4]


def test_writes_into_complex_numbers_made_of_pairs():
    x = vs.ones(3, 2, requires_grad=True)
    pairs = x.clone()
    z = vs.view_as_complex(pairs)
    z.mul_(1j)
    assert pairs.tolist() == [[-1, 1]] * 3
    pairs[:, 0].sum().backward()
    assert x.grad.tolist() == [[0, -1]] * 3


def test_magnitude_and_sign_have_a_gradient_at_zero():
    z = vs.zeros(2, dtype=vs.complex128, requires_grad=True)
    (z.abs().sum() + z.sgn().real.sum() + z.angle().sum()).backward()
    assert vs.isfinite(z.grad).all()


def test_printing_and_names():
    assert repr(vs.tensor([1 + 2j, -1.5j])) == "tensor([1.+2.0000j, -0.-1.5000j])"
    assert repr(vs.tensor([1j], dtype=vs.complex128)) == "tensor([0.+1.j], dtype=versant.complex128)"
    assert vs.complex64.to_real() is vs.float32
    assert vs.float64.to_complex() is vs.complex128
    assert vs.is_complex(vs.tensor(1j))
    assert not vs.is_complex(vs.ones(1))
    assert complex(vs.tensor(1 + 2j)) == 1 + 2j
    assert vs.tensor(2j).item() == 2j


@pytest.mark.parametrize("order", [1, 2, 3.5, float("inf")])
def test_norms_are_those_of_the_magnitudes(order):
    x = vs.from_numpy(Z.copy())
    expected = np.linalg.norm(np.abs(Z).ravel(), order)
    np.testing.assert_allclose(vs.linalg.vector_norm(x, order).item(), expected, 1e-12)


def test_logsumexp_drops_no_imaginary_part():
    result = vs.logsumexp(vs.from_numpy(Z.copy()), 0)
    np.testing.assert_allclose(result.numpy(), np.log(np.exp(Z).sum(0)), 1e-12)


def test_rms_norm_squares_the_numbers_not_their_magnitudes():
    weight = draw(4)
    result = vs.rms_norm(vs.tensor(Z), (4,), vs.tensor(weight), 1e-3)
    expected = Z / np.sqrt((Z * Z).mean(-1, keepdims=True) + 1e-3) * weight
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-13)
    with pytest.raises(
        vs.ShapeError, match=r"\[rms_norm\] expected last dimensions \(3,\), got input of shape"
    ):
        vs.rms_norm(vs.tensor(Z), (3,))


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 5, 4), (7, 400, 9), (4, 0, 3)])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_products_of_matrices(m, k, n, turned, dtype):
    a, b = draw(2, m, k, dtype=dtype), draw(n, k, dtype=dtype).T if turned else draw(k, n, dtype=dtype)
    first, second = vs.tensor(a), vs.tensor(b.T.copy()).T if turned else vs.tensor(b)
    wanted = a.astype("complex128") @ b.astype("complex128")
    close = {"rtol": 0, "atol": 2e-4 if dtype == "complex64" else 1e-12}
    np.testing.assert_allclose((first @ second).numpy(), wanted, **close)
    np.testing.assert_allclose((first.mT.contiguous().mT @ second).numpy(), wanted, **close)


def test_products_of_complex_numbers_do_not_depend_on_the_batch():
    a, b = vs.tensor(draw(9, 33, dtype="complex64")), vs.tensor(draw(33, 17, dtype="complex64"))
    whole = a @ b
    for i in range(9):
        np.testing.assert_array_equal((a[i : i + 1] @ b).numpy(), whole[i : i + 1].numpy())


def test_dropout_takes_numbers_as_a_whole():
    z = vs.tensor(draw(500))
    y = vs.nn.functional.dropout(z, 0.25)
    gone = y == 0
    assert 0.15 < gone.double().mean().item() < 0.35
    assert vs.allclose(y[~gone], z[~gone] / 0.75)
    assert vs.equal(vs.nn.Dropout().eval()(z), z)
