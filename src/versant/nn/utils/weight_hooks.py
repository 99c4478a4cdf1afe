"""weight_norm and spectral_norm in their older form: a hook computes the weight before each call.

What is trained stands under names beside the weight's (`weight_g`, `weight_v`; `weight_orig`), as in the
checkpoints of older models. The forms in `parametrizations` compute the weight whenever it is read.
"""

from typing import Any

import versant
from versant import Tensor
from versant.nn import functional as F
from versant.nn.hooks import RemovableHandle
from versant.nn.module import Module
from versant.nn.parameter import Parameter
from versant.nn.utils.parametrizations import as_matrix, default_dim, length_and_direction, norm_except


class _WeightHook:
    """A pre-hook that sets the attribute `name` of its module to what `compute` makes of the trained ones."""

    who: str
    parts: tuple[str, ...]  # endings of the names of what stands in the weight's place
    handle: RemovableHandle

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Module, *, training: bool) -> Tensor:
        raise NotImplementedError

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.compute(module, training=module.training))

    def part(self, module: Module, ending: str) -> Tensor:
        tensor: Tensor = getattr(module, self.name + ending)
        return tensor

    def take_weight(self, module: Module) -> Parameter:
        """The parameter, no longer one of the module's."""
        if _find(self.who, module, self.name) is not None:
            raise RuntimeError(f"[{self.who}] {self.name!r} of {type(module).__name__} already has this hook")
        weight: Parameter | None = module._parameters.get(self.name)
        if weight is None:
            raise AttributeError(f"[{self.who}] {type(module).__name__} has no parameter {self.name!r}")
        delattr(module, self.name)
        return weight

    def attach(self, module: Module) -> None:
        self.handle = module.register_forward_pre_hook(self)

    def remove(self, module: Module) -> None:
        with versant.no_grad():
            weight = self.compute(module, training=False)
        for ending in ("", *self.parts):
            delattr(module, self.name + ending)
        module.register_parameter(self.name, Parameter(weight.detach()))
        self.handle.remove()


def _find(who: str, module: Module, name: str) -> _WeightHook | None:
    """The hook that the function `who` put on a weight of the module."""
    for hook, _ in module._own_hooks().before.values():
        if isinstance(hook, _WeightHook) and hook.who == who and hook.name == name:
            return hook
    return None


def _remove(who: str, module: Module, name: str) -> Module:
    hook = _find(who, module, name)
    if hook is None:
        raise ValueError(f"[remove_{who}] {who} of {name!r} not found in {type(module).__name__}")
    hook.remove(module)
    return module


class _WeightNorm(_WeightHook):
    who = "weight_norm"
    parts = ("_g", "_v")

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = -1 if dim is None else dim

    def compute(self, module: Module, *, training: bool) -> Tensor:
        return length_and_direction(self.part(module, "_g"), self.part(module, "_v"), self.dim)


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train the weight as g * v / |v|, under the names weight_g and weight_v (Salimans and Kingma 2016).

    dim: the axis along which lengths differ; None for one length.
    """
    hook = _WeightNorm(name, dim)
    weight = hook.take_weight(module)
    module.register_parameter(f"{name}_g", Parameter(norm_except(weight.detach(), hook.dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute(module, training=False))
    hook.attach(module)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter again, with its present value."""
    return _remove("weight_norm", module, name)


class _SpectralNorm(_WeightHook):
    who = "spectral_norm"
    parts = ("_orig", "_u", "_v")

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__(name)
        if n_power_iterations <= 0:
            raise ValueError(
                f"[spectral_norm] expected n_power_iterations to be positive, got {n_power_iterations}"
            )
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps

    def compute(self, module: Module, *, training: bool) -> Tensor:
        weight, u, v = (self.part(module, ending) for ending in self.parts)
        matrix = as_matrix(weight, self.dim)
        if training:
            with versant.no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(matrix.mH @ u, dim=0, eps=self.eps))
                    u.copy_(F.normalize(matrix @ v, dim=0, eps=self.eps))
        u, v = u.clone(), v.clone()  # the next call changes them in place
        return weight / versant.vdot(u, matrix @ v)


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide the weight by its largest singular value, found by power iteration (Miyato et al. 2018).

    weight_orig is trained; weight_u and weight_v, the buffers of the iteration, take n_power_iterations steps
    in each call while training. dim: the axis of outputs, 0, and 1 for transposed convolutions.
    """
    hook = _SpectralNorm(name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    weight = hook.take_weight(module)
    matrix = as_matrix(weight.detach(), hook.dim)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    for ending, size in zip(("_u", "_v"), matrix.shape, strict=True):
        start = F.normalize(matrix.new_empty(size).normal_(), dim=0, eps=eps)
        module.register_buffer(name + ending, start)
    hook.attach(module)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter again, with its present value."""
    return _remove("spectral_norm", module, name)


__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]
