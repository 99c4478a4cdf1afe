"""Linear algebra beyond the generated tests: factors multiplied again, argument forms, refusals."""

import numpy as np
import pytest

import versant as vs
from versant import linalg
from versant.testing import assert_close, check_gradients

RNG = np.random.default_rng(0)
SHAPES = [
    (3, 3),
    (5, 3),
    (3, 5),
    (2, 4, 3),
    (1, 1),
    (0, 3),
    (3, 0),
    (0, 0),
    (2, 0, 3),
    (0, 2, 2),
    (40, 70),
    (70, 40),
]
BOTH = pytest.mark.parametrize("dtype", [vs.float32, vs.float64])


def drawn(*shape, dtype=vs.float64):
    return vs.tensor(RNG.normal(size=shape), dtype=dtype)


def positive(*shape, dtype=vs.float64):
    a = drawn(*shape, dtype=dtype)
    return a @ a.mT + shape[-1] * vs.eye(shape[-1], dtype=dtype)


def tolerance(dtype):
    return 1e-4 if dtype is vs.float32 else 1e-11


def unit(q, dtype):
    assert_close(q.mT @ q, vs.eye(q.shape[-1], dtype=dtype).expand(*q.shape[:-2], -1, -1), tolerance(dtype))


# --- factors multiplied again -------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("shape", SHAPES)
def test_qr(shape, dtype):
    a = drawn(*shape, dtype=dtype)
    for mode in ("reduced", "complete"):
        q, r = linalg.qr(a, mode)
        assert_close(q @ r, a, tolerance(dtype))
        assert_close(r, r.triu(), 0)
        unit(q, dtype)
    assert_close(linalg.qr(a, "r").R, linalg.qr(a).R, 0)


@BOTH
@pytest.mark.parametrize("shape", SHAPES)
def test_svd(shape, dtype):
    a, k = drawn(*shape, dtype=dtype), min(shape[-2:])
    for full in (True, False):
        u, s, vh = linalg.svd(a, full)
        assert_close(u[..., :k] * s.unsqueeze(-2) @ vh[..., :k, :], a, tolerance(dtype))
        unit(u, dtype)
        unit(vh.mT, dtype)
    assert_close(linalg.svdvals(a), s, 0)
    u, s, v = vs.svd(a)
    assert_close(u * s.unsqueeze(-2) @ v.mT, a, tolerance(dtype))


@BOTH
@pytest.mark.parametrize("shape", SHAPES)
def test_lu(shape, dtype):
    a = drawn(*shape, dtype=dtype)
    p, lower, upper = linalg.lu(a)
    assert_close(p @ lower @ upper, a, tolerance(dtype))
    assert_close(lower, lower.tril(), 0)
    assert_close(upper, upper.triu(), 0)
    for again, first in zip(vs.lu_unpack(*linalg.lu_factor_ex(a)[:2]), (p, lower, upper), strict=True):
        assert_close(again, first, 0)


@BOTH
@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4), (1, 1), (0, 0), (70, 70)])
def test_eigh(shape, dtype):
    a = drawn(*shape, dtype=dtype)
    a = a + a.mT
    for side in "LU":
        values, vectors = linalg.eigh(a, side)
        assert_close(vectors * values.unsqueeze(-2) @ vectors.mT, a, tolerance(dtype))
        unit(vectors, dtype)
    assert_close(linalg.eigvalsh(a, "U"), values, 0)


def test_one_triangle_is_read():
    a = positive(3, 3)
    other = a.tril() + 100 * vs.ones(3, 3).triu(1)
    assert_close(linalg.cholesky(other), linalg.cholesky(a), 0)
    assert_close(linalg.cholesky(other.mT, upper=True), linalg.cholesky(a).mT, 0)
    assert_close(linalg.eigvalsh(other), linalg.eigvalsh(a), 0)
    assert_close(linalg.eigvalsh(other.mT, "U"), linalg.eigvalsh(a), 0)


@BOTH
@pytest.mark.parametrize("n", [0, 1, 3, 33, 100])
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve(n, left, adjoint, dtype):
    a = drawn(2, n, n, dtype=dtype) + 5 * n * vs.eye(n, dtype=dtype)
    b = drawn(2, n, 4, dtype=dtype) if left else drawn(2, 4, n, dtype=dtype)
    x = linalg.lu_solve(*linalg.lu_factor(a), b, left=left, adjoint=adjoint)
    m = a.mT if adjoint else a
    assert_close(m @ x if left else x @ m, b, tolerance(dtype))
    if left and not adjoint:
        assert_close(vs.lu_solve(b, *linalg.lu_factor(a)), x, 0)


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("n", [1, 31, 32, 33, 129])
def test_triangular_systems_of_every_block(n, upper):
    a, b = drawn(n, n) + n * vs.eye(n).double(), drawn(n, 3)
    x = linalg.solve_triangular(a, b, upper=upper)
    assert_close((a.triu() if upper else a.tril()) @ x, b, 1e-11)


@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd", "gelss"])
def test_least_squares(driver):
    a, b = drawn(2, 5, 3), drawn(2, 5, 2)
    x, residuals, rank, values = linalg.lstsq(a, b, driver=driver)
    for i in range(2):
        expected = np.linalg.lstsq(a[i].numpy(), b[i].numpy(), None)
        assert_close(x[i], expected[0], 1e-11)
        if driver != "gelsy":
            assert_close(residuals[i], expected[1], 1e-11)
        if driver in ("gelsd", "gelss"):
            assert_close(values[i], expected[3], 1e-11)
    assert rank.tolist() == ([] if driver == "gels" else [3, 3])


# --- derivatives where they are delicate --------------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_determinants_of_singular_matrices_have_gradients(rank):
    a = (drawn(4, rank) @ drawn(rank, 4)).requires_grad_()
    check_gradients(linalg.det, [a], order=1, step=1e-4)
    (gradient,) = vs.autograd.grad(linalg.det(a), a, create_graph=True)
    direction = drawn(4, 4)
    (found,) = vs.autograd.grad((gradient * direction).sum(), a)
    step = 1e-4
    moved = [
        vs.autograd.grad(linalg.det(b), b)[0]
        for b in ((a.detach() + s * step * direction).requires_grad_() for s in (1, -1))
    ]
    assert_close(found, (moved[0] - moved[1]) / (2 * step), 1e-5)


def test_eigenvalues_that_repeat_have_gradients():
    a = vs.eye(3).double().requires_grad_()
    assert_close(vs.autograd.grad(linalg.eigvalsh(a).sum(), a)[0], vs.eye(3).double(), 1e-12)
    assert_close(vs.autograd.grad(linalg.svdvals(a).sum(), a)[0], vs.eye(3).double(), 1e-12)


def test_a_matrix_without_logarithm_of_its_determinant():
    a = vs.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert vs.logdet(a).isnan()
    assert vs.logdet(vs.zeros(2, 2)).item() == -np.inf
    assert linalg.slogdet(a).sign.item() == -1


# --- refusals -----------------------------------------------------------------------------------------------

SINGULAR = vs.tensor([[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: linalg.inv(vs.zeros(2, 2)), r"\[inv\] singular matrix"),
        (lambda: linalg.solve(vs.zeros(2, 2), vs.ones(2)), r"\[solve\] singular matrix"),
        (
            lambda: linalg.cholesky(-vs.eye(2)),
            r"\[linalg.cholesky\] the matrix is not positive definite: .* order 1",
        ),
        (
            lambda: linalg.cholesky(vs.stack([vs.eye(2), vs.diag(vs.tensor([1.0, -1.0]))])),
            "matrix 1 of the batch is not positive definite: see the leading minor of order 2",
        ),
        (lambda: linalg.lu_factor(SINGULAR), "the matrix is singular: zero on the diagonal of U at 2"),
        (lambda: linalg.inv_ex(SINGULAR, check_errors=True), "the matrix is singular"),
        (lambda: linalg.solve_ex(SINGULAR, vs.ones(2, 1), check_errors=True), "the matrix is singular"),
    ],
)
def test_no_solution(call, text):
    with pytest.raises(linalg.LinAlgError, match=text):
        call()


def test_info_in_the_place_of_an_error():
    both = vs.stack([SINGULAR, vs.eye(2)])
    inverse, info = linalg.inv_ex(both)
    assert info.tolist() == [2, 0]
    assert inverse[1].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert inverse[0].isnan().all()
    assert linalg.solve_ex(both, vs.ones(2, 1)).info.tolist() == [2, 0]
    assert linalg.cholesky_ex(vs.stack([vs.eye(2), -vs.eye(2)])).info.tolist() == [0, 1]
    assert linalg.lu_factor_ex(both).info.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: linalg.inv(vs.ones(2, 3)),
            vs.ShapeError,
            r"\[linalg.inv\] expected square matrices, .*\(2, 3\)",
        ),
        (lambda: linalg.det(vs.ones(3)), vs.ShapeError, r"expected at least 2 axes, got shape \(3,\)"),
        (lambda: linalg.inv(vs.ones(2, 2, dtype=vs.int64)), vs.DTypeError, "got int64"),
        (lambda: linalg.qr(vs.ones(2, 2, dtype=vs.bfloat16)), vs.DTypeError, "got bfloat16"),
        (lambda: linalg.inv([[1.0]]), TypeError, "expected a tensor, got list"),
        (lambda: linalg.solve(vs.eye(2), vs.ones(3)), vs.ShapeError, r"\(2, 2\) and \(3, 1\) do not fit"),
        (lambda: linalg.solve(vs.eye(2), vs.ones(2).double()), vs.DTypeError, "float32 and float64"),
        (lambda: linalg.qr(vs.eye(2), "full"), ValueError, "expected mode 'reduced', 'complete' or 'r'"),
        (lambda: linalg.eigh(vs.eye(2), "M"), ValueError, "expected UPLO 'L' or 'U', got 'M'"),
        (lambda: linalg.lu(vs.eye(2), pivot=False), RuntimeError, "pivot=False is not offered"),
        (lambda: linalg.lstsq(vs.eye(2), vs.eye(2), driver="qr"), ValueError, "got 'qr'"),
        (lambda: linalg.tensorinv(vs.ones(2, 3)), ValueError, "is not square for ind = 2"),
        (
            lambda: linalg.lu_solve(vs.eye(2), vs.ones(2), vs.eye(2)),
            vs.ShapeError,
            r"expected int32 pivots of shape \(2,\), got float32",
        ),
    ],
)
def test_refuses(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_results_have_names():
    a = positive(2, 2)
    assert linalg.slogdet(a)._fields == ("sign", "logabsdet")
    assert linalg.eigh(a)._fields == ("eigenvalues", "eigenvectors")
    assert type(linalg.qr(a)) is type(linalg.qr(a, "r"))


def test_eigenvalues_and_vectors_of_any_square_matrix() -> None:
    vs.manual_seed(3)
    a = vs.randn(2, 4, 4).double()
    values, vectors = vs.linalg.eig(a)
    assert values.dtype is vs.complex128
    assert vs.allclose((a + 0j) @ vectors, vectors * values.unsqueeze(-2))
    expected = np.sort_complex(np.linalg.eigvals(a.numpy()))
    assert np.allclose(np.sort_complex(vs.linalg.eigvals(a).numpy()), expected)
    with pytest.raises(RuntimeError, match="expected finite numbers"):
        vs.linalg.eigvals(vs.full((2, 2), float("nan")))


def test_gradient_of_eigenvalues() -> None:
    vs.manual_seed(4)
    a = vs.randn(4, 4).double().requires_grad_()

    def spread(a: vs.Tensor) -> vs.Tensor:
        return (vs.linalg.eigvals(a).abs() ** 3).sum()

    (gradient,) = vs.autograd.grad(spread(a), a)
    direction = vs.randn(4, 4).double()
    with vs.no_grad():
        slope = (spread(a + 1e-6 * direction) - spread(a - 1e-6 * direction)) / 2e-6
    assert vs.allclose((gradient * direction).sum(), slope, rtol=1e-6)


def test_pivots_of_complex_matrices_are_those_of_lapack() -> None:
    a = vs.tensor([[3 + 3j, 1], [5, 1j]])  # |3 + 3i| < 5, but |re| + |im| is 6
    factors, pivots = linalg.lu_factor(a)
    assert pivots.tolist() == [1, 2]
    assert_close(factors[1, 0], 5 / a[0, 0], 1e-6)


@pytest.mark.parametrize("dtype", [vs.float16, vs.bfloat16, vs.float32, vs.complex64])
def test_exponentials_are_rounded_once(dtype) -> None:
    a = drawn(4, 4).to(dtype)
    wide = a.to(vs.complex128 if dtype.is_complex else vs.float64)
    assert vs.equal(linalg.matrix_exp(a), linalg.matrix_exp(wide).to(dtype))


def test_vector_products_take_as_many_axes_on_both_sides() -> None:
    with pytest.raises(vs.ShapeError, match=r"\[cross\] expected as many dimensions on both sides"):
        linalg.cross(drawn(2, 3), drawn(3))
    with pytest.raises(vs.ShapeError, match="expected size 3 along -1"):
        linalg.cross(drawn(3, 2), drawn(3, 2))


def test_cross_takes_the_first_axis_of_size_3() -> None:
    a, b = drawn(2, 3, 3), drawn(2, 3, 3)
    assert bool((vs.cross(a, b) == vs.cross(a, b, dim=1)).all())
    assert bool((a.cross(b) == linalg.cross(a, b, dim=1)).all())
    assert not bool((vs.cross(a, b) == linalg.cross(a, b)).all())
    with pytest.raises(vs.ShapeError, match=r"an axis of size 3, got shape \(2, 4\)"):
        vs.cross(drawn(2, 4), drawn(2, 4))


def test_distances_of_close_rows_from_products() -> None:
    a = drawn(6, 4, dtype=vs.float32) + 30
    b = a + 0.25
    exact = (a.double().unsqueeze(1) - b.double()).square().sum(-1).sqrt()
    found = vs.cdist(a, b, compute_mode="use_mm_for_euclid_dist")
    assert float((found - exact).abs().max()) < 2e-3
