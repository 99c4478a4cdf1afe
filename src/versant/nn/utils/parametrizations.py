"""Parametrizations in common use: weight_norm, spectral_norm, orthogonal."""

import versant
from versant import ShapeError, Tensor
from versant.nn import functional as F
from versant.nn.module import Module
from versant.nn.utils.parametrize import register_parametrization


def _weight_of(who: str, module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"[{who}] {type(module).__name__} has no parameter or buffer {name!r}")
    return weight


def norm_except(weight: Tensor, dim: int) -> Tensor:
    """The 2-norm over all axes but one, which stays; dim -1 means none, and a single number."""
    axes = [d for d in range(weight.ndim) if dim == -1 or d != dim % weight.ndim]
    if dim == -1:
        result: Tensor = weight.square().sum().sqrt()
    else:
        result = weight.square().sum(axes, keepdim=True).sqrt() if axes else weight.abs()
    return result


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train the weight as g * v / |v|, its length g apart from its direction v (Salimans and Kingma 2016).

    dim: the axis along which lengths differ; None for one length. original0 is g, original1 is v.
    """
    _weight_of("weight_norm", module, name)
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"[spectral_norm] dim {dim} is out of range for shape {tuple(weight.shape)}")
        if n_power_iterations <= 0:
            raise ValueError(
                f"[spectral_norm] expected n_power_iterations to be positive, got {n_power_iterations}"
            )
        self.dim = dim % weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight.detach())
            for key, size in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(key, F.normalize(matrix.new_empty(size).normal_(), dim=0, eps=eps))
            self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    def _iterate(self, matrix: Tensor, times: int) -> None:
        """Power iteration: u and v approach the first singular vectors."""
        with versant.no_grad():
            for _ in range(times):
                self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.mH @ self._u, dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # the next call changes them in place
        return weight / versant.vdot(u, matrix @ v)

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide the weight by its largest singular value (Miyato et al. 2018).

    That is found by power iteration, n_power_iterations steps in each call while training. dim: the axis of
    outputs, 0, and 1 for transposed convolutions.
    """
    weight = _weight_of("spectral_norm", module, name)
    axis = output_axis(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, axis, eps))


def output_axis(module: Module) -> int:
    """The axis of a layer's weight that counts its outputs."""
    transposed = versant.nn.ConvTranspose1d, versant.nn.ConvTranspose2d, versant.nn.ConvTranspose3d
    return 1 if isinstance(module, transposed) else 0


def _orthonormal(a: Tensor) -> Tensor:
    """Q of the decomposition QR in which the diagonal of R is positive."""
    q, r = versant.linalg.qr(a)
    result: Tensor = q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)
    return result


def _is_orthonormal(q: Tensor) -> bool:
    eye = versant.eye(q.shape[-1], dtype=q.dtype)
    return bool(versant.allclose(q.mH @ q, eye, atol=10.0 * q.shape[-2] * versant.finfo(q.dtype).eps))


def _reflections(columns: Tensor) -> Tensor:
    """The first columns of the product of the reflections about unit-diagonal columns: (..., n, k)."""
    n, k = columns.shape[-2:]
    below = columns.tril(-1)
    vectors = below + versant.eye(n, k, dtype=columns.dtype)
    factors = 2.0 / (1.0 + below.square().sum(-2))
    q = versant.eye(n, k, dtype=columns.dtype).expand(*columns.shape[:-2], n, k)
    for i in reversed(range(k)):
        v = vectors[..., i : i + 1]
        q = q - factors[..., i, None, None] * (v @ (v.mT @ q))
    return q


class _Orthogonal(Module):
    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("[orthogonal] the householder map does not take complex tensors")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        if wide:
            x = x.mT
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            q = _reflections(x) * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            x = x.tril()
            if n != k:
                x = versant.cat([x, x.new_zeros((*x.shape[:-2], n, n - k))], -1)
            a = x - x.mH
            if self.orthogonal_map == "matrix_exp":
                q = versant.matrix_exp(a)
            else:
                eye = versant.eye(n, dtype=a.dtype)
                q = versant.linalg.solve(eye - 0.5 * a, eye + 0.5 * a)
            q = q[..., :k]
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ShapeError(f"[orthogonal] expected shape {tuple(self.shape)}, got {tuple(q.shape)}")
        wide = q.shape[-2] < q.shape[-1]
        tall = q.mT if wide else q
        n, k = tall.shape[-2:]
        if not hasattr(self, "base"):
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "[orthogonal] without use_trivialization matrix_exp and cayley cannot be inverted"
                )
            return _householder_columns(tall).mT if wide else _householder_columns(tall)
        if n != k:
            noise = versant.randn(*tall.shape[:-2], n, n - k, dtype=tall.dtype)
            tall = _orthonormal(versant.cat([tall, noise], -1))
        else:
            tall = tall.clone() if _is_orthonormal(tall) else _orthonormal(tall)
        self.base = tall
        start = versant.zeros_like(q)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start


def _householder_columns(q: Tensor) -> Tensor:
    """Reflections below the diagonal, and on it the signs of the columns: what _reflections takes for q."""
    import numpy as np

    raw, tau = np.linalg.qr(q.detach().numpy(), mode="raw")
    columns = versant.from_numpy(np.ascontiguousarray(np.swapaxes(raw, -1, -2)))
    signs = columns.diagonal(dim1=-2, dim2=-1)
    signs.copy_(signs.sign() * versant.from_numpy(np.where(tau == 0.0, -1.0, 1.0).astype(tau.dtype)))
    return columns


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep a weight, or a batch of weights (..., n, k), orthogonal: its shorter side's vectors orthonormal.

    orthogonal_map: "matrix_exp" or "cayley" of a skew matrix, or "householder", a product of reflections; by
    default matrix_exp for squares. use_trivialization: multiply by a fixed orthogonal base, so that any
    orthogonal matrix can be the start (Lezcano Casado 2019).
    """
    weight = _weight_of("orthogonal", module, name)
    if weight.ndim < 2:
        raise ShapeError(f"[orthogonal] expected a matrix or a batch of them, got {tuple(weight.shape)}")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            '[orthogonal] orthogonal_map has to be one of "matrix_exp", "cayley", "householder", '
            f"got {orthogonal_map!r}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)


__all__ = ["orthogonal", "spectral_norm", "weight_norm"]
