"""Functions of PyTorch's main namespace that are other functions: with an order of arguments of their own,
or as functions what are methods."""

from collections.abc import Callable, Sequence
from typing import Any

import versant
from versant import Tensor
from versant.nn import functional as F

__all__: list[str] = []


def _public(function: Callable[..., Any]) -> Callable[..., Any]:
    __all__.append(function.__name__)
    return function


# --- layers as functions ----------------------------------------------------------------------------------


@_public
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """nn.functional.group_norm."""
    found: Tensor = F.group_norm(input, num_groups, weight, bias, eps)
    return found


@_public
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """nn.functional.pad with a constant."""
    found: Tensor = F.pad(input, tuple(pad), "constant", value)
    return found


# --- methods as functions ---------------------------------------------------------------------------------


def _method(name: str) -> Callable[..., Any]:
    def function(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return getattr(input, name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"input.{name}(...)"
    return _public(function)


for _name in ["detach_", "fill_", "get_device", "is_inference", "resize_as_", "zero_"]:
    globals()[_name] = _method(_name)


@_public
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like input, of this value everywhere."""
    return input.clone().fill_(value)


# --- matrices of low rank ---------------------------------------------------------------------------------


@_public
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """U (..., m, q), S (..., q) and V (..., n, q) of A - M, nearly, by products with random vectors.

    A: (..., m, n). niter: turns of subspace iteration. Halko, Martinsson and Tropp 2009, algorithm 5.1.
    """
    rank = 6 if q is None else q
    if not 0 <= rank <= min(A.shape[-2:]):
        raise ValueError(f"[svd_lowrank] expected q of 0 to {min(A.shape[-2:])}, got {rank}")
    a = A if M is None else A - M
    turned = a.shape[-2] < a.shape[-1]
    x = a.mH if turned else a
    basis = x @ versant.randn(x.shape[-1], rank, dtype=x.dtype)
    for _ in range(niter or 0):
        basis = x @ versant.linalg.qr(x.mH @ versant.linalg.qr(basis)[0])[0]
    basis = versant.linalg.qr(basis)[0]
    u, s, vh = versant.linalg.svd(basis.mH @ x, full_matrices=False)
    u, v = basis @ u, vh.mH
    return (v, s, u) if turned else (u, s, v)


@_public
def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """svd_lowrank of A (..., samples, features) less the mean of each feature: V are principal directions."""
    rank = min(6, *A.shape[-2:]) if q is None else q
    found: tuple[Tensor, Tensor, Tensor] = svd_lowrank(
        A - A.mean(-2, keepdim=True) if center else A, rank, niter
    )
    return found


# --- state ------------------------------------------------------------------------------------------------


@_public
def is_storage(obj: Any) -> bool:
    """Whether obj is what `Tensor.storage` or `untyped_storage` gives."""
    from versant.tensors.storage import UntypedStorage

    return isinstance(obj, UntypedStorage)


@_public
def get_num_interop_threads() -> int:
    """1: one operation runs at a time."""
    return 1


@_public
def set_num_interop_threads(count: int) -> None:
    """Takes a number above 0; one operation runs at a time."""
    if count <= 0:
        raise RuntimeError(f"[set_num_interop_threads] expected a positive number of threads, got {count}")


@_public
def get_device_module(device: Any = None) -> Any:
    """The module `versant.cpu`."""
    versant.device("cpu" if device is None else device)
    return versant.cpu
