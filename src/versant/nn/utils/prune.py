"""Pruning: parameters under masks, which are applied anew before each call of their module.

A pruned parameter `weight` is kept as `weight_orig`, its mask as the buffer `weight_mask`, and `weight` is
their product. Pruning again prunes what the mask has left.
"""

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, TypeVar

import versant
from versant import Tensor
from versant.nn.module import Module

AnyModule = TypeVar("AnyModule", bound=Module)
Amount = int | float

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod:
    """The base of ways to prune: a subclass says in compute_mask what is left, and its PRUNING_TYPE.

    PRUNING_TYPE: "unstructured" for single elements, "structured" for slices along an axis, "global" for
    masks of the whole.
    """

    PRUNING_TYPE: ClassVar[str] = "unstructured"
    _tensor_name: str

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of t, whose elements are zeros and ones, within the mask so far."""
        raise NotImplementedError(f"[{type(self).__name__}] define compute_mask(self, t, default_mask)")

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter under its mask."""
        mask: Tensor = getattr(module, self._tensor_name + "_mask")
        result: Tensor = mask * getattr(module, self._tensor_name + "_orig")
        return result

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None
    ) -> Tensor:
        """t with zeros where it is pruned, by its own elements or by importance_scores of its shape."""
        mask = versant.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(_scores(t, importance_scores), mask)

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> "BasePruningMethod":
        """Prunes a parameter of the module; args and kwargs are those of the class."""
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        handle = _find(module, name)
        if handle is not None:
            before = module._own_hooks().before[handle][0]
            method = PruningContainer(before, method)
            handle.remove()
        elif name not in module._parameters:
            raise AttributeError(f"[prune] {type(module).__name__} has no parameter {name!r}")
        original: Any = getattr(module, name + "_orig" if handle is not None else name)
        scores = _scores(getattr(module, name), importance_scores)
        if handle is None:
            delattr(module, name)
            module.register_parameter(name + "_orig", original)
            mask = versant.ones_like(original, requires_grad=False)
        else:
            mask = getattr(module, name + "_mask").clone()
        with versant.no_grad():
            mask = method.compute_mask(scores, mask).to(original.dtype)
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def remove(self, module: Module) -> None:
        """Makes the pruned parameter an ordinary one, with its zeros."""
        name = self._tensor_name
        original: Any = getattr(module, name + "_orig")
        original.data = self.apply_mask(module).detach()
        for attribute in (name, name + "_orig", name + "_mask"):
            delattr(module, attribute)
        module.register_parameter(name, original)


def _scores(t: Tensor, importance_scores: Tensor | None) -> Tensor:
    if importance_scores is None:
        return t.detach()
    if importance_scores.shape != t.shape:
        raise ValueError(
            f"[prune] expected importance_scores of shape {tuple(t.shape)}, "
            f"got {tuple(importance_scores.shape)}"
        )
    return importance_scores


def _find(module: Module, name: str | None) -> Any:
    """The handle of the module's hook that prunes this parameter, or any."""
    if module._hooks is None:
        return None
    for handle, (hook, _) in module._hooks.before.items():
        if isinstance(hook, BasePruningMethod) and name in (None, hook._tensor_name):
            return handle
    return None


class PruningContainer(BasePruningMethod):
    """Several ways to prune one parameter, one after the other, each what the others have left."""

    def __init__(self, *args: Any) -> None:
        self._methods: list[BasePruningMethod] = []
        for method in args[0] if len(args) == 1 and not isinstance(args[0], BasePruningMethod) else args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Adds a way, of the same parameter."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"[PruningContainer] {type(method)} is not a BasePruningMethod subclass")
        if self._methods and method._tensor_name != self._tensor_name:
            raise ValueError(
                "[PruningContainer] Can only add pruning methods acting on the parameter named "
                f"{self._tensor_name!r}, got {method._tensor_name!r}"
            )
        self._tensor_name = method._tensor_name
        self._methods += list(method) if isinstance(method, PruningContainer) else [method]

    def __len__(self) -> int:
        return len(self._methods)

    def __iter__(self) -> Any:
        return iter(self._methods)

    def __getitem__(self, index: int) -> BasePruningMethod:
        return self._methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """What the last way leaves of what the mask has left."""
        method = self._methods[-1]
        if method.PRUNING_TYPE == "unstructured":
            left: Any = default_mask == 1
        elif method.PRUNING_TYPE == "structured":
            axis: int = method.dim % t.ndim  # type: ignore[attr-defined]
            others = [i for i in range(t.ndim) if i != axis]
            kept = default_mask.sum(others) != 0
            left = tuple(kept if i == axis else slice(None) for i in range(t.ndim))
        elif method.PRUNING_TYPE == "global":
            left = ...
        else:
            raise ValueError(f"[PruningContainer] Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        mask = default_mask.clone()
        mask[left] = method.compute_mask(t[left], default_mask[left]).to(mask.dtype)
        return mask


class _Share(BasePruningMethod):
    """What ways to prune share that prune a number of elements or slices, or a fraction of them."""

    amount: Any  # a whole number, or a fraction
    _is_fraction: bool

    def __init__(self, amount: Amount) -> None:
        if not isinstance(amount, Real):
            raise TypeError(f"[prune] Invalid type for amount: {amount!r}. Must be int or float.")
        if amount < 0 or (not isinstance(amount, Integral) and amount > 1):
            raise ValueError(
                f"[prune] amount={amount} should either be a float in the range [0.0, 1.0] or a "
                "non-negative integer"
            )
        self.amount = amount
        self._is_fraction = not isinstance(amount, Integral)

    def count(self, size: int) -> int:
        """How many of `size` are pruned."""
        if self._is_fraction:
            return round(float(self.amount) * size)
        if self.amount > size:
            raise ValueError(
                f"[prune] amount={self.amount} should be smaller than the number of parameters to "
                f"prune={size}"
            )
        return int(self.amount)


class Identity(BasePruningMethod):
    """Prunes nothing, but makes the mask."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class _Unstructured(_Share):
    def worth(self, t: Tensor) -> Tensor:
        """Of which the smallest are pruned."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        mask = default_mask.clone(memory_format=versant.contiguous_format)
        count = self.count(t.numel())
        if count:
            _, pruned = self.worth(t).reshape(-1).topk(count, largest=False)
            mask.view(-1)[pruned] = 0
        return mask


class RandomUnstructured(_Unstructured):
    """Prunes elements at random."""

    def worth(self, t: Tensor) -> Tensor:
        return versant.rand_like(t)


class L1Unstructured(_Unstructured):
    """Prunes the elements of least magnitude."""

    def worth(self, t: Tensor) -> Tensor:
        return t.abs()


class _Structured(_Share):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: Amount, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def worth(self, t: Tensor) -> Tensor:
        """Of each slice; the least are pruned."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if t.ndim <= 1:
            raise ValueError(
                "[prune] Structured pruning can only be applied to multidimensional tensors. Found shape "
                f"{tuple(t.shape)}"
            )
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"[prune] Invalid index {self.dim} for tensor of size {tuple(t.shape)}")
        size = t.shape[self.dim]
        count = self.count(size)
        if not count:
            return default_mask
        kept = versant.zeros(size, dtype=default_mask.dtype)
        kept[self.worth(t).topk(size - count)[1]] = 1
        shape = [1] * t.ndim
        shape[self.dim] = size
        return default_mask * kept.reshape(shape)


class RandomStructured(_Structured):
    """Prunes slices along an axis at random."""

    def worth(self, t: Tensor) -> Tensor:
        return versant.rand(t.shape[self.dim])


class LnStructured(_Structured):
    """Prunes the slices along an axis of least norm of order n."""

    def __init__(self, amount: Amount, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def worth(self, t: Tensor) -> Tensor:
        others = [i for i in range(t.ndim) if i != self.dim % t.ndim]
        result: Tensor = versant.norm(t, p=self.n, dim=others)
        return result


class CustomFromMask(BasePruningMethod):
    """Prunes where a mask is 0."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: AnyModule, name: str) -> AnyModule:
    """Gives the parameter a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: AnyModule, name: str, amount: Amount) -> AnyModule:
    """Prunes elements at random: a number of them (int) or a fraction (float)."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: AnyModule, name: str, amount: Amount, importance_scores: Tensor | None = None
) -> AnyModule:
    """Prunes the elements of least magnitude.

    >>> from versant import nn
    >>> from versant.nn.utils import prune
    >>> layer = prune.l1_unstructured(nn.Linear(4, 2), "weight", amount=0.5)
    >>> int((layer.weight == 0).sum())
    4
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: AnyModule, name: str, amount: Amount, dim: int) -> AnyModule:
    """Prunes slices along an axis at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: AnyModule,
    name: str,
    amount: Amount,
    n: Any,
    dim: int,
    importance_scores: Tensor | None = None,
) -> AnyModule:
    """Prunes the slices along an axis of least norm of order n."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: AnyModule, name: str, mask: Tensor) -> AnyModule:
    """Prunes where the mask is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: Mapping[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prunes several parameters, (module, name) each, as if they were one vector."""
    places = list(parameters)
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            '[global_unstructured] Only "unstructured" PRUNING_TYPE supported for the `pruning_method`, got '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    given = importance_scores or {}
    tensors = [getattr(module, name) for module, name in places]
    scores = [_scores(t, given.get(place)) for place, t in zip(places, tensors, strict=True)]
    masks = [
        getattr(module, name + "_mask", versant.ones_like(t.detach()))
        for (module, name), t in zip(places, tensors, strict=True)
    ]
    method._tensor_name = "all"
    flat = PruningContainer(method).compute_mask(
        versant.cat([s.reshape(-1) for s in scores]), versant.cat([m.reshape(-1) for m in masks])
    )
    parts = flat.split([t.numel() for t in tensors])
    for (module, name), t, part in zip(places, tensors, parts, strict=True):
        custom_from_mask(module, name, part.reshape(t.shape))


def remove(module: AnyModule, name: str) -> AnyModule:
    """Makes the pruned parameter an ordinary one, with its zeros; ValueError where it is not pruned."""
    handle = _find(module, name)
    if handle is None:
        raise ValueError(
            f"[prune.remove] Parameter {name!r} of module {module} has to be pruned before pruning can be "
            "removed"
        )
    module._own_hooks().before[handle][0].remove(module)
    handle.remove()
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one inside of it, is pruned."""
    return any(_find(inner, None) is not None for inner in module.modules())
