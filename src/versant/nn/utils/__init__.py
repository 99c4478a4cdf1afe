"""Helpers around parameters and their gradients."""

import warnings
from collections.abc import Iterable
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

import versant
from versant import ShapeError, Tensor, _core, addresses
from versant.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)

if TYPE_CHECKING:
    from versant.nn.utils.hooked_norms import (
        remove_spectral_norm,
        remove_weight_norm,
        spectral_norm,
        weight_norm,
    )

AnyModule = TypeVar("AnyModule", bound="versant.nn.Module")

_KINDS = {"gradients": "tensors", "factor": "float"}
_ARGUMENTS = [(name, kind, _core.REQUIRED, False) for name, kind in _KINDS.items()]
_scale = _core.define_function("scale_", "amp_unscale_", _ARGUMENTS, "see core/machine/unscale.cc")


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in given if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors as if they were one vector; RuntimeError where it must be finite and is not."""
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        return versant.tensor(0.0)
    norm_type = float(norm_type)
    norms = [versant.norm(t, norm_type) for t in given]
    total: Tensor = versant.norm(versant.stack(norms), norm_type)
    if error_if_nonfinite and not total.isfinite().item():
        raise RuntimeError(f"[get_total_norm] the norm of order {norm_type} is {total.item()}")
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients by max_norm / (total_norm + 1e-6) where that is below 1."""
    share = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    if _core.is_tracing():  # the same number as a tensor, so that no value is read
        with versant.no_grad():
            for gradient in _gradients(parameters):
                gradient.mul_(share)
        return
    factor = share.item()
    if factor == 1.0:
        return
    gradients = _gradients(parameters)
    with versant.no_grad():
        _scale([g for g in gradients if not g.is_complex()], factor)  # all in one pass
        for gradient in gradients:
            if gradient.is_complex():
                gradient.mul_(factor)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients so that their norm, taken together, is at most max_norm; returns the norm before.

    Pascanu et al. 2013. norm_type: its order, inf for the largest element.
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total: Tensor = _clip(parameters, max_norm, norm_type, error_if_nonfinite)
    return total


def _clip(parameters: list[Tensor], max_norm: float, norm_type: float, error_if_nonfinite: bool) -> Tensor:
    with versant.no_grad():
        total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clamp every element of the gradients to [-clip_value, clip_value]."""
    bound = float(clip_value)
    with versant.no_grad():
        for gradient in _gradients(parameters):
            gradient.clamp_(min=-bound, max=bound)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened and joined."""
    result: Tensor = versant.cat([p.reshape(-1) for p in parameters])
    return result


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set the parameters to the parts of a vector, in order; ShapeError, and nothing set, if it is short."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"[vector_to_parameters] expected a Tensor, got {type(vec).__name__}")
    targets: list[Any] = list(parameters)
    wanted = sum(p.numel() for p in targets)
    if vec.ndim != 1 or vec.numel() < wanted:
        raise ShapeError(f"[vector_to_parameters] expected {wanted} elements, got shape {tuple(vec.shape)}")
    start = 0
    for p in targets:
        p.data = vec[start : start + p.numel()].view(p.shape).detach()
        start += p.numel()


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """clip_grad_norm_ by its first name, which warns."""
    warnings.warn("clip_grad_norm is now clip_grad_norm_", FutureWarning, stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def skip_init(module_cls: type[AnyModule], *args: Any, **kwargs: Any) -> AnyModule:
    """The module with memory for its parameters, which hold anything; no random numbers are used up."""
    if not issubclass(module_cls, versant.nn.Module):
        raise RuntimeError(f"[skip_init] expected a Module class, got {module_cls.__name__}")
    if "device" not in signature(module_cls).parameters:
        raise RuntimeError("[skip_init] Module must support a 'device' arg to skip initialization")
    with versant.random.fork_rng():
        return module_cls(*args, **kwargs)


_ROOMS = ("parametrizations", "parametrize", "prune", "rnn", "stateless")
_HOOKED = ("remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"versant.nn.utils.{name}")
    if name in _HOOKED:
        return getattr(import_module("versant.nn.utils.hooked_norms"), name)
    raise AttributeError(f"module 'versant.nn.utils' has no attribute {name!r}")


__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "skip_init",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]

addresses.place(__name__, __name__, "clip_grad convert_parameters init")
