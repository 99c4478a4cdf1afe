"""Parameters that are computed from others: a module's `weight` becomes a function of what is trained."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import versant
from versant import Tensor
from versant.nn.container import ModuleDict, ModuleList
from versant.nn.module import Module
from versant.nn.parameter import Parameter

_depth = 0  # of `cached` regions
_cache: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Inside, each parametrized tensor is computed once, when it is first read."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _cache.clear()


def _register(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _expect_like(who: str, value: Any, like: Tensor, *, shape: bool = True) -> None:
    """ValueError unless `value` is a tensor of the dtype, and the shape, of another."""
    if not isinstance(value, Tensor):
        raise ValueError(f"[parametrize] {who} must return a tensor, got {type(value).__name__}")
    if value.dtype is not like.dtype:
        raise ValueError(
            f"[parametrize] {who} may not change the dtype without unsafe=True: "
            f"from {like.dtype} it made {value.dtype}"
        )
    if shape and value.shape != like.shape:
        raise ValueError(
            f"[parametrize] {who} may not change the shape without unsafe=True: "
            f"from {tuple(like.shape)} it made {tuple(value.shape)}"
        )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, first to last, and what they start from.

    `original`, or `original0`, `original1` ... where right_inverse gave several, are the trained tensors.
    """

    original: Any

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("[ParametrizationList] expected one or more modules")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.detach().clone()
        new: Any = original
        with versant.no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):
                        new = module.right_inverse(new)
        self.is_tensor = isinstance(new, Tensor)
        if not self.is_tensor and not isinstance(new, Sequence):
            raise ValueError(
                f"[parametrize] right_inverse must return a tensor or several, got {type(new).__name__}"
            )
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            _expect_like("right_inverse", new, original, shape=False)
            original.data = new.detach()
            _register(self, "original", original)
        else:
            for i, part in enumerate(new):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        f"[parametrize] right_inverse must return tensors, got {type(part).__name__} at {i}"
                    )
                part = part.detach()
                if isinstance(original, Parameter):
                    part = Parameter(part, original.requires_grad)
                _register(self, f"original{i}", part)
        if not unsafe:
            _expect_like("a parametrization", self(), before)

    def _originals(self) -> list[Tensor]:
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        return [getattr(self, name) for name in names]

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that forward gives `value`, as far as the parametrizations can."""
        new: Any = value
        with versant.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"[parametrize] {type(module).__name__} does not implement right_inverse, "
                        "so its tensor cannot be assigned to"
                    )
                new = module.right_inverse(new)
        parts = [new] if self.is_tensor else list(new)
        originals: list[Any] = self._originals()
        if len(parts) != len(originals):
            raise ValueError(
                f"[parametrize] right_inverse must return {len(originals)} tensors, got {len(parts)}"
            )
        for part, target in zip(parts, originals, strict=True):
            _expect_like("right_inverse", part, target, shape=False)
        for part, target in zip(parts, originals, strict=True):
            target.data = part.detach()

    def forward(self) -> Tensor:
        first, *others = self
        result: Tensor = first(*self._originals())
        for module in others:
            result = module(result)
        return result


def _deepcopy(self: Module, memo: dict[int, Any]) -> Module:
    replica = type(self).__new__(type(self))
    memo[id(self)] = replica
    replica.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return replica


def _getstate(self: Module) -> Any:
    raise RuntimeError("[parametrize] a parametrized module cannot be pickled; save its state_dict()")


def _attach(module: Module, name: str) -> None:
    """Make the attribute a property of the module's own class."""

    def compute(self: Any) -> Tensor:
        if not _depth:
            result: Tensor = self.parametrizations[name]()
            return result
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def assign(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(compute, assign))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute the parameter or buffer `tensor_name` of a module by `parametrization` from now on; returns the
    module.

    What was the tensor is trained as module.parametrizations[tensor_name].original. Where the parametrization
    has right_inverse, that gives the first value of the original (several tensors make original0, original1
    ...), and the tensor can be assigned to. A second parametrization follows the first. unsafe: it may change
    shape and dtype.
    """
    parametrization.train(module.training)
    kept: Any = getattr(module, "parametrizations", None)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            after = parametrization(before)
            _expect_like("a parametrization", after, before)
            if hasattr(parametrization, "right_inverse"):
                try:
                    back = parametrization.right_inverse(after)
                except NotImplementedError:
                    pass
                else:
                    _expect_like("right_inverse", back, before)
        kept[tensor_name].append(parametrization)
        kept[tensor_name].unsafe |= unsafe
        return module
    if tensor_name not in module._parameters and tensor_name not in module._buffers:
        raise ValueError(
            f"[register_parametrization] {type(module).__name__} has no parameter or buffer {tensor_name!r}"
        )
    made = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        cls = type(module)
        methods: dict[str, Any] = {"__getstate__": _getstate}
        if not hasattr(cls, "__deepcopy__"):
            methods["__deepcopy__"] = _deepcopy
        module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), methods)
        kept = ModuleDict()
        module.register_module("parametrizations", kept)
    _attach(module, tensor_name)
    kept[tensor_name] = made
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module is parametrized; without a name, whether any is."""
    kept = getattr(module, "parametrizations", None)
    if not isinstance(kept, ModuleDict):
        return False
    return len(kept) > 0 if tensor_name is None else tensor_name in kept


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make the tensor an ordinary one again, with its present value, or with that of its original.

    leave_parametrized: False takes the original, which must be one tensor.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"[remove_parametrizations] {type(module).__name__} has no parametrization of {tensor_name!r}"
        )
    kept: Any = module.__dict__["parametrizations"]
    made: Any = kept[tensor_name]
    if not made.is_tensor and not leave_parametrized:
        raise ValueError(
            f"[remove_parametrizations] {tensor_name!r} was parametrized by several tensors, "
            "so leave_parametrized=False has none to leave"
        )
    plain: Any = made._originals()[0]
    if leave_parametrized:
        with versant.no_grad():
            value = getattr(module, tensor_name).detach()
        if made.is_tensor:
            plain.data = value
        else:
            plain = Parameter(value) if isinstance(plain, Parameter) and plain.requires_grad else value
    delattr(type(module), tensor_name)
    del kept[tensor_name]
    if not len(kept):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    _register(module, tensor_name, plain)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that the module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]
