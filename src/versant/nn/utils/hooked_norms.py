"""weight_norm and spectral_norm as hooks: the weight is computed anew before each call of its module.

The forms that came before `parametrizations`, with their names in state dicts: weight_g and weight_v;
weight_orig, weight_u and weight_v.
"""

from typing import Any, TypeVar

import versant
from versant import Tensor
from versant.nn import functional as F
from versant.nn.module import Module
from versant.nn.parameter import Parameter
from versant.nn.utils.parametrizations import norm_except, output_axis

AnyModule = TypeVar("AnyModule", bound=Module)

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


class _Norm:
    """A hook that sets a plain attribute of a module from parameters of other names."""

    who: str
    absent: type[Exception] = KeyError  # what is raised where the module has no such parameter

    def __init__(self, name: str) -> None:
        self.name = name

    def weight_of(self, module: Module, training: bool) -> Tensor:
        raise NotImplementedError

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.weight_of(module, module.training))

    def take_place(self, module: Module) -> Parameter:
        """Takes the parameter out of the module, whose place the hook fills."""
        if _find(module, type(self), self.name) is not None:
            raise RuntimeError(
                f"[{self.who}] Cannot register two {self.who} hooks on the same parameter {self.name}"
            )
        if self.name not in module._parameters:
            raise self.absent(f"[{self.who}] {type(module).__name__} has no parameter {self.name!r}")
        weight: Any = module._parameters[self.name]
        if weight is None:
            raise ValueError(f"[{self.who}] cannot be applied as parameter {self.name!r} is None")
        delattr(module, self.name)
        return weight  # type: ignore[no-any-return]

    def remove(self, module: Module, *others: str) -> None:
        """Makes the weight as it is now a parameter again."""
        with versant.no_grad():
            weight = self.weight_of(module, False)
        for name in (self.name, *(self.name + other for other in others)):
            delattr(module, name)
        module.register_parameter(self.name, Parameter(weight.detach()))


def _find(module: Module, kind: type[_Norm], name: str) -> Any:
    """The handle of the module's hook of that kind for that name."""
    if module._hooks is None:
        return None
    entries = module._hooks.before.items()
    return next((h for h, (hook, _) in entries if isinstance(hook, kind) and hook.name == name), None)


def _removed(module: Module, kind: type[_Norm], name: str, *others: str) -> None:
    handle = _find(module, kind, name)
    if handle is None:
        raise ValueError(f"[remove_{kind.who}] {kind.who} of {name!r} not found in {module}")
    hook, _ = module._own_hooks().before[handle]
    hook.remove(module, *others)
    handle.remove()


class _WeightNorm(_Norm):
    who = "weight_norm"
    absent = AttributeError

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = -1 if dim is None else dim

    def weight_of(self, module: Module, training: bool) -> Tensor:
        length, direction = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        weight: Tensor = direction * (length / norm_except(direction, self.dim))
        return weight


def weight_norm(module: AnyModule, name: str = "weight", dim: int | None = 0) -> AnyModule:
    """Train the weight as g * v / |v|, its length g apart from its direction v (Salimans and Kingma 2016).

    dim: the axis along which lengths differ; None for one length.
    """
    hook = _WeightNorm(name, dim)
    weight = hook.take_place(module)
    module.register_parameter(name + "_g", Parameter(norm_except(weight.detach(), hook.dim)))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    setattr(module, name, hook.weight_of(module, False))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: AnyModule, name: str = "weight") -> AnyModule:
    """Make the weight an ordinary parameter again, with the value that it has; ValueError where it is one."""
    _removed(module, _WeightNorm, name, "_g", "_v")
    return module


class _SpectralNorm(_Norm):
    who = "spectral_norm"

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__(name)
        if n_power_iterations <= 0:
            raise ValueError(
                f"[spectral_norm] expected n_power_iterations to be positive, got {n_power_iterations}"
            )
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    def weight_of(self, module: Module, training: bool) -> Tensor:
        weight, u, v = (getattr(module, self.name + end) for end in ("_orig", "_u", "_v"))
        matrix = self.matrix(weight)
        if training:
            with versant.no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(versant.mv(matrix.t(), u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(versant.mv(matrix, v), dim=0, eps=self.eps))
            u, v = u.clone(), v.clone()  # the next call changes them in place
        result: Tensor = weight / versant.dot(u, versant.mv(matrix, v))
        return result


def spectral_norm(
    module: AnyModule,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> AnyModule:
    """Divide the weight by its largest singular value (Miyato et al. 2018).

    That is found by power iteration, n_power_iterations steps in each call while training. dim: the axis of
    outputs, 0, and 1 for transposed convolutions.
    """
    hook = _SpectralNorm(name, n_power_iterations, output_axis(module) if dim is None else dim, eps)
    weight = hook.take_place(module)
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.data)
    for end, size in zip(("_u", "_v"), hook.matrix(weight.detach()).shape, strict=True):
        start = weight.detach().new_empty(size).normal_(0, 1)
        module.register_buffer(name + end, F.normalize(start, dim=0, eps=eps))
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: AnyModule, name: str = "weight") -> AnyModule:
    """Make the weight an ordinary parameter again, with the value that it has; ValueError where it is one."""
    _removed(module, _SpectralNorm, name, "_orig", "_u", "_v")
    return module
