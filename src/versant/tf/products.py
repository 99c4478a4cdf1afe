"""Products of tensors and linear algebra: matmul, einsum, tf.linalg, norms."""

from typing import Any

import versant
from versant import _core
from versant._core import TensorLike
from versant.tf import dtypes
from versant.tf.calls import Function, argument_errors, axes_of, plainly, refuse_integers, sizes_of
from versant.tf.reductions import reduce_sum
from versant.tf.tensors import brand, convert, same_dtype


def _turned(x: Any, transpose: bool, adjoint: bool) -> Any:
    if not (transpose or adjoint):
        return x
    x = versant.transpose(x, -1, -2)
    return versant.conj(x) if adjoint and x.dtype.is_complex else x


def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    output_type: Any = None,
    grad_a: bool = False,
    grad_b: bool = False,
    name: str | None = None,
) -> Any:
    """The product of matrices in the last two axes, (..., n, k) and (..., k, m)."""
    if not isinstance(a, TensorLike) and not isinstance(b, TensorLike):
        a, b = same_dtype("matmul", a, b)
        a = brand(a)
    if transpose_a or adjoint_a:
        a = _turned(convert(a), transpose_a, adjoint_a)
    if transpose_b or adjoint_b:
        b = _turned(convert(b), transpose_b, adjoint_b)
    return a @ b


def matvec(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    adjoint_a: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Any:
    """The product of matrices, (..., n, k), and vectors, (..., k)."""
    a, b = same_dtype("matvec", a, b)
    a, b = _core.plain(a), _core.plain(b)
    return brand(versant.matmul(_turned(a, transpose_a, adjoint_a), b.unsqueeze(-1)).squeeze(-1))


def einsum(equation: str, *inputs: Any, **kwargs: Any) -> Any:
    """Products and sums over named axes."""
    values = same_dtype("einsum", *inputs)
    return brand(versant.einsum(equation.replace(" ", ""), *(_core.plain(x) for x in values)))


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Any:
    """The sum of products over axes: the last n of a and first n of b, or those of two lists."""
    a, b = same_dtype("tensordot", a, b)
    if isinstance(axes, int):
        dims: Any = axes
    else:
        first, second = axes
        dims = [
            [axes_of(first)] if isinstance(first, int) else list(sizes_of(first)),
            [axes_of(second)] if isinstance(second, int) else list(sizes_of(second)),
        ]
    return brand(versant.tensordot(_core.plain(a), _core.plain(b), dims))


def norm(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool | None = None, name: Any = None
) -> Any:
    """A norm of vectors (axis an int, or None for all elements) or of matrices (axis a pair)."""
    x = plainly(tensor)
    refuse_integers("norm", x)
    axis = axes_of(axis)
    kept = bool(keepdims)
    if isinstance(axis, tuple) and len(axis) == 2 and ord not in ("euclidean", "fro"):
        return brand(versant.linalg.matrix_norm(x, ord, axis, kept))
    order = 2 if ord in ("euclidean", "fro") else ord
    return brand(versant.linalg.vector_norm(x, order, axis, kept))


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None) -> Any:
    """x divided by its Euclidean norm over axis."""
    x = plainly(x)
    total = _core.plain(reduce_sum(versant.square(x), axis, True))
    return brand(x * versant.rsqrt(total.clamp(min=epsilon)))


def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None, name: str | None = None) -> Any:
    """(tensor / norm, norm)."""
    size = norm(tensor, ord, axis, True)
    return brand(plainly(tensor)) / size, size


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Any:
    """t, scaled down where its Euclidean norm over axes is larger than clip_norm."""
    x = plainly(t)
    limit = plainly(convert(clip_norm, x.dtype))
    total = _core.plain(reduce_sum(versant.square(x), axes, True))
    positive = total > 0
    size = versant.where(
        positive, versant.sqrt(versant.where(positive, total, versant.ones_like(total))), total
    )
    return brand(x * limit / versant.maximum(size, limit))


def global_norm(t_list: Any, name: str | None = None) -> Any:
    """The Euclidean norm of all elements of the tensors together; None is passed over."""
    total = sum(versant.square(plainly(t)).sum() for t in t_list if t is not None)
    return brand(versant.sqrt(_core.plain(convert(total))))


def clip_by_global_norm(t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None) -> Any:
    """(tensors, norm): scaled down together where their global norm is larger than clip_norm."""
    size = global_norm(t_list) if use_norm is None else convert(use_norm)
    limit = plainly(convert(clip_norm, size.dtype))
    plain_size = _core.plain(size)
    scale = limit * versant.minimum(1 / plain_size, versant.ones_like(plain_size) / limit)
    scale = versant.where(versant.isfinite(plain_size), scale, versant.full_like(plain_size, float("nan")))
    return [t if t is None else brand(plainly(t) * scale) for t in t_list], size


def _matrices(name: str, ours: str) -> Function:
    def call(input: Any, name: str | None = None) -> Any:
        x = plainly(input)
        refuse_integers(call.__name__, x)
        return brand(getattr(versant.linalg, ours)(x))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{name} of matrices in the last two axes."
    return call


def inv(input: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """The inverses of square matrices, (..., n, n)."""
    return brand(_turned(versant.linalg.inv(plainly(input)), adjoint, adjoint))


def solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """X with matrix @ X = rhs: (..., n, n) and (..., n, m)."""
    a, b = same_dtype("solve", matrix, rhs)
    return brand(versant.linalg.solve(_turned(_core.plain(a), adjoint, adjoint), _core.plain(b)))


def triangular_solve(
    matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False, name: Any = None
) -> Any:
    """solve, of matrices of which only one triangle counts."""
    a, b = same_dtype("triangular_solve", matrix, rhs)
    turned = _turned(_core.plain(a), adjoint, adjoint)
    return brand(versant.linalg.solve_triangular(turned, _core.plain(b), upper=lower == adjoint))


def cholesky_solve(chol: Any, rhs: Any, name: str | None = None) -> Any:
    """X with chol @ chol^T @ X = rhs."""
    a, b = same_dtype("cholesky_solve", chol, rhs)
    return brand(versant.cholesky_solve(_core.plain(b), _core.plain(a)))


def qr(input: Any, full_matrices: bool = False, name: str | None = None) -> Any:
    """(q, r): orthogonal times upper triangular."""
    return brand(tuple(versant.linalg.qr(plainly(input), mode="complete" if full_matrices else "reduced")))


def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None) -> Any:
    """(s, u, v) with tensor = u @ diag(s) @ v^H; s alone without compute_uv."""
    x = plainly(tensor)
    if not compute_uv:
        return brand(versant.linalg.svdvals(x))
    u, s, vh = versant.linalg.svd(x, full_matrices=full_matrices)
    return brand((s, u, _turned(vh, False, True).contiguous()))


def lstsq(matrix: Any, rhs: Any, l2_regularizer: float = 0.0, fast: bool = True, name: Any = None) -> Any:
    """X that makes |matrix @ X - rhs|^2 + l2_regularizer |X|^2 least."""
    a, b = (_core.plain(x) for x in same_dtype("lstsq", matrix, rhs))
    turned = _turned(a, False, True)
    gram = turned @ a + l2_regularizer * versant.eye(tuple(a.shape)[-1], dtype=a.dtype)
    return brand(versant.linalg.solve(gram, turned @ b))


def eigh(tensor: Any, name: str | None = None) -> Any:
    """(eigenvalues, eigenvectors) of symmetric or Hermitian matrices, of which the lower triangle counts."""
    return brand(tuple(versant.linalg.eigh(plainly(tensor))))


def slogdet(input: Any, name: str | None = None) -> Any:
    """(sign, log of the size) of determinants."""
    return brand(tuple(versant.linalg.slogdet(plainly(input))))


def logdet(matrix: Any, name: str | None = None) -> Any:
    """The logarithms of the determinants of positive definite matrices."""
    return brand(2 * versant.log(versant.linalg.cholesky(plainly(matrix)).diagonal(dim1=-2, dim2=-1)).sum(-1))


def diag(diagonal: Any, name: str = "diag", k: int = 0, **kwargs: Any) -> Any:
    """Matrices with that diagonal."""
    return brand(versant.diag_embed(plainly(diagonal), k))


def diag_part(input: Any, name: str = "diag_part", k: int = 0, **kwargs: Any) -> Any:
    """The diagonals of matrices."""
    return brand(versant.diagonal(plainly(input), k, -2, -1).clone())


def tensor_diag(diagonal: Any, name: str | None = None) -> Any:
    """A tensor of twice the axes with these elements on its diagonal."""
    x = plainly(diagonal)
    sizes = tuple(x.shape)
    return brand(versant.diag(x.reshape(-1)).reshape((*sizes, *sizes)))


def tensor_diag_part(input: Any, name: str | None = None) -> Any:
    """The diagonal of a tensor whose first half of axes repeats as the second."""
    x = plainly(input)
    sizes = tuple(x.shape)[: x.dim() // 2]
    n = versant.empty(sizes).numel()
    return brand(x.reshape((n, n)).diagonal().clone().reshape(sizes))


def set_diag(input: Any, diagonal: Any, name: str = "set_diag", k: int = 0, **kwargs: Any) -> Any:
    """Matrices with other diagonals."""
    return brand(versant.diagonal_scatter(plainly(input), plainly(diagonal), k, -2, -1))


def band_part(input: Any, num_lower: Any, num_upper: Any, name: str | None = None) -> Any:
    """Matrices, zero further than so many places below and above the diagonal; negative numbers keep all."""
    x = plainly(input)
    lower, upper = int(num_lower), int(num_upper)
    x = versant.tril(x, upper) if upper >= 0 else x
    return brand(versant.triu(x, -lower) if lower >= 0 else x)


def trace(x: Any, name: str | None = None) -> Any:
    """The sums of the diagonals."""
    return brand(versant.diagonal(plainly(x), 0, -2, -1).sum(-1))


def adjoint(matrix: Any, name: str | None = None) -> Any:
    """Matrices transposed and conjugated."""
    return brand(_turned(plainly(matrix), False, True).contiguous())


def matrix_transpose(a: Any, name: str = "matrix_transpose", conjugate: bool = False) -> Any:
    """The last two axes exchanged."""
    return brand(_turned(plainly(a), True, conjugate).contiguous())


def cross(a: Any, b: Any, name: str | None = None) -> Any:
    """The cross products of vectors in the last axis, of size 3."""
    a, b = same_dtype("cross", a, b)
    return brand(versant.linalg.cross(_core.plain(a), _core.plain(b)))


def matrix_rank(a: Any, tol: Any = None, validate_args: bool = False, name: str | None = None) -> Any:
    """How many singular values are larger than tol."""
    return brand(versant.linalg.matrix_rank(plainly(a), tol=tol).to(dtypes.int32))


LINALG: dict[str, Function] = {
    function.__name__: function
    for function in (
        matmul,
        matvec,
        einsum,
        tensordot,
        norm,
        l2_normalize,
        normalize,
        global_norm,
        inv,
        solve,
        triangular_solve,
        cholesky_solve,
        qr,
        svd,
        lstsq,
        eigh,
        slogdet,
        logdet,
        diag,
        diag_part,
        tensor_diag,
        tensor_diag_part,
        set_diag,
        band_part,
        trace,
        adjoint,
        matrix_transpose,
        cross,
        matrix_rank,
    )
}
LINALG |= {
    "det": _matrices("det", "det"),
    "cholesky": _matrices("cholesky", "cholesky"),
    "eigvalsh": _matrices("eigvalsh", "eigvalsh"),
    "expm": _matrices("expm", "matrix_exp"),
    "pinv": _matrices("pinv", "pinv"),
}
LINALG = argument_errors(LINALG) | {"matmul": matmul}
TOP_LEVEL = {name: LINALG[name] for name in ("matmul", "einsum", "tensordot", "norm")} | {
    "clip_by_norm": clip_by_norm,
    "clip_by_global_norm": clip_by_global_norm,
}
